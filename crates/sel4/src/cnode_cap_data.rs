// SPDX-License-Identifier: BSD-2-Clause

use crate::sys::facts;
use crate::{WORD_SIZE, Word};

/// The guard of a CNode capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CNodeCapData(Word);

impl CNodeCapData {
    /// A guard of `guard_size` bits that must equal `guard`.
    pub const fn new(guard: Word, guard_size: usize) -> Self {
        Self(
            facts::GUARD_TAG
                | guard << facts::GUARD_SHIFT
                | (guard_size as Word) << facts::GUARD_SIZE_SHIFT,
        )
    }

    /// A guard of `num_bits` zeros.
    pub const fn skip(num_bits: usize) -> Self {
        Self::new(0, num_bits)
    }

    /// The guard with which a CNode of 2^`cnode_size_bits` slots is a whole CSpace: addresses are slot numbers.
    pub const fn skip_high_bits(cnode_size_bits: usize) -> Self {
        Self::skip(WORD_SIZE - cnode_size_bits)
    }

    /// The word that sets it, as a badge in [`mint`](crate::AbsoluteCPtr::mint).
    pub const fn into_word(self) -> Word {
        self.0
    }
}
