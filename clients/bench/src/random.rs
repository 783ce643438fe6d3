// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that look random and are the same in every run.

/// xorshift64: short enough not to hide what is counted.
pub struct Random(u64);

impl Random {
    /// Always the same beginning.
    pub const fn new() -> Random {
        Random(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, which is at most 2^32.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize * bound) >> 32
    }

    /// 16 to just below 16 << `octaves`, each octave as likely as the next.
    pub fn size(&mut self, octaves: usize) -> usize {
        let base = 16 << self.below(octaves);
        base + self.below(base)
    }
}
