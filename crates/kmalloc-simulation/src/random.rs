// SPDX-License-Identifier: BSD-2-Clause
//! Random numbers that are a function of a seed.

use crate::system::{MIB, PAGE};

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, and is no iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in so many times.
    pub fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    /// One of several things, if there are any.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        if items.is_empty() {
            return None;
        }
        Some(items[self.below(items.len() as u64) as usize])
    }

    /// A size as programs ask for them: mostly small, sometimes odd, seldom big.
    pub fn size(&mut self) -> u64 {
        match self.below(40) {
            0 => 0,
            1..=24 => 1 + self.below(300),
            25..=31 => 1 + self.below(5000),
            32..=37 => 1 + self.below(30 * PAGE),
            38 => 1 + self.below(600 * PAGE),
            _ => 2 * MIB + self.below(2) * self.below(2 * MIB),
        }
    }
}
