// SPDX-License-Identifier: BSD-2-Clause
//! Cleaning of memory while nobody asks for any. The server only says what is to be cleaned; a worker does it.

use crate::Server;
use crate::kernel::{Kernel, Worker};
use crate::memory::bytes;
use crate::notices::ALL_PAGES;
use crate::physical::Cleaning;
use kmalloc_protocol::Error;

impl<K: Kernel> Server<K> {
    /// The next thing to clean, which nobody can have until [`Server::cleaned`]; `None` where nothing is worth it, or the
    /// last one is not done.
    pub fn next_cleaning(&mut self) -> Option<Cleaning> {
        if self.hurried && !self.physical.is_wanting() {
            self.hurried = false;
            self.kernel.hurry_cleaner(false);
        }
        self.physical.keep_usable(self.set_aside());
        self.physical.begin_cleaning()
    }

    /// What [`Server::next_cleaning`] gave is done; `clean` unless the kernel refused.
    pub fn cleaned(&mut self, clean: bool) {
        self.physical.end_cleaning(clean);
        self.note_giving(0);
        self.note_all_clean();
    }

    /// Somebody wants so many pages. If dirty large pages are why they can't be had, the cleaner no longer waits until
    /// nobody else has anything to do: that may be never.
    pub(crate) fn want_pages(&mut self, pages: usize) {
        if self.physical.want(pages) && !self.hurried {
            self.hurried = true;
            self.kernel.hurry_cleaner(true);
        }
    }

    /// The refusal of `pages` pages that can't be had, or can't be had yet, by a client for which `own` are set aside.
    #[cold]
    pub(crate) fn out_of_memory(&mut self, pages: usize, own: usize) -> Error {
        self.want_pages(pages);
        let requested = bytes(pages);
        let usable = bytes(self.usable_for(own));
        let free = (self.physical.free_pages() + own).saturating_sub(self.set_aside());
        let free = bytes(free);
        if free >= requested && free > usable {
            Error::BeingCleaned {
                usable,
                free,
                requested,
            }
        } else {
            Error::OutOfMemory { free, requested }
        }
    }

    /// The refusal of a run of so many pages that there will be once everything free is clean, by a client for which `own`
    /// pages are set aside.
    #[cold]
    pub(crate) fn wait_for_cleaning(&mut self, pages: usize, own: usize) -> Error {
        self.want_pages(ALL_PAGES);
        let free = (self.physical.free_pages() + own).saturating_sub(self.set_aside());
        Error::BeingCleaned {
            usable: bytes(self.usable_for(own)),
            free: bytes(free),
            requested: bytes(pages),
        }
    }

    /// There may be something to clean, and somebody may wait for it.
    pub(crate) fn wake_cleaner(&mut self) {
        self.kernel.wake(Worker::Cleaner);
        if let Some(pages) = self.awaited() {
            self.want_pages(pages);
        }
    }
}
