// SPDX-License-Identifier: BSD-2-Clause
//! Making room: where no run of free pages is long enough, pages of clients that allow it are moved out of one.
//!
//! A page is unmapped, copied, and mapped again at the same address in one step of the server. Its owner can run in between
//! only where the kernel takes the processor from the server just then; what it touches faults, and that fault is answered
//! by another try once the page is back ([`Server::fault`]).

use crate::Server;
use crate::client::{Client, Life};
use crate::kernel::{ClientIndex, Kernel, Mapping, Slot};
use crate::memory::{PageInfo, Role, bytes};
use crate::physical::{PAGE_BITS, Page, RunRequest};
use crate::segments::place_of;
use core::ops::Range;
use kmalloc_protocol::Error;
use kmalloc_protocol::window::Window;

/// Pages that one request moves at the most.
const MOVES_MAX: usize = 64;

impl<K: Kernel> Server<K> {
    /// From now on pages of this client may be moved.
    pub fn allow_moving(&mut self, client: ClientIndex) {
        if let Some(account) = self.clients.get_mut(client.index()) {
            account.movable = true;
        }
    }

    /// Takes a run that satisfies `request` by moving pages out of it; zeroed, and charged to nobody yet. `None` where no
    /// run can be had like that. What was moved stays where it is, also when the request then fails.
    pub(crate) fn make_room(
        &mut self,
        request: &RunRequest,
    ) -> Result<Option<Range<usize>>, Error> {
        // As many pages as are gained somewhere are taken elsewhere.
        if self.physical.usable_pages() < request.pages {
            return Ok(None);
        }
        let is_movable = |page| self.is_movable(page);
        let Some(run) = self
            .physical
            .find_run_to_clear(request, MOVES_MAX, is_movable)
        else {
            return Ok(None);
        };
        match self.clear_run(run.clone()) {
            Ok(()) => Ok(Some(run)),
            Err(error) => {
                for index in run {
                    let page = Page(index as u32);
                    // What is neither free nor anybody's was taken here.
                    if self.info(page).role == Role::Free && !self.physical.is_available(page) {
                        self.physical.give_clean_page(page);
                    }
                }
                Err(error)
            }
        }
    }

    /// Whether a page can be moved: mapped, of a client that allows it, and in a window where all pages are mapped in the same
    /// way and no device or other client knows of them.
    fn is_movable(&self, page: Page) -> bool {
        let PageInfo {
            role, owner, place, ..
        } = self.info(page);
        let owner = self.clients.get(usize::from(owner));
        role == Role::Mapped
            && owner.is_some_and(|owner| owner.movable && owner.life == Life::Alive)
            && matches!(
                Window::of((place as usize) << PAGE_BITS),
                Some(Window::Served | Window::Resident | Window::Large)
            )
    }

    /// Takes the free pages of a run, then moves the others out of it.
    fn clear_run(&mut self, run: Range<usize>) -> Result<(), Error> {
        for index in run.clone() {
            if self.physical.is_available(Page(index as u32)) {
                while let Some(step) = self.physical.next_step_for_run(index..index + 1) {
                    self.carry_out(step)?;
                }
                self.physical.take_run(index..index + 1);
            }
        }
        for index in run {
            let page = Page(index as u32);
            if self.info(page).role == Role::Mapped {
                self.replace_page(page)?;
            }
        }
        Ok(())
    }

    /// Moves a page to another frame. The old one is zeroed, and nobody's.
    fn replace_page(&mut self, from: Page) -> Result<(), Error> {
        let info = self.info(from);
        let address = (info.place as usize) << PAGE_BITS;
        let to = self.supply_page()?;
        let Client {
            vspace, threads, ..
        } = *self.client_mut(ClientIndex(info.owner))?;
        let vspace = Page(vspace);
        if let Err(refused) = self.kernel.unmap_page(Slot::Page(from)) {
            self.physical.give_clean_page(to);
            return Err(refused.into());
        }
        // Each thread may be on its way to this page.
        self.client_mut(ClientIndex(info.owner))?.retries = threads;
        let moved = self.kernel.copy_page(from, to).and_then(|()| {
            self.kernel
                .map_page(Slot::Page(to), vspace, address, Mapping::MEMORY)
        });
        if let Err(refused) = moved {
            self.physical.give_page(to);
            // Its tables stand: nothing is missing that was there a moment ago.
            self.kernel
                .map_page(Slot::Page(from), vspace, address, Mapping::MEMORY)?;
            return Err(refused.into());
        }
        let (segment, page) = place_of(address);
        if let Some(entry) = self.entry(segment, page) {
            entry.page = to.0;
        }
        self.transplant(from, to);
        if let Err(refused) = self.kernel.scrub(from) {
            self.physical.give_page(from);
            return Err(refused.into());
        }
        Ok(())
    }

    /// Puts a page in the place of another on its owner's list.
    fn transplant(&mut self, from: Page, to: Page) {
        let info = self.info(from);
        self.set_info(from, PageInfo::FREE);
        self.set_info(to, info);
        if !self.set_next(info.previous, to.0)
            && let Some(account) = self.clients.get_mut(usize::from(info.owner))
        {
            account.pages = to.0;
        }
        self.set_previous(info.next, to.0);
    }

    /// The refusal of a run for want of contiguous memory, or of any.
    pub(crate) fn why_no_run(&mut self, run: &RunRequest, own: usize) -> Error {
        let requested = bytes(run.pages);
        if self.physical.cleaning_gives(run) {
            return self.wait_for_cleaning(run.pages, own);
        }
        let below = bytes(self.physical.largest_run(run.max_addr));
        let largest = bytes(self.physical.largest_run(u64::MAX));
        if below < requested && largest >= requested {
            return Error::AddressLimit {
                max_addr: run.max_addr,
                largest: below,
            };
        }
        if self.physical.usable_pages() < run.pages {
            return self.out_of_memory(run.pages, own);
        }
        Error::NoContiguousRun {
            largest: below,
            requested,
        }
    }
}
