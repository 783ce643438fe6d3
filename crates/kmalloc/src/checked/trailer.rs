// SPDX-License-Identifier: BSD-2-Clause
//! The end of a block: its state, and a stamp by which it is known from behind.

use super::Secret;
use crate::tags::Number;
use core::ptr::NonNull;
use kmalloc_bucket::resident::PAGE_SIZE;
use kmalloc_bucket::resident::buckets::Bucket;

/// Bytes that the checked mode adds to a block.
pub(crate) const TRAILER_SIZE: usize = 16;
/// Byte between what was asked for and the trailer.
const CANARY: u8 = 0xca;
/// Byte of a freed block.
const POISON: u8 = 0xdb;
/// The size asked for is below 2^48; above it stands the number of the block's tag.
const SIZE_BITS: u32 = 48;
const SIZE_MASK: u64 = (1 << SIZE_BITS) - 1;
const LIVE: u64 = 0x6c69_7665_6c69_7665;
const FREE: u64 = 0x6672_6565_6672_6565;
const SENT: u64 = 0x7365_6e74_7365_6e74;
/// The upper half of the word of the state, which is the stamp.
const STAMP: u64 = !0 << 32;

/// What a trailer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In use, with this many bytes asked for.
    Live(usize),
    /// Free.
    Free,
    /// Freed by another thread than that of its segment, and on its way there.
    Sent,
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
        // SAFETY: as promised to `of`.
        let [size_word, state_word] = unsafe { self.words().read() };
        if size_word == 0 && state_word == 0 {
            return State::Blank;
        }
        let word = size_word ^ secret.mix(self.block.addr().get(), 0);
        let size = (word & SIZE_MASK) as usize;
        let says = |state| state_word == self.state_word(secret, word, state);
        match () {
            () if says(LIVE) && size <= self.block_size - TRAILER_SIZE => State::Live(size),
            () if says(FREE) => State::Free,
            () if says(SENT) => State::Sent,
            () => State::Damaged,
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

    /// Says that the block is free and on its way home.
    pub fn set_sent(&self, secret: &Secret) {
        self.write(secret, 0, SENT);
    }

    /// Whether nothing was written behind the `size` bytes asked for.
    pub fn canary_is_whole(&self, size: usize) -> bool {
        self.all(size, CANARY)
    }

    /// Fills a free block but for its first `from` bytes, which hold a link.
    pub fn poison(&self, from: usize) {
        // SAFETY: the bytes lie in the block, which is free.
        unsafe { poison(self.block, from, self.block_size - TRAILER_SIZE) };
    }

    /// Whether nothing was written to a block since it was poisoned.
    pub fn poison_is_whole(&self, from: usize) -> bool {
        self.all(from, POISON)
    }

    fn all(&self, from: usize, byte: u8) -> bool {
        // SAFETY: the bytes lie in the block and were written when it was allocated or freed.
        unsafe { is_all(self.block, from, self.block_size - TRAILER_SIZE, byte) }
    }

    /// The stamp and, below it, what depends on block, size and state, so that none of them can be changed alone.
    fn state_word(&self, secret: &Secret, word: u64, state: u64) -> u64 {
        let check = secret.mix(self.block.addr().get(), state ^ word);
        stamp(secret, self.words().addr().get()) | check >> 32
    }

    fn write(&self, secret: &Secret, word: u64, state: u64) {
        let size_word = word ^ secret.mix(self.block.addr().get(), 0);
        let state_word = self.state_word(secret, word, state);
        // SAFETY: as promised to `of`.
        unsafe { self.words().write([size_word, state_word]) };
    }
}

/// The stamp of all trailers at this address, whatever they say: one block's thread may look at it while the thread of the
/// block in front writes a new state.
fn stamp(secret: &Secret, address: usize) -> u64 {
    secret.mix(address, 1) & STAMP
}

/// Whether the 16 bytes in front of `address` bear the stamp of a trailer.
///
/// # Safety
///
/// They are mapped.
pub(crate) unsafe fn is_stamped(secret: &Secret, address: NonNull<u8>) -> bool {
    // SAFETY: as the caller says; all that bears a stamp is aligned to 16 bytes.
    let (word, place) = unsafe {
        let state = address.sub(8).cast::<u64>();
        (state.read(), address.sub(TRAILER_SIZE))
    };
    word & STAMP == stamp(secret, place.addr().get())
}

/// Fills the bytes of freed memory from one distance up to another.
///
/// # Safety
///
/// They are mapped, and nobody's.
pub(crate) unsafe fn poison(block: NonNull<u8>, from: usize, to: usize) {
    // SAFETY: as the caller says.
    unsafe { block.add(from).write_bytes(POISON, to - from) };
}

/// Whether nothing was written to the bytes that [`poison`] filled.
///
/// # Safety
///
/// They are mapped.
pub(crate) unsafe fn is_poisoned(block: NonNull<u8>, from: usize, to: usize) -> bool {
    // SAFETY: as the caller says.
    unsafe { is_all(block, from, to, POISON) }
}

/// # Safety
///
/// The bytes are mapped, and were written before.
unsafe fn is_all(block: NonNull<u8>, from: usize, to: usize, byte: u8) -> bool {
    // SAFETY: as the caller says.
    let bytes = unsafe { core::slice::from_raw_parts(block.add(from).as_ptr(), to - from) };
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|&found| found == [byte; 8]) && rest.iter().all(|&found| found == byte)
}

/// Stamps the end of a page that is in no block.
///
/// # Safety
///
/// The page is mapped, and nobody uses its last 16 bytes.
pub(crate) unsafe fn stamp_page(secret: &Secret, page: NonNull<u8>) {
    // SAFETY: as the caller says.
    unsafe { Trailer::of(page, PAGE_SIZE) }.set_free(secret);
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
