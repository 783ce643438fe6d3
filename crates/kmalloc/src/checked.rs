// SPDX-License-Identifier: BSD-2-Clause
//! The words by which the checked mode knows blocks: trailers, links, seals, and the violations that they show.
//!
//! A block ends in a **trailer** of 16 bytes: the size asked for with the number of a tag, and the state, each mixed with
//! the heap's secret and the block's address. What lies between the bytes asked for and the trailer is filled with a
//! canary. A freed block is filled with poison and waits in a queue (its links are mixed with the secret too, and checked)
//! before it is used again. The header of a segment bears a **seal**, a digest of all of it, whenever the heap is at rest.
//!
//! What is in front of a block in a segment is always a trailer's **stamp**: of the block there, of the bucket or the run
//! that ends there, or one that was written to the end of a free page for that.

mod queue;
mod seal;
mod trailer;

use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
pub(crate) use queue::{LINK_SIZE, Queue};
pub(crate) use seal::Seals;
pub(crate) use trailer::{
    State, TRAILER_SIZE, Trailer, bucket_end, is_poisoned, is_stamped, poison, stamp_page,
};

/// What a program did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The pointer is not the start of a block.
    BadPointer,
    /// The block was freed before.
    DoubleFree,
    /// Something was written behind the bytes that were asked for.
    Overflow,
    /// Something was written in front of the block.
    Underflow,
    /// Something was written to the block after it was freed.
    WriteAfterFree,
    /// The block was freed with a layout of another size than it was allocated with.
    WrongSize,
    /// Something was written to the heap's own books: the header of a segment, or the records of the large blocks.
    BadBooks,
}

/// The call that found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `kmalloc`, `kcalloc`, `alloc`.
    Allocate,
    /// `kfree`, `dealloc`.
    Free,
    /// `krealloc`, `realloc`.
    Reallocate,
    /// `ksize`.
    Size,
    /// `trim`, or a thread's end.
    Trim,
}

/// A mistake of the program, with where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was done wrong.
    pub fault: Fault,
    /// The call that found it.
    pub call: Call,
    /// The address that the call was about, or that of the damaged block.
    pub address: usize,
    /// Bytes in blocks of its class, the checked mode's own included; 0 if it is in none.
    pub block_size: usize,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            fault,
            call,
            address,
            block_size,
        } = self;
        write!(
            formatter,
            "kmalloc: {fault:?} at {address:#x}, class of {block_size} bytes, found by {call:?}"
        )
    }
}

/// The program's hook; null for the default.
static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Has `hook` called with each violation, instead of a panic. When it returns, a block that was to be freed or resized
/// stays as it is, and a free one that was damaged is not used again (but for one whose link alone was, which is mended). A
/// segment whose books were damaged is never used again, nor are those behind it in the heap's list.
pub fn set_violation_hook(hook: fn(&Violation)) {
    HOOK.store(hook as *mut (), Ordering::Release);
}

/// Reports a violation.
#[cold]
pub(crate) fn report(fault: Fault, call: Call, address: NonNull<u8>, block_size: usize) {
    let violation = Violation {
        fault,
        call,
        address: address.addr().get(),
        block_size,
    };
    let hook = HOOK.load(Ordering::Acquire);
    if hook.is_null() {
        panic!("{violation}");
    }
    // SAFETY: only `set_violation_hook` writes it.
    let hook: fn(&Violation) = unsafe { core::mem::transmute(hook) };
    hook(&violation);
}

/// A heap's secret: what is written without knowing it is seen to be foreign.
pub(crate) struct Secret(AtomicU64);

impl Secret {
    pub const fn new() -> Secret {
        Secret(AtomicU64::new(0))
    }

    /// A word that depends on the secret, an address, and what it is for.
    fn mix(&self, address: usize, purpose: u64) -> u64 {
        let mut word = self.get() ^ (address as u64) ^ purpose.rotate_left(32);
        for _ in 0..2 {
            word = (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        word ^ (word >> 32)
    }

    /// A word that depends on the secret, an address, and all of these words.
    pub fn digest(&self, address: usize, words: impl Iterator<Item = u64>) -> u64 {
        let mut digest = self.mix(address, 4);
        for word in words {
            digest = (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            digest ^= digest >> 32;
        }
        digest ^ self.mix(address, 5)
    }

    fn get(&self) -> u64 {
        let secret = self.0.load(Ordering::Relaxed);
        if secret != 0 {
            return secret;
        }
        let drawn = (clock() ^ (self as *const Secret).addr() as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            | 1;
        // Who is first decides.
        match self
            .0
            .compare_exchange(0, drawn, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => drawn,
            Err(first) => first,
        }
    }
}

/// Something that differs from run to run.
fn clock() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: every x86_64 has the instruction.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    0
}
