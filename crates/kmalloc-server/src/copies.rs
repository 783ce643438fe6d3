// SPDX-License-Identifier: BSD-2-Clause
//! The pool of slots for copies of capabilities: one for each page of a dataspace that a client has mapped, and one for each
//! page of DMA memory and each function that reaches it through an IOMMU.

use crate::kernel::ClientIndex;
use alloc::vec;
use alloc::vec::Vec;
use kmalloc_bucket::ledger::NONE;

/// Slots for copies on a machine with room for this many pages: an eighth of them can be mapped a second time.
pub const fn copy_count(page_capacity: usize) -> usize {
    let wanted = page_capacity / 8;
    if wanted < 4096 {
        4096
    } else if wanted > 65_536 {
        65_536
    } else {
        wanted
    }
}

/// What a copy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A page of a dataspace, by the dataspace's place in the table, is mapped in its owner's address space.
    Attached(u32),
    /// A page of its owner's DMA memory is mapped for a function.
    Reached {
        /// Which.
        function: u8,
        /// What the page's entry in the ledger said before: see [`crate::iommu`].
        before: u32,
    },
}

/// A slot of the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameCopy {
    /// What it is for; of a slot that is free, what it was for.
    pub purpose: Purpose,
    /// Who has it mapped.
    pub owner: ClientIndex,
    /// The owner's next copy; of a slot that is free, the next free one.
    next: u32,
    /// The owner's copy before.
    previous: u32,
}

/// All slots of the pool.
#[derive(Debug)]
pub(crate) struct Copies {
    copies: Vec<FrameCopy>,
    free: u32,
}

impl Copies {
    /// `count` free slots.
    pub(crate) fn new(count: usize) -> Copies {
        let mut copies = vec![
            FrameCopy {
                purpose: Purpose::Attached(NONE),
                owner: ClientIndex(u16::MAX),
                next: NONE,
                previous: NONE,
            };
            count
        ];
        for (next, copy) in (1..count as u32).zip(&mut copies) {
            copy.next = next;
        }
        Copies { copies, free: 0 }
    }

    /// How many slots there are.
    pub(crate) fn capacity(&self) -> usize {
        self.copies.len()
    }

    /// A slot of the pool.
    pub(crate) fn get(&self, copy: u32) -> Option<&FrameCopy> {
        self.copies.get(copy as usize)
    }

    /// Takes a free slot and puts it on the list of its owner, which begins at `head`; `None` where none is free.
    pub(crate) fn take(
        &mut self,
        purpose: Purpose,
        owner: ClientIndex,
        head: &mut u32,
    ) -> Option<u32> {
        let copy = self.free;
        let place = self.copies.get_mut(copy as usize)?;
        self.free = place.next;
        *place = FrameCopy {
            purpose,
            owner,
            next: *head,
            previous: NONE,
        };
        if let Some(old_head) = self.copies.get_mut(*head as usize) {
            old_head.previous = copy;
        }
        *head = copy;
        Some(copy)
    }

    /// The dataspace that a copy is of a page of.
    pub(crate) fn dataspace(&self, copy: u32) -> Option<u32> {
        match self.get(copy)?.purpose {
            Purpose::Attached(dataspace) => Some(dataspace),
            Purpose::Reached { .. } => None,
        }
    }

    /// Takes a slot off its owner's list, which begins at `head`, and frees it.
    pub(crate) fn give(&mut self, copy: u32, head: &mut u32) {
        let free = self.free;
        let Some(place) = self.copies.get_mut(copy as usize) else {
            return;
        };
        let (previous, next) = (place.previous, place.next);
        place.next = free;
        self.free = copy;
        match self.copies.get_mut(previous as usize) {
            Some(before) => before.next = next,
            None => *head = next,
        }
        if let Some(after) = self.copies.get_mut(next as usize) {
            after.previous = previous;
        }
    }
}
