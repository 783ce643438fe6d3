// SPDX-License-Identifier: BSD-2-Clause
//! Dataspaces in the address spaces of those who attach them.
//!
//! Each page is mapped by a copy of its frame's capability, in a slot of a pool. The address space, the tables and the
//! ledger are charged to the client that attaches, the frames to the maker. In window `Shared` an entry of the ledger
//! names the copy, not the page.

use crate::Server;
use crate::kernel::{ClientIndex, Kernel, Mapping, Slot};
use crate::memory::bytes;
use crate::physical::Page;
use crate::run::RunPlan;
use crate::segments::address_of;
use crate::share::check_access;
use crate::statistics::Traced;
use kmalloc_bucket::ledger::{Entry, Use};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Cache, Error, Reply, Response};

impl<K: Kernel> Server<K> {
    /// Maps a dataspace, with an unmapped page behind it.
    pub(crate) fn attach(&mut self, client: ClientIndex, token: u64, writable: u8) -> Response {
        let writable = check_access(writable)?;
        let index = self.find_dataspace(token)?;
        let handle = self.handle_of(client);
        let Some(dataspace) = self.dataspaces.get(index) else {
            return Err(Error::Stale { handle: token });
        };
        let may_attach = dataspace.maker == client
            || dataspace
                .recipients
                .iter()
                .any(|recipient| recipient.handle == handle && (recipient.writable || !writable));
        if !may_attach {
            return Err(Error::NotPermitted);
        }
        let (pages, mut frame) = (dataspace.pages as usize, dataspace.first);
        let plan = RunPlan {
            reserve: pages + 1,
            align: 1,
            large: false,
            how: Mapping {
                writable,
                cache: Cache::Coherent,
            },
            ..RunPlan::pages(Window::Shared, pages)
        };
        let number = self.take_run_space(client, &plan)?;
        for mapped in 0..pages {
            let at = number + mapped as u32;
            if let Err(error) = self.attach_page(client, index, Page(frame), at, plan.how) {
                self.drop_copies(number, mapped)?;
                self.give_run_space(client, number, plan.space())?;
                return Err(error);
            }
            frame = self.info(Page(frame)).next;
        }
        self.write_run_entries(number, &plan);
        if self.traces {
            self.trace_run(client, Window::Shared, number, pages, Traced::Attach);
        }
        Ok(Reply::Region {
            address: address_of(Window::Shared, number) as u64,
            size: bytes(pages),
        })
    }

    fn attach_page(
        &mut self,
        client: ClientIndex,
        dataspace: u32,
        frame: Page,
        at: u32,
        how: Mapping,
    ) -> Result<(), Error> {
        self.prepare_pages(client, Window::Shared, at, 1)?;
        let copy = self.take_copy(client, dataspace)?;
        if let Err(refused) = self.kernel.copy(Slot::Page(frame), Slot::Copy(copy)) {
            self.give_copy(copy);
            return Err(refused.into());
        }
        let vspace = Page(self.client_mut(client)?.vspace);
        let address = address_of(Window::Shared, at);
        if let Err(refused) = self.kernel.map_page(Slot::Copy(copy), vspace, address, how) {
            self.kernel.delete(Slot::Copy(copy))?;
            self.give_copy(copy);
            return Err(refused.into());
        }
        if let Some(entry) = self.entry_at(at) {
            *entry = Entry {
                usage: Use::Tail,
                page: copy,
                ..Entry::default()
            };
        }
        Ok(())
    }

    /// Unmaps the dataspace that is attached at `address`. The last one to let go of it frees it.
    pub(crate) fn detach(&mut self, client: ClientIndex, address: u64) -> Response {
        if Window::of(address as usize) != Some(Window::Shared) {
            return Err(self.refuse_window(client, address));
        }
        let (number, pages) = self.find_run(client, Window::Shared, address)?;
        let Some(entry) = self.entry_at(number) else {
            return Err(Error::BadPointer { address });
        };
        let (copy, reserved) = (entry.page, entry.reserved as usize);
        let dataspace = self.copies.get(copy).map(|copy| copy.dataspace);
        self.drop_copies(number, pages)?;
        self.give_run_space(client, number, reserved)?;
        if let Some(dataspace) = dataspace
            && self.is_let_go(dataspace)
        {
            self.free_dataspace(dataspace);
        }
        Ok(Reply::Done)
    }

    /// Unmaps the first `count` pages from `number` on. Entries are retired.
    fn drop_copies(&mut self, number: u32, count: usize) -> Result<(), Error> {
        for at in number..number + count as u32 {
            let Some(entry) = self.entry_at(at) else {
                break;
            };
            let copy = entry.page;
            entry.retire();
            self.drop_copy(copy)?;
        }
        Ok(())
    }

    /// Unmaps one page of a dead client's attachments. The last one to let go frees the dataspace.
    pub(crate) fn take_back_copy(&mut self, client: ClientIndex, copy: u32) -> Result<(), Error> {
        let dataspace = self.copies.get(copy).map(|copy| copy.dataspace);
        self.drop_copy(copy)?;
        if let Some(dataspace) = dataspace
            && self.is_let_go(dataspace)
        {
            self.hand_dataspace(client, dataspace);
        }
        Ok(())
    }

    /// Whether neither its maker holds a dataspace nor anybody has it attached.
    fn is_let_go(&self, dataspace: u32) -> bool {
        self.dataspaces
            .get(dataspace)
            .is_some_and(|it| !it.held && it.copies == 0)
    }

    /// A slot for a copy, on the client's list.
    fn take_copy(&mut self, client: ClientIndex, dataspace: u32) -> Result<u32, Error> {
        self.charge_slots(client, 1)?;
        let limit = self.copies.capacity() as u64;
        let account = self
            .clients
            .get_mut(client.index())
            .ok_or(Error::NotPermitted)?;
        let Some(copy) = self.copies.take(dataspace, client, &mut account.copies) else {
            self.refund_slots(client, 1);
            return Err(Error::OutOfSlots { limit });
        };
        account.counters.attached_pages += 1;
        if let Some(dataspace) = self.dataspaces.get_mut(dataspace) {
            dataspace.copies += 1;
        }
        Ok(copy)
    }

    /// Frees a slot for a copy, which is empty.
    fn give_copy(&mut self, copy: u32) {
        let Some(place) = self.copies.get(copy).copied() else {
            return;
        };
        if let Some(dataspace) = self.dataspaces.get_mut(place.dataspace) {
            dataspace.copies -= 1;
        }
        if let Some(account) = self.clients.get_mut(place.owner.index()) {
            account.counters.attached_pages -= 1;
            self.copies.give(copy, &mut account.copies);
        }
        self.refund_slots(place.owner, 1);
    }

    /// Unmaps what is mapped by a copy, and empties its slot.
    fn drop_copy(&mut self, copy: u32) -> Result<(), Error> {
        self.kernel.unmap_page(Slot::Copy(copy))?;
        self.kernel.delete(Slot::Copy(copy))?;
        self.give_copy(copy);
        Ok(())
    }
}
