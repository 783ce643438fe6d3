// SPDX-License-Identifier: BSD-2-Clause
//! What devices reach, on machines with an IOMMU: the DMA memory of the client that has them, and nothing else.
//!
//! Each function has an address space of its own, in which memory lies at its physical address. So a `dma_addr` is the same
//! with and without an IOMMU, and what a driver asked of it (`max_addr`, `boundary`) is true of both. A page is mapped by a
//! copy of its frame's capability for each function of its client; tables are made in the client's chunks, and stay with it
//! until it ends.
//!
//! The entry of a page of DMA memory names its copies: `next` is 1 + the copy made last, 0 where there is none, and each
//! copy keeps what the entry said before it.

use crate::Server;
use crate::bits::BitSet;
use crate::copies::Purpose;
use crate::kernel::{ClientIndex, Kernel, Object, Slot};
use crate::physical::{PAGE_BITS, Page};
use crate::segments::{SEGMENT_PAGES, page_number};
use kmalloc_bucket::ledger::{NONE, Use};
use kmalloc_protocol::Error;
use kmalloc_protocol::window::Window;

/// log2 of the entries of a table.
const TABLE_BITS: u32 = 9;

/// A function's address space.
#[derive(Clone, Debug)]
pub(crate) struct IoSpace {
    /// Whether it has one.
    open: bool,
    /// The table hooked in last, or [`NONE`]; of a table, the one before is where its page has its `previous`.
    last_table: u32,
    /// Which tables are hooked in, level by level from the lowest.
    tables: BitSet,
}

/// log2 of the bytes under a table of `level`; 0 is the lowest.
const fn reach_bits(level: u8) -> u32 {
    PAGE_BITS + TABLE_BITS * (level as u32 + 1)
}

impl<K: Kernel> Server<K> {
    /// The books of a function's address space, which is not open yet.
    pub(crate) fn new_io_space(&self) -> IoSpace {
        let below_root = self.io_levels.saturating_sub(1);
        IoSpace {
            open: false,
            last_table: NONE,
            tables: BitSet::new(self.first_table(below_root)),
        }
    }

    /// The number of the first table of a level in a function's books.
    fn first_table(&self, level: u8) -> usize {
        let end = self.physical.address_of(Page(self.pages.len() as u32));
        (0..level)
            .map(|below| (end >> reach_bits(below)) as usize + 1)
            .sum()
    }

    /// Whether a client's DMA memory has to be mapped page by page: kernels let functions reach small frames alone.
    pub(crate) fn needs_small_pages(&self, client: ClientIndex) -> bool {
        self.io_levels != 0
            && self
                .clients
                .get(client.index())
                .is_some_and(|account| account.devices != 0)
    }

    /// Lets a function that its client has just opened reach all of the client's DMA memory. A refusal leaves it without an
    /// owner.
    pub(crate) fn let_reach(&mut self, client: ClientIndex, place: usize) -> Result<(), Error> {
        if self.io_levels == 0 {
            return Ok(());
        }
        let reached = self.open_and_map(client, place);
        if reached.is_err() {
            self.each_page(client, |server, number| {
                server.end_reach_of(number, |function| usize::from(function) == place)
            })?;
            while self.take_back_io_table(client, place)? {}
            if let Some(function) = self.functions.get_mut(place) {
                function.owner = None;
            }
        }
        reached
    }

    fn open_and_map(&mut self, client: ClientIndex, place: usize) -> Result<(), Error> {
        if let Some(function) = self.functions.get_mut(place)
            && !function.io_space.open
        {
            self.kernel.open_io_space(place as u8, function.address)?;
            function.io_space.open = true;
        }
        self.each_page(client, |server, number| {
            server.let_reach_page(client, place, number)
        })
    }

    /// Does something with every page of a client's DMA memory, by its number.
    fn each_page(
        &mut self,
        client: ClientIndex,
        mut work: impl FnMut(&mut Self, u32) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut segment = *self.client_mut(client)?.segments_of(Window::Dma);
        while let Some(next) = self.segments.get(segment).map(|open| open.next) {
            for page in 0..SEGMENT_PAGES {
                match self.entry(segment, page).map(|entry| entry.usage) {
                    Some(Use::Head | Use::Tail) => work(self, page_number(segment, page))?,
                    Some(_) => {}
                    None => break,
                }
            }
            segment = next;
        }
        Ok(())
    }

    /// Lets all functions of a client reach a run of its DMA memory. A refusal leaves none of them there.
    pub(crate) fn let_functions_reach(
        &mut self,
        client: ClientIndex,
        number: u32,
        pages: usize,
    ) -> Result<(), Error> {
        for place in 0..self.functions.len() {
            if self.functions.get(place).map(|known| known.owner) != Some(Some(client)) {
                continue;
            }
            for at in number..number + pages as u32 {
                if let Err(error) = self.let_reach_page(client, place, at) {
                    self.end_reach(number, pages)?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn let_reach_page(
        &mut self,
        client: ClientIndex,
        place: usize,
        number: u32,
    ) -> Result<(), Error> {
        let Some((frame, before)) = self.entry_at(number).map(|entry| (entry.page, entry.next))
        else {
            return Ok(());
        };
        let address = self.physical.address_of(Page(frame));
        self.give_io_tables(client, place, address)?;
        let function = place as u8;
        let copy = self.take_copy(client, Purpose::Reached { function, before })?;
        if let Err(refused) = self.kernel.copy(Slot::Page(Page(frame)), Slot::Copy(copy)) {
            self.give_copy(copy);
            return Err(refused.into());
        }
        if let Err(refused) = self.kernel.map_io_page(Slot::Copy(copy), function, address) {
            self.kernel.delete(Slot::Copy(copy))?;
            self.give_copy(copy);
            return Err(refused.into());
        }
        if let Some(entry) = self.entry_at(number) {
            entry.next = copy + 1;
        }
        Ok(())
    }

    /// Sees to it that a function has all tables over `address`.
    fn give_io_tables(
        &mut self,
        client: ClientIndex,
        place: usize,
        address: u64,
    ) -> Result<(), Error> {
        for level in (0..self.io_levels.saturating_sub(1)).rev() {
            let index = self.first_table(level) + (address >> reach_bits(level)) as usize;
            let has = |function: &crate::pci::Function| function.io_space.tables.contains(index);
            if self.functions.get(place).is_none_or(has) {
                continue;
            }
            let table = self.take_io_table(client)?;
            if let Err(refused) = self.kernel.map_io_table(table, place as u8, address) {
                self.spare_io_table(client, table);
                return Err(refused.into());
            }
            let Some(function) = self.functions.get_mut(place) else {
                break;
            };
            function.io_space.tables.insert(index);
            let before = core::mem::replace(&mut function.io_space.last_table, table.0);
            self.replace_spare_link(table, before);
        }
        Ok(())
    }

    /// A table that is not in use, of the client's own or a new one.
    fn take_io_table(&mut self, client: ClientIndex) -> Result<Page, Error> {
        let spare = self.client_mut(client)?.spare_io_tables;
        if spare == NONE {
            return self.make_object(client, Object::IoTable);
        }
        let next = self.replace_spare_link(Page(spare), NONE);
        self.client_mut(client)?.spare_io_tables = next;
        Ok(Page(spare))
    }

    fn spare_io_table(&mut self, client: ClientIndex, table: Page) {
        if let Some(account) = self.clients.get_mut(client.index()) {
            let next = core::mem::replace(&mut account.spare_io_tables, table.0);
            self.replace_spare_link(table, next);
        }
    }

    /// Takes the table that was hooked in last out of a function's address space; false where there is none. Nothing is
    /// mapped there any more.
    pub(crate) fn take_back_io_table(
        &mut self,
        client: ClientIndex,
        place: usize,
    ) -> Result<bool, Error> {
        let Some(function) = self.functions.get_mut(place) else {
            return Ok(false);
        };
        let table = function.io_space.last_table;
        if table == NONE {
            return Ok(false);
        }
        self.kernel.unmap_io_table(Page(table))?;
        let before = self.replace_spare_link(Page(table), NONE);
        if let Some(function) = self.functions.get_mut(place) {
            function.io_space.last_table = before;
            if before == NONE {
                let all = 0..function.io_space.tables.capacity();
                function.io_space.tables.remove_range(all);
            }
        }
        self.spare_io_table(client, Page(table));
        Ok(true)
    }

    /// No function reaches a run of DMA memory any more.
    pub(crate) fn end_reach(&mut self, number: u32, pages: usize) -> Result<(), Error> {
        for at in number..number + pages as u32 {
            self.end_reach_of(at, |_| true)?;
        }
        Ok(())
    }

    /// Those functions reach a page no more that are `meant`. They are the ones that began to last, or all.
    fn end_reach_of(&mut self, number: u32, meant: impl Fn(u8) -> bool) -> Result<(), Error> {
        while let Some(copy) = self
            .entry_at(number)
            .and_then(|entry| entry.next.checked_sub(1))
        {
            let Some(Purpose::Reached { function, before }) =
                self.copies.get(copy).map(|copy| copy.purpose)
            else {
                break;
            };
            if !meant(function) {
                break;
            }
            if let Some(entry) = self.entry_at(number) {
                entry.next = before;
            }
            self.drop_copy(copy)?;
        }
        Ok(())
    }
}
