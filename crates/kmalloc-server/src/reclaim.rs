// SPDX-License-Identifier: BSD-2-Clause
//! Taking back what dead clients had, in slices.

use crate::Server;
use crate::client::{Life, NO_BADGE};
use crate::kernel::{ClientIndex, Kernel, Slot};
use crate::memory::{PageInfo, Role};
use crate::physical::{CHUNK_PAGES, Page};
use kmalloc_bucket::ledger::NONE;
use kmalloc_protocol::Error;

impl<K: Kernel> Server<K> {
    /// Takes everything from a client at once, and vacates its place: one that could not be built.
    pub(crate) fn take_all_back(&mut self, client: ClientIndex) -> Result<(), Error> {
        let account = self.client_mut(client)?;
        account.life = Life::Ending;
        account.badge = NO_BADGE;
        self.end_reservation(client);
        while !self.take_back_slice(client, usize::MAX)? {}
        self.vacate(client)
    }

    /// Takes up to `budget` things from a client that has ended; true when nothing is left but what others have attached.
    pub(crate) fn take_back_slice(
        &mut self,
        client: ClientIndex,
        budget: usize,
    ) -> Result<bool, Error> {
        for _ in 0..budget {
            // What its devices reach comes first, before any page of it.
            let copy = self.client_mut(client)?.copies;
            if copy != NONE {
                self.take_back_copy(client, copy)?;
                continue;
            }
            if self.take_back_device_page(client)? {
                continue;
            }
            let account = self.client_mut(client)?;
            if account.dataspaces != NONE {
                let dataspace = account.dataspaces;
                self.take_back_dataspace(client, dataspace);
                continue;
            }
            // Segments last of what is in the address space: while anything is mapped there, nobody else gets them.
            if account.pages != NONE {
                let page = Page(account.pages);
                self.take_back_page(page)?;
            } else if let Some(segment) =
                account.segments.iter().copied().find(|head| *head != NONE)
            {
                self.abandon_segment(client, segment)?;
            } else if account.stock != NONE {
                self.open_chunk(client)?;
            } else if account.chunks != NONE {
                let first = Page(account.chunks);
                self.take_back_chunk(client, first)?;
            } else {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Closes a segment of a dead client. Its table goes with a chunk; its frames are back already.
    fn abandon_segment(&mut self, client: ClientIndex, segment: u32) -> Result<(), Error> {
        let Some(window) = self.segments.get(segment).map(|open| open.window) else {
            return Ok(());
        };
        let account = self.client_mut(client)?;
        let (generation, mut head) = (account.generation, *account.segments_of(window));
        self.segments.close(segment, generation, &mut head);
        let account = self.client_mut(client)?;
        *account.segments_of(window) = head;
        account.segment_count -= 1;
        Ok(())
    }

    fn take_back_page(&mut self, page: Page) -> Result<(), Error> {
        match self.info(page).role {
            Role::LargeMapped => {
                let large = page.chunk().large();
                self.kernel.unmap_page(Slot::LargeFrame(large))?;
                self.return_large(large)
            }
            // Ledgers shrink from their ends; each frame of one leads to all of them.
            Role::Ledger => self.pop_ledger(self.info(page).place).map(|_| ()),
            Role::Unmapped => {
                self.return_page(page, false);
                Ok(())
            }
            _ => {
                self.kernel.unmap_page(Slot::Page(page))?;
                self.return_page(page, false);
                Ok(())
            }
        }
    }

    fn take_back_chunk(&mut self, client: ClientIndex, first: Page) -> Result<(), Error> {
        let chunk = first.chunk();
        self.kernel.revoke(Slot::Chunk(chunk))?;
        let (next, objects) = (self.info(first).next, self.info(first).place as usize);
        for page in chunk.pages() {
            self.set_info(Page(page as u32), PageInfo::FREE);
        }
        let account = self.client_mut(client)?;
        account.chunks = next;
        account.counters.object_chunks -= 1;
        self.refund(client, CHUNK_PAGES, 1 + objects);
        self.physical.give_chunk(chunk);
        self.wake_cleaner();
        Ok(())
    }
}
