// SPDX-License-Identifier: BSD-2-Clause
//! From a request to the list that serves it. Nothing else of the heap knows how sizes are divided: finer classes are
//! a change of this module.
//!
//! A **slot** is a place in the heap's array of lists. The slot of a request is the position of the highest bit of its
//! *mask*, `(size - 1) | (align - 1)`, with no comparison: slots of sizes that no bucket holds have lists too, so
//! that one test, for an empty list, leads from the fast path to everything else.

use super::BUCKET_SIZE;
use crate::size_class::{BLOCK_SIZE_MAX, BLOCK_SIZE_MIN};

/// How many slots there are: one for each bit of a mask.
pub const SLOT_COUNT: usize = usize::BITS as usize;
/// The largest slot whose blocks come from buckets.
pub const BUCKET_SLOT_MAX: usize = BLOCK_SIZE_MAX.ilog2() as usize - 1;
/// The smallest slot in use.
pub const BUCKET_SLOT_MIN: usize = BLOCK_SIZE_MIN.ilog2() as usize - 1;
/// The largest mask whose request is served from buckets.
pub const BUCKET_MASK_MAX: usize = BLOCK_SIZE_MAX - 1;

/// The mask of a request of `size` bytes, not 0, aligned to `align`, a power of two. One more is the size that is
/// served: what holds the request and is a multiple of its alignment.
#[inline(always)]
pub const fn mask_of(size: usize, align: usize) -> usize {
    size.wrapping_sub(1) | (align - 1)
}

/// The slot of requests with this mask.
#[inline(always)]
pub const fn slot_of(mask: usize) -> usize {
    (mask | (BLOCK_SIZE_MIN - 1)).ilog2() as usize
}

/// The slot of requests with this mask, which is above [`BUCKET_MASK_MAX`].
#[inline(always)]
pub const fn slot_above_buckets(mask: usize) -> usize {
    mask.ilog2() as usize
}

/// Bytes in a block of bucket slot `slot`.
#[inline(always)]
pub const fn block_size(slot: usize) -> usize {
    2 << slot
}

/// Blocks that a bucket of slot `slot` holds.
pub const fn blocks_per_bucket(slot: usize) -> usize {
    BUCKET_SIZE / block_size(slot)
}

#[cfg(test)]
mod tests;
