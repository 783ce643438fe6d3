// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that are the same everywhere.

/// A generator of the kind called SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    /// True once in `rounds`.
    pub(crate) fn one_in(&mut self, rounds: usize) -> bool {
        self.below(rounds) == 0
    }

    /// One of several.
    pub(crate) fn of<T: Copy, const N: usize>(&mut self, things: [T; N]) -> T {
        things[self.below(N)]
    }
}
