// SPDX-License-Identifier: BSD-2-Clause
//! From a request to the list that serves it. Nothing else of the heap knows how sizes are divided into classes.
//!
//! A request is known by its *mask*, `(size - 1) | (align - 1)`: one more is the size that is served, what holds the
//! request and is a multiple of its alignment. A **slot** is a place in the heap's array of lists, one for each size that
//! buckets are cut into. Above, a heap keeps single blocks of a power of two, by the mask's octave.

use super::buckets::Geometry;
use crate::size_class::{BLOCK_SIZE_MAX, BLOCK_SIZE_MIN, CLASS_COUNT};

/// The largest mask whose request is served from buckets.
pub const BUCKET_MASK_MAX: usize = BLOCK_SIZE_MAX - 1;
/// Position of the highest bit of the masks above [`BUCKET_MASK_MAX`], at least: that of octave 0.
pub const OCTAVE_MIN: usize = BLOCK_SIZE_MAX.ilog2() as usize;
/// How many octaves such masks can be in.
pub const OCTAVE_COUNT: usize = usize::BITS as usize - OCTAVE_MIN;

/// The mask of a request of `size` bytes, not 0, aligned to `align`, a power of two.
#[inline(always)]
pub const fn mask_of(size: usize, align: usize) -> usize {
    size.wrapping_sub(1) | (align - 1)
}

/// The octave of a mask above [`BUCKET_MASK_MAX`]: 0 up to 32 KiB.
#[inline(always)]
pub const fn octave_of(mask: usize) -> usize {
    mask.ilog2() as usize - OCTAVE_MIN
}

/// How the sizes of requests are divided into classes: [`QuarterOctaves`] or [`PowersOfTwo`].
///
/// Whatever the way: blocks are aligned to 16 bytes, those of a power of two to their size, and each one as its request
/// says. A request of a power of two gets a block of exactly that size.
pub trait SizeClasses: sealed::Sealed {
    /// What the buckets of the slots are like.
    const GEOMETRY: &'static Geometry;
    /// Masks below this have a slot for every [`BLOCK_SIZE_MIN`] bytes: one shift finds it.
    const GRANULES_END: usize;

    /// The slot of requests with this mask, which is at most [`BUCKET_MASK_MAX`].
    fn slot_of(mask: usize) -> usize;
}

mod sealed {
    /// The heap relies on what `SizeClasses` promises.
    pub trait Sealed {}
    impl Sealed for super::QuarterOctaves {}
    impl Sealed for super::PowersOfTwo {}
}

/// Four classes an octave, and one every 16 bytes up to 512. Blocks are larger than requests by 9 % on average, if no size
/// is likelier than another.
pub struct QuarterOctaves;

/// One class an octave, the classes of the blocks that the server serves. Blocks are larger than requests by 39 % on
/// average, if no size is likelier than another.
pub struct PowersOfTwo;

/// Below 128 bytes a class every 16 is the same as four an octave; from there up to here it is finer, and costs a program
/// that uses all of these classes some pages.
const GRANULES_END: usize = 512;
const GRANULE_SLOTS: usize = GRANULES_END / BLOCK_SIZE_MIN;
/// Slots of an octave above.
const QUARTERS: usize = 4;
/// Bytes between two classes of the first of these octaves. All further classes are multiples.
const STEP: usize = GRANULES_END / QUARTERS;
const SIZE_COUNT: usize =
    GRANULE_SLOTS + QUARTERS * (BLOCK_SIZE_MAX / GRANULES_END).ilog2() as usize;

impl QuarterOctaves {
    /// Bytes in a block of each slot.
    const BLOCK_SIZES: [usize; SIZE_COUNT] = {
        let mut sizes = [0; SIZE_COUNT];
        let mut slot = 0;
        while slot < SIZE_COUNT {
            sizes[slot] = if slot < GRANULE_SLOTS {
                (slot + 1) * BLOCK_SIZE_MIN
            } else {
                let quarter = slot - GRANULE_SLOTS;
                let octave = GRANULES_END << (quarter / QUARTERS);
                octave + octave / QUARTERS * (quarter % QUARTERS + 1)
            };
            slot += 1;
        }
        sizes
    };

    /// The slot of each step. Finding the octave and its quarter costs more than a look into two cache lines.
    const SLOTS: [u8; BLOCK_SIZE_MAX / STEP] = {
        let mut slots = [0; BLOCK_SIZE_MAX / STEP];
        let mut step = 0;
        let mut slot = 0;
        while step < slots.len() {
            while Self::BLOCK_SIZES[slot] < (step + 1) * STEP {
                slot += 1;
            }
            slots[step] = slot as u8;
            step += 1;
        }
        slots
    };
}

impl SizeClasses for QuarterOctaves {
    const GEOMETRY: &'static Geometry = &Geometry::new(&Self::BLOCK_SIZES);
    const GRANULES_END: usize = GRANULES_END;

    #[inline(always)]
    fn slot_of(mask: usize) -> usize {
        if mask < GRANULES_END {
            mask / BLOCK_SIZE_MIN
        } else {
            Self::SLOTS[mask / STEP] as usize
        }
    }
}

impl SizeClasses for PowersOfTwo {
    const GEOMETRY: &'static Geometry = &{
        let mut block_sizes = [0; CLASS_COUNT];
        let mut slot = 0;
        while slot < CLASS_COUNT {
            block_sizes[slot] = BLOCK_SIZE_MIN << slot;
            slot += 1;
        }
        Geometry::new(&block_sizes)
    };
    const GRANULES_END: usize = 0;

    #[inline(always)]
    fn slot_of(mask: usize) -> usize {
        (mask | (BLOCK_SIZE_MIN - 1)).ilog2() as usize - (BLOCK_SIZE_MIN.ilog2() as usize - 1)
    }
}

#[cfg(test)]
mod tests;
