// SPDX-License-Identifier: BSD-2-Clause
//! Size classes: powers of two from 16 B to 16 KiB.

/// Bytes in a page, the unit in which memory is mapped.
pub const PAGE_SIZE: usize = 4096;
/// Bytes in the smallest block; every block is aligned at least to this.
pub const BLOCK_SIZE_MIN: usize = 16;
/// Bytes in the largest block; a larger request gets whole pages.
pub const BLOCK_SIZE_MAX: usize = 16 * 1024;
/// How many size classes there are.
pub const CLASS_COUNT: usize = (BLOCK_SIZE_MAX.ilog2() - BLOCK_SIZE_MIN.ilog2() + 1) as usize;

/// A size class: blocks of one power of two of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SizeClass(u8);

impl SizeClass {
    /// The smallest class whose blocks hold `size` bytes at alignment `align` (a power of two), or `None` when the
    /// request is above [`BLOCK_SIZE_MAX`]. A `size` of 0 is served as 1.
    #[inline(always)]
    pub const fn of(size: usize, align: usize) -> Option<SizeClass> {
        // One expression covers rounding, the minimum and the alignment: the position of the highest bit that is set.
        let bits = (size.saturating_sub(1) | (align - 1) | (BLOCK_SIZE_MIN - 1)).ilog2() + 1;
        if bits > BLOCK_SIZE_MAX.ilog2() {
            return None;
        }
        Some(SizeClass((bits - BLOCK_SIZE_MIN.ilog2()) as u8))
    }

    /// The class with this index, `0 .. CLASS_COUNT`.
    #[inline(always)]
    pub const fn from_index(index: usize) -> Option<SizeClass> {
        if index < CLASS_COUNT {
            Some(SizeClass(index as u8))
        } else {
            None
        }
    }

    /// `0 .. CLASS_COUNT`, smallest blocks first.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Bytes in a block of this class.
    #[inline(always)]
    pub const fn block_size(self) -> usize {
        BLOCK_SIZE_MIN << self.0
    }

    /// log2 of [`SizeClass::block_size`].
    #[inline(always)]
    pub const fn block_size_bits(self) -> u32 {
        BLOCK_SIZE_MIN.ilog2() + self.0 as u32
    }
}

#[cfg(test)]
mod tests;
