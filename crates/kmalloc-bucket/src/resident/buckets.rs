// SPDX-License-Identifier: BSD-2-Clause
//! What the buckets of each slot are like.

use super::PAGE_SIZE;
use crate::size_class::BLOCK_SIZE_MAX;

/// Pages in the longest bucket.
pub const BUCKET_PAGES_MAX: usize = 8;
/// Pages in a bucket of the largest blocks, which is one block.
pub const LARGEST_BLOCK_PAGES: usize = BLOCK_SIZE_MAX / PAGE_SIZE;
/// More slots with buckets than any size classes have.
pub const BUCKET_SLOTS_MAX: usize = 64;

/// What a bucket of one page more has to save to be better, in thousandths of its bytes: short buckets become empty
/// sooner, and then serve other sizes.
const PAGE_COST: usize = 5;

/// The buckets of all slots that have some.
pub struct Geometry {
    slots: usize,
    buckets: [Bucket; BUCKET_SLOTS_MAX],
}

/// The buckets of a slot: whole pages, cut into blocks of one size from the first byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Bytes in a block.
    pub block_size: usize,
    /// Blocks in a bucket.
    pub blocks: usize,
    /// Pages in a bucket.
    pub pages: usize,
    /// The number of a bucket's first page is a multiple of this, so that blocks of a power of two are aligned to it.
    pub align: usize,
    /// 2^32 divided by the block's size, rounded up.
    reciprocal: u32,
}

impl Geometry {
    /// Buckets for blocks of these sizes, multiples of 16 in rising order, the last of them [`BLOCK_SIZE_MAX`].
    pub(super) const fn new(block_sizes: &[usize]) -> Geometry {
        let mut buckets = [Bucket::new(BLOCK_SIZE_MAX); BUCKET_SLOTS_MAX];
        let mut slot = 0;
        while slot < block_sizes.len() {
            buckets[slot] = Bucket::new(block_sizes[slot]);
            slot += 1;
        }
        assert!(block_sizes[slot - 1] == BLOCK_SIZE_MAX);
        Geometry {
            slots: slot,
            buckets,
        }
    }

    /// How many slots have buckets.
    #[inline(always)]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// The slot of the largest blocks, [`BLOCK_SIZE_MAX`], each of them a bucket.
    #[inline(always)]
    pub const fn largest(&self) -> usize {
        self.slots - 1
    }

    /// The buckets of a slot below [`Geometry::slots`].
    #[inline(always)]
    pub const fn bucket(&self, slot: usize) -> &Bucket {
        &self.buckets[slot % BUCKET_SLOTS_MAX]
    }
}

impl Bucket {
    const fn new(block_size: usize) -> Bucket {
        let mut pages = block_size.div_ceil(PAGE_SIZE);
        let mut longer = pages + 1;
        while longer <= BUCKET_PAGES_MAX {
            if waste(longer, block_size) < waste(pages, block_size) {
                pages = longer;
            }
            longer += 1;
        }
        Bucket {
            block_size,
            blocks: pages * PAGE_SIZE / block_size,
            pages,
            align: if block_size.is_power_of_two() {
                pages
            } else {
                1
            },
            reciprocal: (1_u64 << 32).div_ceil(block_size as u64) as u32,
        }
    }

    /// Whether a block begins `offset` bytes behind the bucket's start.
    #[inline(always)]
    pub const fn is_start(&self, offset: usize) -> bool {
        // The fraction of offset / block_size, in 2^32nds. It is less than the reciprocal only of whole multiples, as long
        // as the reciprocal's rounding adds up to less than itself: offsets and sizes below 2^16 are far from that.
        (offset as u32).wrapping_mul(self.reciprocal) < self.reciprocal
            && offset < self.blocks * self.block_size
    }
}

/// Thousandths of a bucket of `pages` that are lost behind its last block, and what its length costs.
const fn waste(pages: usize, block_size: usize) -> usize {
    let bytes = pages * PAGE_SIZE;
    bytes % block_size * 1000 / bytes + PAGE_COST * pages
}

#[cfg(test)]
mod tests;
