// SPDX-License-Identifier: BSD-2-Clause
//! Page tables and segments of clients: what must stand before a page can be mapped, charged to the client.

use crate::Server;
use crate::client::DIRECTORIES_MAX;
use crate::kernel::{ClientIndex, ClientObject, Kernel, Object, Slot, Table};
use crate::memory::{PageInfo, Role};
use crate::physical::{CHUNK_PAGES, Page};
use crate::segments::{LEDGER_ENTRIES, LEDGER_FRAMES, SEGMENT_PAGES, address_of, page_number};
use kmalloc_bucket::ledger::{Entry, NONE};
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::Error;
use kmalloc_protocol::window::Window;

/// Open segments that are tried for room before a new one is opened: a bound on the search.
const SEGMENTS_TRIED: usize = 8;

impl<K: Kernel> Server<K> {
    /// A new kernel object of a page's size, made in the client's chunks.
    pub(crate) fn make_object(
        &mut self,
        client: ClientIndex,
        object: Object,
    ) -> Result<Page, Error> {
        let page = self.find_in_chunk(client, object)?;
        self.make_in_chunk(client, object, Slot::Page(page))?;
        Ok(page)
    }

    /// An object of the client's that has a slot of its own, made in the client's chunks.
    pub(crate) fn make_client_object(
        &mut self,
        client: ClientIndex,
        which: ClientObject,
    ) -> Result<(), Error> {
        let object = Object::Client(which);
        self.find_in_chunk(client, object)?;
        self.make_in_chunk(client, object, Slot::Client(client, which))
    }

    /// The page that the client's next object begins in; with a new chunk where the first has no room.
    fn find_in_chunk(&mut self, client: ClientIndex, object: Object) -> Result<Page, Error> {
        let size = 1usize << self.kernel.size_bits(object);
        let account = self.client_mut(client)?;
        let mut start = account.chunk_used.next_multiple_of(size);
        if account.chunks == NONE || start + size > CHUNK_PAGES * PAGE_SIZE {
            self.open_chunk(client)?;
            start = 0;
        }
        let first = self.client_mut(client)?.chunks;
        Ok(Page(first + (start / PAGE_SIZE) as u32))
    }

    /// Puts a chunk before the others that objects are made of: one of the client's stock, or a new one.
    pub(crate) fn open_chunk(&mut self, client: ClientIndex) -> Result<(), Error> {
        let account = self.client_mut(client)?;
        let stocked = account.stock;
        if stocked == NONE {
            self.take_chunk(client, |account| &mut account.chunks)?;
        } else {
            let first = Page(stocked);
            let info = self.info(first);
            let account = self.client_mut(client)?;
            account.stock = info.next;
            let next = core::mem::replace(&mut account.chunks, stocked);
            self.set_info(first, PageInfo { next, ..info });
        }
        self.client_mut(client)?.chunk_used = 0;
        Ok(())
    }

    /// Makes an object behind the others of the client's first chunk, which has room.
    fn make_in_chunk(
        &mut self,
        client: ClientIndex,
        object: Object,
        slot: Slot,
    ) -> Result<(), Error> {
        let size = 1usize << self.kernel.size_bits(object);
        let first = Page(self.client_mut(client)?.chunks);
        self.charge_slots(client, 1)?;
        let made = self
            .kernel
            .retype(Slot::Chunk(first.chunk()), object, slot, 1);
        if let Err(refused) = made {
            self.refund_slots(client, 1);
            return Err(refused.into());
        }
        self.set_place(first, self.info(first).place + 1);
        let account = self.client_mut(client)?;
        account.chunk_used = account.chunk_used.next_multiple_of(size) + size;
        Ok(())
    }

    /// Hooks a table of `level` over `address` into the client's address space.
    pub(crate) fn make_table(
        &mut self,
        client: ClientIndex,
        level: Table,
        address: usize,
    ) -> Result<Page, Error> {
        let account = self.client_mut(client)?;
        let vspace = Page(account.vspace);
        let table = match (level, account.spare_tables) {
            (Table::PageTable, spare) if spare != NONE => {
                let next = self.replace_spare_link(Page(spare), NONE);
                self.client_mut(client)?.spare_tables = next;
                Page(spare)
            }
            _ => self.make_object(client, Object::Table(level))?,
        };
        match self.kernel.map_table(table, level, vspace, address) {
            Ok(()) => Ok(table),
            Err(refused) => {
                // An object of a higher level stays in its slot until the client ends; it is charged with its chunk.
                if level == Table::PageTable {
                    self.spare_table(client, table);
                }
                Err(refused.into())
            }
        }
    }

    fn spare_table(&mut self, client: ClientIndex, table: Page) {
        if let Some(account) = self.clients.get_mut(client.index()) {
            let next = core::mem::replace(&mut account.spare_tables, table.0);
            self.replace_spare_link(table, next);
        }
    }

    /// The spare table behind a spare table, which another takes the place of.
    fn replace_spare_link(&mut self, table: Page, link: u32) -> u32 {
        let PageInfo { previous, .. } = self.info(table);
        self.set_previous(table.0, link);
        previous
    }

    /// Sees to it that a page directory maps the GiB of `address`.
    pub(crate) fn ensure_directory(
        &mut self,
        client: ClientIndex,
        address: usize,
    ) -> Result<(), Error> {
        let gib = (address >> 30) as u16;
        let account = self.client_mut(client)?;
        let count = usize::from(account.directory_count);
        if account
            .directories
            .iter()
            .take(count)
            .any(|known| *known == gib)
        {
            return Ok(());
        }
        if count == DIRECTORIES_MAX {
            return Err(Error::OutOfSlots {
                limit: DIRECTORIES_MAX as u64,
            });
        }
        self.make_table(client, Table::PageDirectory, address)?;
        let account = self.client_mut(client)?;
        if let Some(place) = account.directories.get_mut(count) {
            *place = gib;
            account.directory_count += 1;
        }
        Ok(())
    }

    /// `count` consecutive pages of address space in a segment of the client's, with entries in its ledger and a page
    /// table; taken.
    pub(crate) fn take_space(
        &mut self,
        client: ClientIndex,
        window: Window,
        count: usize,
        align: usize,
    ) -> Result<(u32, usize), Error> {
        let mut segment = *self.client_mut(client)?.segments_of(window);
        for _ in 0..SEGMENTS_TRIED {
            let Some(open) = self.segments.get(segment) else {
                break;
            };
            if open.table != NONE
                && let Some(first) = open.find_pages(count, align)
            {
                self.extend_ledger(client, segment, first + count)?;
                self.take_space_in(segment, first, count);
                return Ok((segment, first));
            }
            segment = open.next;
        }
        let limit = self.segments.capacity() as u64;
        let segment = self
            .segments
            .find(1, 1)
            .ok_or(Error::OutOfSlots { limit })?;
        self.open_segment(client, window, segment, true)?;
        if let Err(error) = self.extend_ledger(client, segment, count) {
            self.close_segment(client, segment)?;
            return Err(error);
        }
        self.take_space_in(segment, 0, count);
        Ok((segment, 0))
    }

    pub(crate) fn take_space_in(&mut self, segment: u32, first: usize, count: usize) {
        if let Some(open) = self.segments.get_mut(segment) {
            open.take_pages(first, count);
        }
    }

    /// Gives pages of address space back, and the segment with the last of them.
    pub(crate) fn give_space(
        &mut self,
        client: ClientIndex,
        segment: u32,
        first: usize,
        count: usize,
    ) -> Result<(), Error> {
        let Some(open) = self.segments.get_mut(segment) else {
            return Ok(());
        };
        open.give_pages(first, count);
        // The last segment of a window stays, so that a client that swings by one page builds no table.
        let last = open.next == NONE && open.previous == NONE && open.table != NONE;
        if open.used == 0 && !last {
            self.close_segment(client, segment)
        } else {
            Ok(())
        }
    }

    /// Gives the client a free segment; with a page table unless a frame of 2 MiB is to fill it.
    pub(crate) fn open_segment(
        &mut self,
        client: ClientIndex,
        window: Window,
        segment: u32,
        table: bool,
    ) -> Result<(), Error> {
        let account = self.client_mut(client)?;
        let limit = account.segment_limit();
        if account.segment_count >= limit {
            let limit = limit as u64;
            return Err(Error::OutOfSlots { limit });
        }
        let address = address_of(window, page_number(segment, 0));
        self.ensure_directory(client, address)?;
        let table = if table {
            self.make_table(client, Table::PageTable, address)?.0
        } else {
            NONE
        };
        let mut head = *self.client_mut(client)?.segments_of(window);
        self.segments.open(segment, client, window, &mut head);
        let account = self.client_mut(client)?;
        *account.segments_of(window) = head;
        account.segment_count += 1;
        if let Some(open) = self.segments.get_mut(segment) {
            open.table = table;
        }
        Ok(())
    }

    /// Takes an empty segment from the client.
    pub(crate) fn close_segment(&mut self, client: ClientIndex, segment: u32) -> Result<(), Error> {
        let Some(open) = self.segments.get(segment) else {
            return Ok(());
        };
        let (table, window) = (open.table, open.window);
        while self.pop_ledger(segment)? {}
        if table != NONE {
            self.kernel.unmap_page_table(Page(table))?;
            self.spare_table(client, Page(table));
        }
        let account = self.client_mut(client)?;
        let (generation, mut head) = (account.generation, *account.segments_of(window));
        self.segments.close(segment, generation, &mut head);
        let account = self.client_mut(client)?;
        *account.segments_of(window) = head;
        account.segment_count -= 1;
        Ok(())
    }

    /// Sees to it that the ledger of a segment has entries for its first `count` pages.
    #[inline(always)]
    pub(crate) fn extend_ledger(
        &mut self,
        client: ClientIndex,
        segment: u32,
        count: usize,
    ) -> Result<(), Error> {
        debug_assert!(count <= SEGMENT_PAGES);
        let wanted = count.div_ceil(LEDGER_ENTRIES).min(LEDGER_FRAMES);
        match self.segments.get(segment) {
            Some(open) if usize::from(open.ledger_frames) < wanted => {
                self.grow_ledger(client, segment, wanted)
            }
            _ => Ok(()),
        }
    }

    /// Sees to it that the ledger of a segment has `wanted` frames.
    #[cold]
    #[inline(never)]
    fn grow_ledger(
        &mut self,
        client: ClientIndex,
        segment: u32,
        wanted: usize,
    ) -> Result<(), Error> {
        loop {
            let Some(open) = self.segments.get(segment) else {
                return Ok(());
            };
            let have = usize::from(open.ledger_frames);
            if have >= wanted {
                return Ok(());
            }
            let frame = self.take_page(client, Role::Ledger, segment)?;
            if let Err(refused) = self.kernel.push_ledger(segment, frame) {
                self.return_page(frame, true);
                return Err(refused.into());
            }
            if let Some(open) = self.segments.get_mut(segment)
                && let Some(place) = open.ledger.get_mut(have)
            {
                *place = frame.0;
                open.ledger_frames += 1;
                self.client_mut(client)?.counters.ledger_pages += 1;
            }
        }
    }

    /// Takes the last frame of a segment's ledger away; false where there is none.
    pub(crate) fn pop_ledger(&mut self, segment: u32) -> Result<bool, Error> {
        let Some(open) = self.segments.get(segment) else {
            return Ok(false);
        };
        let Some(last) = usize::from(open.ledger_frames).checked_sub(1) else {
            return Ok(false);
        };
        let Some(frame) = open.ledger.get(last).copied() else {
            return Ok(false);
        };
        self.kernel.pop_ledger(segment, Page(frame))?;
        let owner = ClientIndex(self.info(Page(frame)).owner);
        self.return_page(Page(frame), false);
        if let Some(account) = self.clients.get_mut(owner.index()) {
            account.counters.ledger_pages -= 1;
        }
        if let Some(open) = self.segments.get_mut(segment) {
            open.ledger_frames -= 1;
        }
        Ok(true)
    }

    /// The entry of a page of a segment.
    #[inline(always)]
    pub(crate) fn entry(&mut self, segment: u32, page: usize) -> Option<&mut Entry> {
        self.kernel.ledger(segment).get_mut(page)
    }

    /// The entry of a page by its global number.
    #[inline(always)]
    pub(crate) fn entry_at(&mut self, number: u32) -> Option<&mut Entry> {
        self.entry(
            number / SEGMENT_PAGES as u32,
            number as usize % SEGMENT_PAGES,
        )
    }
}
