// SPDX-License-Identifier: BSD-2-Clause
//! A set of small integers that finds its highest or lowest member in a bounded number of steps.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Levels of the tree: 64^4 = 16.7 million members, 64 GiB of pages.
const LEVEL_COUNT: usize = 4;

/// A set of integers below a fixed capacity: a bitmap under a tree of summary words. Inserting, removing and finding
/// touch one word a level.
#[derive(Debug)]
pub struct BitSet {
    /// `levels[0]` has a bit a member; a bit of `levels[n + 1]` is set where that word of `levels[n]` is not zero.
    levels: [Vec<u64>; LEVEL_COUNT],
    capacity: usize,
    count: usize,
}

impl BitSet {
    /// The empty set of integers below `capacity` (at most 64^4).
    ///
    /// # Panics
    /// When `capacity` is above 64^4.
    pub fn new(capacity: usize) -> BitSet {
        assert!(
            capacity <= 1 << (6 * LEVEL_COUNT),
            "a BitSet holds at most 2^24 members"
        );
        let mut words = capacity;
        let levels = core::array::from_fn(|_| {
            words = words.div_ceil(64).max(1);
            vec![0; words]
        });
        BitSet {
            levels,
            capacity,
            count: 0,
        }
    }

    /// How many members the set has.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the set has no member.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One above the largest possible member.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether `member` is in the set; false outside the capacity.
    #[inline]
    pub fn contains(&self, member: usize) -> bool {
        self.levels[0]
            .get(member / 64)
            .is_some_and(|word| word >> (member % 64) & 1 == 1)
    }

    /// Puts `member` into the set; true where it was not in it. Outside the capacity nothing is done.
    pub fn insert(&mut self, member: usize) -> bool {
        if member >= self.capacity || self.contains(member) {
            return false;
        }
        self.count += 1;
        let mut position = member;
        for level in &mut self.levels {
            let Some(word) = level.get_mut(position / 64) else {
                break;
            };
            let was = *word;
            *word |= 1 << (position % 64);
            if was != 0 {
                break;
            }
            position /= 64;
        }
        true
    }

    /// Takes `member` out of the set; true where it was in it.
    pub fn remove(&mut self, member: usize) -> bool {
        if !self.contains(member) {
            return false;
        }
        self.count -= 1;
        let mut position = member;
        for level in &mut self.levels {
            let Some(word) = level.get_mut(position / 64) else {
                break;
            };
            *word &= !(1 << (position % 64));
            if *word != 0 {
                break;
            }
            position /= 64;
        }
        true
    }

    /// Puts every integer of `range` into the set, word by word; how many were not in it. Outside the capacity nothing is
    /// done.
    pub fn insert_range(&mut self, range: Range<usize>) -> usize {
        let before = self.count;
        let end = range.end.min(self.capacity);
        let mut at = range.start;
        while at < end {
            let word = self.levels[0].get(at / 64).copied().unwrap_or(0);
            let absent = !word & mask(at, end);
            if absent != 0 {
                // One of them by the levels above, the others beside it.
                let first = absent.trailing_zeros() as usize;
                self.insert(at / 64 * 64 + first);
                self.count += absent.count_ones() as usize - 1;
                if let Some(word) = self.levels[0].get_mut(at / 64) {
                    *word |= absent;
                }
            }
            at = at / 64 * 64 + 64;
        }
        self.count - before
    }

    /// Takes every integer of `range` out of the set, word by word; how many were in it.
    pub fn remove_range(&mut self, range: Range<usize>) -> usize {
        let before = self.count;
        let end = range.end.min(self.capacity);
        let mut at = range.start;
        while at < end {
            let word = self.levels[0].get(at / 64).copied().unwrap_or(0);
            let present = word & mask(at, end);
            if present != 0 {
                // All but one, and that by the levels above.
                let first = present.trailing_zeros() as usize;
                self.count -= present.count_ones() as usize - 1;
                if let Some(word) = self.levels[0].get_mut(at / 64) {
                    *word &= !present | 1 << first;
                }
                self.remove(at / 64 * 64 + first);
            }
            at = at / 64 * 64 + 64;
        }
        before - self.count
    }

    /// The highest member.
    #[inline]
    pub fn last(&self) -> Option<usize> {
        self.last_below(self.capacity)
    }

    /// The lowest member.
    #[inline]
    pub fn first(&self) -> Option<usize> {
        self.first_from(0)
    }

    /// The highest member below `end`.
    pub fn last_below(&self, end: usize) -> Option<usize> {
        let mut position = end.min(self.capacity);
        for (level, words) in self.levels.iter().enumerate() {
            // Bits of this word that stand for what lies below `position`; at an upper level, words below it.
            let word =
                words.get(position / 64).copied().unwrap_or(0) & !(u64::MAX << (position % 64));
            if word != 0 {
                let found = position / 64 * 64 + (63 - word.leading_zeros() as usize);
                return Some(self.descend(level, found, |word| 63 - word.leading_zeros() as usize));
            }
            position /= 64;
        }
        None
    }

    /// The lowest member that is `start` or above.
    pub fn first_from(&self, start: usize) -> Option<usize> {
        let mut position = start;
        for (level, words) in self.levels.iter().enumerate() {
            let word =
                words.get(position / 64).copied().unwrap_or(0) & (u64::MAX << (position % 64));
            if word != 0 {
                let found = position / 64 * 64 + word.trailing_zeros() as usize;
                return Some(self.descend(level, found, |word| word.trailing_zeros() as usize));
            }
            position = position / 64 + 1;
        }
        None
    }

    /// Follows set bit `found` of `level` down to a member, by `pick` in each word below.
    fn descend(&self, level: usize, mut found: usize, pick: impl Fn(u64) -> usize) -> usize {
        for words in self.levels[..level].iter().rev() {
            let word = words.get(found).copied().unwrap_or(1);
            found = found * 64 + pick(word);
        }
        found
    }

    /// The first integer from `start` up that is not in the set; the capacity where all are.
    pub fn first_absent_from(&self, start: usize) -> usize {
        let mut index = start / 64;
        let mut mask = u64::MAX << (start % 64);
        while let Some(word) = self.levels[0].get(index) {
            let absent = !word & mask;
            if absent != 0 {
                return (index * 64 + absent.trailing_zeros() as usize).min(self.capacity);
            }
            mask = u64::MAX;
            index += 1;
        }
        self.capacity
    }

    /// One above the highest integer below `end` that is not in the set: where the run of members that ends at `end`
    /// begins.
    pub fn run_start(&self, end: usize) -> usize {
        let mut position = end.min(self.capacity);
        while position > 0 {
            let index = (position - 1) / 64;
            let bits = (position - 1) % 64 + 1;
            let mask = if bits == 64 {
                u64::MAX
            } else {
                (1 << bits) - 1
            };
            let absent = !self.levels[0].get(index).copied().unwrap_or(0) & mask;
            if absent != 0 {
                return index * 64 + (63 - absent.leading_zeros() as usize) + 1;
            }
            position = index * 64;
        }
        0
    }
}

/// The bits from that of `start` on, in the word of `start`, that lie below `end`.
fn mask(start: usize, end: usize) -> u64 {
    let below = (end - start / 64 * 64).min(64);
    u64::MAX << (start % 64) & u64::MAX >> (64 - below)
}

#[cfg(test)]
mod tests;
