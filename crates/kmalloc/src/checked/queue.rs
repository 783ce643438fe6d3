// SPDX-License-Identifier: BSD-2-Clause
//! The queue in which freed blocks wait. Their links are mixed with the secret, and checked.

use super::Secret;
use core::ptr::{self, NonNull};

/// Bytes of a queued block that hold its link.
pub(crate) const LINK_SIZE: usize = 16;

/// Freed blocks of one class, in the order in which they were freed.
#[derive(Clone, Copy)]
pub(crate) struct Queue {
    first: *mut u8,
    last: *mut u8,
    pub length: usize,
}

impl Queue {
    pub const NONE: Queue = Queue {
        first: ptr::null_mut(),
        last: ptr::null_mut(),
        length: 0,
    };

    /// Adds a free block at the end, and returns the one in front of it if something was written to its link.
    ///
    /// # Safety
    ///
    /// `block` has at least 32 bytes and is the queue's from now on.
    pub unsafe fn push(&mut self, secret: &Secret, block: NonNull<u8>) -> Option<NonNull<u8>> {
        let mut damaged = None;
        // SAFETY: the blocks in the queue are its own.
        unsafe {
            write_link(secret, block, ptr::null_mut());
            match NonNull::new(self.last) {
                Some(last) => {
                    if read_link(secret, last) != Some(ptr::null_mut()) {
                        damaged = Some(last);
                    }
                    write_link(secret, last, block.as_ptr());
                }
                None => self.first = block.as_ptr(),
            }
        }
        self.last = block.as_ptr();
        self.length += 1;
        damaged
    }

    /// Takes the first block, which is not empty, and says whether its link was whole. If it was not, the blocks behind it
    /// can't be found any more; they are never used again.
    pub fn pop(&mut self, secret: &Secret) -> Option<(NonNull<u8>, bool)> {
        let block = NonNull::new(self.first)?;
        // SAFETY: the block is the queue's own.
        let Some(next) = (unsafe { read_link(secret, block) }) else {
            *self = Queue::NONE;
            return Some((block, false));
        };
        self.first = next;
        self.length -= 1;
        if next.is_null() {
            self.last = ptr::null_mut();
        }
        Some((block, true))
    }
}

/// # Safety
///
/// `block` has at least 16 bytes, which nobody uses.
unsafe fn write_link(secret: &Secret, block: NonNull<u8>, next: *mut u8) {
    let address = block.addr().get();
    let hidden = next.map_addr(|next| next ^ secret.mix(address, 2) as usize);
    let check = secret.mix(address, 3 + next.addr() as u64);
    // SAFETY: as the caller says.
    unsafe {
        block.cast::<*mut u8>().write(hidden);
        block.cast::<u64>().add(1).write(check);
    }
}

/// # Safety
///
/// As [`write_link`].
unsafe fn read_link(secret: &Secret, block: NonNull<u8>) -> Option<*mut u8> {
    let address = block.addr().get();
    // SAFETY: as the caller says.
    let (hidden, check) = unsafe {
        (
            block.cast::<*mut u8>().read(),
            block.cast::<u64>().add(1).read(),
        )
    };
    let next = hidden.map_addr(|hidden| hidden ^ secret.mix(address, 2) as usize);
    (check == secret.mix(address, 3 + next.addr() as u64)).then_some(next)
}
