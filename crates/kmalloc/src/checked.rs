// SPDX-License-Identifier: BSD-2-Clause
//! The words by which the checked mode knows blocks: trailers, links, and the violations that they show.
//!
//! A block ends in a **trailer** of 16 bytes: the size asked for with the number of a tag, and the state, each mixed with the heap's secret and the
//! block's address. What lies between the bytes asked for and the trailer is filled with a canary. A freed block is
//! filled with poison and waits in a queue (its links are mixed with the secret too, and checked) before it is used again.

use crate::tags::Number;
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use kmalloc_bucket::resident::PAGE_SIZE;
use kmalloc_bucket::resident::buckets::Bucket;

/// Bytes that the checked mode adds to a block.
pub(crate) const TRAILER_SIZE: usize = 16;
/// Byte between what was asked for and the trailer.
const CANARY: u8 = 0xca;
/// Byte of a freed block.
const POISON: u8 = 0xdb;
/// Bytes of a queued block that hold its link.
const LINK_SIZE: usize = 16;
/// The size asked for is below 2^48; above it stands the number of the block's tag.
const SIZE_BITS: u32 = 48;
const SIZE_MASK: u64 = (1 << SIZE_BITS) - 1;
const LIVE: u64 = 0x6c69_7665_6c69_7665;
const FREE: u64 = 0x6672_6565_6672_6565;

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
/// stays as it is, and a free one that was damaged is not used again (but for one whose link alone was, which is mended).
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

/// What a trailer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In use, with this many bytes asked for.
    Live(usize),
    /// Free.
    Free,
    /// Never written.
    Blank,
    /// Written by someone else.
    Damaged,
}

/// The end of a block.
#[derive(Clone, Copy)]
pub(crate) struct Trailer {
    block: NonNull<u8>,
    block_size: usize,
}

impl Trailer {
    /// # Safety
    ///
    /// `block_size` bytes from `block` are mapped, and nobody else uses the last 16 of them.
    pub unsafe fn of(block: NonNull<u8>, block_size: usize) -> Trailer {
        Trailer { block, block_size }
    }

    fn words(&self) -> NonNull<[u64; 2]> {
        // SAFETY: blocks have at least 32 bytes in checked mode.
        unsafe { self.block.add(self.block_size - TRAILER_SIZE).cast() }
    }

    pub fn state(&self, secret: &Secret) -> State {
        let address = self.block.addr().get();
        // SAFETY: as promised to `of`.
        let [size_word, state_word] = unsafe { self.words().read() };
        if size_word == 0 && state_word == 0 {
            return State::Blank;
        }
        let word = size_word ^ secret.mix(address, 0);
        let size = (word & SIZE_MASK) as usize;
        // The state is mixed with the size, so that neither can be changed alone.
        match state_word ^ secret.mix(address, 1) ^ word {
            LIVE if size <= self.block_size - TRAILER_SIZE => State::Live(size),
            FREE => State::Free,
            _ => State::Damaged,
        }
    }

    /// Who allocated the block, if it is in use.
    pub fn number(&self, secret: &Secret) -> Number {
        // SAFETY: as promised to `of`.
        let [size_word, _] = unsafe { self.words().read() };
        let word = size_word ^ secret.mix(self.block.addr().get(), 0);
        Number((word >> SIZE_BITS) as u16)
    }

    /// Says that the block is in use with `size` bytes and who allocated it, and fills what is behind them.
    pub fn set_live(&self, secret: &Secret, size: usize, number: Number) {
        self.write(secret, size as u64 | u64::from(number.0) << SIZE_BITS, LIVE);
        // SAFETY: the bytes lie in the block.
        unsafe {
            let behind = self.block_size - TRAILER_SIZE - size;
            self.block.add(size).write_bytes(CANARY, behind);
        }
    }

    /// Says that the block is free.
    pub fn set_free(&self, secret: &Secret) {
        self.write(secret, 0, FREE);
    }

    /// Whether nothing was written behind the `size` bytes asked for.
    pub fn canary_is_whole(&self, size: usize) -> bool {
        self.all(size, CANARY)
    }

    /// Fills a free block.
    pub fn poison(&self) {
        // SAFETY: the bytes lie in the block, which is free.
        unsafe {
            let bytes = self.block_size - TRAILER_SIZE - LINK_SIZE;
            self.block.add(LINK_SIZE).write_bytes(POISON, bytes);
        }
    }

    /// Whether nothing was written to a block since it was poisoned.
    pub fn poison_is_whole(&self) -> bool {
        self.all(LINK_SIZE, POISON)
    }

    fn all(&self, from: usize, byte: u8) -> bool {
        let length = self.block_size - TRAILER_SIZE - from;
        // SAFETY: the bytes lie in the block and were written when it was allocated or freed.
        let bytes = unsafe { core::slice::from_raw_parts(self.block.add(from).as_ptr(), length) };
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().all(|&found| found == [byte; 8]) && rest.iter().all(|&found| found == byte)
    }

    fn write(&self, secret: &Secret, word: u64, state: u64) {
        let address = self.block.addr().get();
        let size_word = word ^ secret.mix(address, 0);
        let state_word = state ^ secret.mix(address, 1) ^ word;
        // SAFETY: as promised to `of`.
        unsafe { self.words().write([size_word, state_word]) };
    }
}

/// What ends at the end of a bucket that begins at `start`, and its bytes: the last block, or the bucket as a whole where
/// bytes are left behind the last block. Its trailer is in front of what comes next.
pub(crate) fn bucket_end(start: NonNull<u8>, bucket: &Bucket) -> (NonNull<u8>, usize) {
    let (bytes, size) = (bucket.pages * PAGE_SIZE, bucket.block_size);
    if bucket.blocks * size < bytes {
        return (start, bytes);
    }
    // SAFETY: the last block lies in the bucket.
    (unsafe { start.add(bytes - size) }, size)
}

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
