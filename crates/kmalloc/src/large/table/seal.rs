// SPDX-License-Identifier: BSD-2-Clause
//! A digest of the table's entries, in whatever order they stand: the table lies in memory that a program can write to.

use super::{Entry, Table};
use crate::checked::Secret;

/// The sum of the digests of all entries.
pub(super) struct Seal {
    secret: Secret,
    sum: u64,
}

impl Seal {
    /// Of no entries.
    pub const fn new() -> Seal {
        Seal {
            secret: Secret::new(),
            sum: 0,
        }
    }

    pub fn add(&mut self, entry: Entry) {
        self.sum = self.sum.wrapping_add(self.digest(entry));
    }

    pub fn remove(&mut self, entry: Entry) {
        self.sum = self.sum.wrapping_sub(self.digest(entry));
    }

    fn digest(&self, entry: Entry) -> u64 {
        self.secret.digest(0, core::iter::once(entry))
    }
}

impl Table {
    /// Whether the entries are what the heap wrote. Only then does a search end.
    pub fn is_whole(&self) -> bool {
        let found = self.entries().iter().filter(|&&entry| entry != 0);
        let sum = found.fold(0_u64, |sum, &entry| {
            sum.wrapping_add(self.seal.digest(entry))
        });
        sum == self.seal.sum
    }
}
