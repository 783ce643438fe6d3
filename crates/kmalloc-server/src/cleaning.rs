// SPDX-License-Identifier: BSD-2-Clause
//! Cleaning of memory while nobody asks for any. The server only says what is to be cleaned; a worker does it.

use crate::Server;
use crate::kernel::{Kernel, Worker};
use crate::physical::Cleaning;

impl<K: Kernel> Server<K> {
    /// The next thing to clean, which nobody can have until [`Server::cleaned`]; `None` where nothing is worth it, or the
    /// last one is not done.
    pub fn next_cleaning(&mut self) -> Option<Cleaning> {
        self.physical.begin_cleaning()
    }

    /// What [`Server::next_cleaning`] gave is done; `clean` unless the kernel refused.
    pub fn cleaned(&mut self, clean: bool) {
        self.physical.end_cleaning(clean);
    }

    /// There may be something to clean.
    pub(crate) fn wake_cleaner(&mut self) {
        self.kernel.wake(Worker::Cleaner);
    }
}
