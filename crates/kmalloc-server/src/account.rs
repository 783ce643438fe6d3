// SPDX-License-Identifier: BSD-2-Clause
//! Accounts: what a client may have, what is set aside for it, and what it has, in pages and in slots.
//!
//! What a client has reserved and has not taken is set aside: nobody else's request goes beyond what is left without it.
//! All of it is one sum, so that a request is checked in a few instructions, and pages are charged as they are taken: a
//! served block costs nothing here.
//!
//! Invariant: pages that can be taken >= pages set aside.

use crate::Server;
use crate::client::{Client, DIRECTORIES_MAX};
use crate::kernel::{ClientIndex, Kernel};
use crate::memory::bytes;
use crate::physical::CHUNK_PAGES;
use kmalloc_protocol::Error;
use kmalloc_protocol::window::Window;

/// Pages of a stock of chunks for what the threads behind the first one are made of, gaps included.
const THREAD_PAGES: usize = 16;
/// Slots that a client may have besides two for each page of its limit, unless its manifest entry says otherwise.
const SLOTS_BASE: usize = 64;

/// Slots of a client: one for each capability that the server holds for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// How many it may have.
    pub limit: usize,
    /// How many it has.
    pub committed: usize,
    /// The most it has had.
    pub peak: usize,
}

impl Slots {
    /// No slots.
    pub const NONE: Slots = Slots {
        limit: 0,
        committed: 0,
        peak: 0,
    };

    fn take(&mut self, slots: usize) {
        self.committed += slots;
        self.peak = self.peak.max(self.committed);
    }

    /// Slots for a client that may have so many pages: enough for those, and for as many of others' attached.
    pub fn for_pages(limit_pages: usize) -> Slots {
        Slots {
            limit: limit_pages.saturating_mul(2).saturating_add(SLOTS_BASE),
            ..Slots::NONE
        }
    }
}

impl Client {
    /// Pages that are set aside for it.
    pub fn set_aside(&self) -> usize {
        self.reserved_pages.saturating_sub(self.committed_pages)
    }

    /// Pages of its limit that it can give to a child.
    pub(crate) fn spare_limit(&self) -> usize {
        let kept = self.committed_pages.max(self.reserved_pages);
        self.limit_pages.saturating_sub(kept)
    }
}

impl<K: Kernel> Server<K> {
    /// Pages that are set aside for clients and not taken yet.
    pub fn set_aside(&self) -> usize {
        self.set_aside
    }

    /// Whether the client may have `pages` pages more.
    pub(crate) fn check_quota(&mut self, client: ClientIndex, pages: usize) -> Result<(), Error> {
        let Client {
            limit_pages,
            committed_pages,
            ..
        } = *self.client_mut(client)?;
        if pages > limit_pages.saturating_sub(committed_pages) {
            let (limit, committed) = (bytes(limit_pages), bytes(committed_pages));
            return Err(Error::OverQuota {
                limit,
                committed,
                requested: bytes(pages),
            });
        }
        Ok(())
    }

    /// Whether `pages` pages more are within the client's quota, and there for it.
    pub(crate) fn check_supply(&mut self, client: ClientIndex, pages: usize) -> Result<(), Error> {
        self.check_quota(client, pages)?;
        let own = self.client_mut(client)?.set_aside();
        if pages > self.usable_for(own) {
            return Err(self.out_of_memory(pages, own));
        }
        Ok(())
    }

    /// Pages that can be taken by a client for whom `own` of them are set aside.
    pub(crate) fn usable_for(&self, own: usize) -> usize {
        let usable = self.physical.usable_pages() + own;
        usable.saturating_sub(self.set_aside)
    }

    /// Charges what is about to be taken, in pages and in slots.
    pub(crate) fn charge(
        &mut self,
        client: ClientIndex,
        pages: usize,
        slots: usize,
    ) -> Result<(), Error> {
        self.check_supply(client, pages)?;
        self.check_slots(client, slots)?;
        self.add_charge(client, pages, slots);
        self.note_taking(pages);
        Ok(())
    }

    /// Charges what was found to be within quota and supply, and has been taken, in pages and in slots.
    pub(crate) fn commit(&mut self, client: ClientIndex, pages: usize, slots: usize) {
        self.add_charge(client, pages, slots);
        self.note_taking(0);
    }

    fn add_charge(&mut self, client: ClientIndex, pages: usize, slots: usize) {
        let Some(account) = self.clients.get_mut(client.index()) else {
            return;
        };
        account.slots.take(slots);
        let before = account.set_aside();
        account.committed_pages += pages;
        account.committed_peak = account.committed_peak.max(account.committed_pages);
        let taken = before - account.set_aside();
        self.set_aside -= taken;
    }

    /// Takes a charge back.
    pub(crate) fn refund(&mut self, client: ClientIndex, pages: usize, slots: usize) {
        self.refund_slots(client, slots);
        if let Some(account) = self.clients.get_mut(client.index()) {
            let before = account.set_aside();
            account.committed_pages -= pages;
            self.set_aside += account.set_aside() - before;
        }
        self.note_giving(pages);
    }

    /// Charges slots alone: for objects in memory that is charged already, and for copies of others' frames.
    pub(crate) fn charge_slots(&mut self, client: ClientIndex, slots: usize) -> Result<(), Error> {
        self.check_slots(client, slots)?;
        self.client_mut(client)?.slots.take(slots);
        Ok(())
    }

    /// Whether the client may have so many slots more.
    pub(crate) fn check_slots(&mut self, client: ClientIndex, slots: usize) -> Result<(), Error> {
        let account = self.client_mut(client)?.slots;
        if slots > account.limit.saturating_sub(account.committed) {
            let limit = account.limit as u64;
            return Err(Error::OutOfSlots { limit });
        }
        Ok(())
    }

    pub(crate) fn refund_slots(&mut self, client: ClientIndex, slots: usize) {
        if let Some(account) = self.clients.get_mut(client.index()) {
            account.slots.committed -= slots;
        }
    }

    /// Sets pages aside for a client, which it can then have whatever others do.
    pub(crate) fn reserve(&mut self, client: ClientIndex, pages: usize) -> Result<(), Error> {
        let Client {
            limit_pages,
            committed_pages,
            ..
        } = *self.client_mut(client)?;
        if pages > limit_pages {
            return Err(Error::OverQuota {
                limit: bytes(limit_pages),
                committed: bytes(committed_pages),
                requested: bytes(pages),
            });
        }
        let wanted = pages.saturating_sub(committed_pages);
        if wanted > self.usable_for(0) {
            return Err(self.out_of_memory(wanted, 0));
        }
        self.client_mut(client)?.reserved_pages = pages;
        self.set_aside += wanted;
        Ok(())
    }

    /// Nothing is set aside for a client any more.
    pub(crate) fn end_reservation(&mut self, client: ClientIndex) {
        if let Some(account) = self.clients.get_mut(client.index()) {
            self.set_aside -= account.set_aside();
            account.reserved_pages = 0;
        }
    }

    /// Chunks that a client with a reservation has to have from the start, so that no later request of its needs more than
    /// single pages: enough for the page tables and directories of all segments that it could use, and for its threads.
    pub(crate) fn stock_chunks(&self, client: ClientIndex) -> usize {
        let Some(account) = self.clients.get(client.index()) else {
            return 0;
        };
        if account.reserved_pages == 0 {
            return 0;
        }
        // A segment in use has a page of a ledger; the last one of each window stays without.
        let in_use = account.reserved_pages + Window::ALL.len();
        let tables = account.segment_limit().min(in_use);
        let pages = tables + tables.min(DIRECTORIES_MAX) + THREAD_PAGES;
        // An object that has no room at the end of a chunk leaves a gap there.
        pages.div_ceil(CHUNK_PAGES - 1)
    }
}
