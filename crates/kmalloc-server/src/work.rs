// SPDX-License-Identifier: BSD-2-Clause
//! What no request waits for, in slices between the requests.

use crate::Server;
use crate::kernel::{ClientIndex, Kernel};

/// Things that one slice takes from clients that have ended: each is a page or large page unmapped, a frame of a ledger,
/// a segment, or a chunk of objects revoked.
const SLICE: usize = 8;

impl<K: Kernel> Server<K> {
    /// Does a slice of the work that no request waits for; whether there is more.
    pub fn work(&mut self) -> bool {
        let Some(place) = self.ending.first() else {
            return false;
        };
        match self.take_back_slice(ClientIndex(place as u16), SLICE) {
            Ok(false) => {}
            // What the kernel does not take back stays charged to the dead client, and the books say so.
            Ok(true) | Err(_) => {
                self.ending.remove(place);
            }
        }
        !self.ending.is_empty()
    }

    /// Whether clients that have ended still have something that [`Server::work`] takes from them.
    pub fn is_taking_back(&self) -> bool {
        !self.ending.is_empty()
    }
}
