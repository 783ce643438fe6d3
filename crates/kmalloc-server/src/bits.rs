// SPDX-License-Identifier: BSD-2-Clause
//! A set of small integers that finds its highest or lowest member in a bounded number of steps.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Levels of the tree: 64^4 = 16.7 million members, 64 GiB of pages.
const LEVEL_COUNT: usize = 4;

/// A set of integers below a fixed capacity: a bitmap under a tree of summary words. Inserting, removing and finding
/// touch one word a level.
#[derive(Clone, Debug)]
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
        if let Some(word) = self.levels[0].get_mut(member / 64) {
            let was = *word;
            *word |= 1 << (member % 64);
            if was == 0 {
                self.mark(member / 64);
            }
        }
        true
    }

    /// Takes `member` out of the set; true where it was in it.
    pub fn remove(&mut self, member: usize) -> bool {
        if !self.contains(member) {
            return false;
        }
        self.count -= 1;
        if let Some(word) = self.levels[0].get_mut(member / 64) {
            *word &= !(1 << (member % 64));
            if *word == 0 {
                self.unmark(member / 64);
            }
        }
        true
    }

    /// Puts every integer of `range` below the capacity into the set, a word at a time; how many were not in it.
    pub fn insert_range(&mut self, range: Range<usize>) -> usize {
        let mut inserted = 0;
        for (index, mask) in words_of(range.start..range.end.min(self.capacity)) {
            let Some(word) = self.levels[0].get_mut(index) else {
                break;
            };
            let was = *word;
            *word |= mask;
            inserted += ones(mask & !was);
            if was == 0 {
                self.mark(index);
            }
        }
        self.count += inserted;
        inserted
    }

    /// Takes every integer of `range` out of the set, a word at a time; how many were in it.
    #[inline]
    pub fn remove_range(&mut self, range: Range<usize>) -> usize {
        if let Some((index, mask)) = in_one_word(&range)
            && let Some(word) = self.levels[0].get_mut(index)
            && *word & mask == mask
        {
            *word &= !mask;
            if *word == 0 {
                self.unmark(index);
            }
            self.count -= range.len();
            return range.len();
        }
        self.remove_words(range)
    }

    #[inline(never)]
    fn remove_words(&mut self, range: Range<usize>) -> usize {
        let mut removed = 0;
        for (index, mask) in words_of(range) {
            let Some(word) = self.levels[0].get_mut(index) else {
                break;
            };
            let was = *word;
            *word &= !mask;
            removed += ones(was & mask);
            if was != 0 && was & !mask == 0 {
                self.unmark(index);
            }
        }
        self.count -= removed;
        removed
    }

    /// Says in the levels above that a word of the lowest is not zero any more.
    fn mark(&mut self, mut position: usize) {
        for level in self.levels.iter_mut().skip(1) {
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
    }

    /// Says in the levels above that a word of the lowest is zero now.
    fn unmark(&mut self, mut position: usize) {
        for level in self.levels.iter_mut().skip(1) {
            let Some(word) = level.get_mut(position / 64) else {
                break;
            };
            *word &= !(1 << (position % 64));
            if *word != 0 {
                break;
            }
            position /= 64;
        }
    }

    /// The highest member.
    #[inline]
    pub fn last(&self) -> Option<usize> {
        // The topmost level is one word: from there each level says where to look in the one below.
        let mut position = 0;
        for words in self.levels.iter().rev() {
            position = position * 64 + words.get(position)?.checked_ilog2()? as usize;
        }
        Some(position)
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
        let below = self.levels.get(..level).unwrap_or_default();
        for words in below.iter().rev() {
            let word = words.get(found).copied().unwrap_or(1);
            found = found * 64 + pick(word);
        }
        found
    }

    /// The first integer from `start` up that is not in the set. It is looked for no further up than `ceiling`, which is the
    /// answer where all below it are members; so is the capacity.
    pub fn first_absent_below(&self, start: usize, ceiling: usize) -> usize {
        let ceiling = ceiling.min(self.capacity);
        let mut position = start;
        while position < ceiling {
            let word = self.levels[0].get(position / 64).copied().unwrap_or(0);
            let absent = !word & (u64::MAX << (position % 64));
            if absent != 0 {
                let found = position / 64 * 64 + absent.trailing_zeros() as usize;
                return found.min(ceiling);
            }
            position = position / 64 * 64 + 64;
        }
        ceiling
    }

    /// Where the run of members that ends at `end` begins: one above the highest integer below `end` that is not in the
    /// set. It is looked for no further down than `floor`, which is the answer where all above it are members.
    pub fn run_start_above(&self, end: usize, floor: usize) -> usize {
        let mut position = end.min(self.capacity);
        while position > floor {
            let index = (position - 1) / 64;
            let bits = (position - 1) % 64 + 1;
            let mask = u64::MAX >> (64 - bits);
            let absent = !self.levels[0].get(index).copied().unwrap_or(0) & mask;
            if absent != 0 {
                return (index * 64 + 64 - absent.leading_zeros() as usize).max(floor);
            }
            position = index * 64;
        }
        floor
    }
}

/// The word that all bits of a range lie in, and those bits.
#[inline(always)]
pub(crate) fn in_one_word(range: &Range<usize>) -> Option<(usize, u64)> {
    let (index, from) = (range.start / 64, range.start % 64);
    let count = range.end.wrapping_sub(range.start);
    let fits = count.wrapping_sub(1) < 64 - from;
    fits.then(|| (index, (u64::MAX >> (64 - count)) << from))
}

/// The words that a range has bits in, each with those bits.
pub(crate) fn words_of(range: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let (start, end) = if range.is_empty() {
        (0, 0)
    } else {
        (range.start, range.end)
    };
    (start / 64..end.div_ceil(64)).map(move |index| {
        let from = start.saturating_sub(index * 64);
        let to = (end - index * 64).min(64);
        (index, (u64::MAX >> (64 - (to - from))) << from)
    })
}

/// How many bits are set. Most often they stand side by side, and then no processor needs to count them one by one.
#[inline]
fn ones(word: u64) -> usize {
    if word == 0 {
        return 0;
    }
    let low = word.trailing_zeros();
    let row = word >> low;
    if row & row.wrapping_add(1) == 0 {
        return 64 - row.leading_zeros() as usize;
    }
    word.count_ones() as usize
}

#[cfg(test)]
mod tests;
