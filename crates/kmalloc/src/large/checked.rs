// SPDX-License-Identifier: BSD-2-Clause
//! Large blocks in checked mode: freed ones wait, full of poison, before their addresses can be anyone's again.

use super::{CACHE_SIZE_MAX, Large};
use crate::checked::{is_poisoned, poison};
use core::ptr::NonNull;

/// Fills a block that is about to be freed, unless it is too long to wait.
///
/// # Safety
///
/// The block has so many bytes, and is nobody's.
pub(crate) unsafe fn prepare(block: NonNull<u8>, bytes: usize) {
    if bytes <= CACHE_SIZE_MAX {
        // SAFETY: as the caller says.
        unsafe { poison(block, 0, bytes) };
    }
}

impl Large {
    /// Whether the records are what the heap wrote. If not, they are forgotten, and the blocks with them.
    pub fn look(&mut self) -> bool {
        let is_whole = self.table.is_whole();
        if !is_whole {
            *self = Large::new();
        }
        is_whole
    }

    /// Whether a freed block that waits begins there.
    pub fn is_waiting(&self, block: NonNull<u8>) -> bool {
        let mut waiting = self.cache.iter().flatten();
        waiting.any(|&(other, _)| other == block)
    }

    /// A freed block and its bytes that something was written to; each is named once.
    pub fn take_damaged(&mut self) -> Option<(NonNull<u8>, usize)> {
        self.damaged.iter_mut().find_map(Option::take)
    }

    /// Notes a freed block if something was written to it. It goes back all the same.
    pub(super) fn look_for_writes(&mut self, block: NonNull<u8>, bytes: usize) {
        // SAFETY: the block waited, so it is mapped.
        if unsafe { is_poisoned(block, 0, bytes) } {
            return;
        }
        // There is room: all that waits goes at most once between two reports.
        if let Some(place) = self.damaged.iter_mut().find(|place| place.is_none()) {
            *place = Some((block, bytes));
        }
    }
}
