// SPDX-License-Identifier: BSD-2-Clause
//! Sets of a segment's pages, and the search for runs in them.

use super::SEGMENT_PAGES;

const WORD_BITS: usize = u64::BITS as usize;
const WORD_COUNT: usize = SEGMENT_PAGES / WORD_BITS;

/// A set of pages of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSet([u64; WORD_COUNT]);

impl PageSet {
    /// No page.
    pub const fn new() -> PageSet {
        PageSet([0; WORD_COUNT])
    }

    /// Adds `pages` pages from `first`.
    pub fn insert(&mut self, first: usize, pages: usize) {
        for_words(first, pages, |word, mask| self.0[word] |= mask);
    }

    /// Takes out `pages` pages from `first`.
    pub fn remove(&mut self, first: usize, pages: usize) {
        for_words(first, pages, |word, mask| self.0[word] &= !mask);
    }

    /// Whether all of the `pages` pages from `first` are in the set.
    pub fn contains(&self, first: usize, pages: usize) -> bool {
        let (word, shift) = (first / WORD_BITS, first % WORD_BITS);
        if pages > 0 && shift + pages <= WORD_BITS {
            let mask = (u64::MAX >> (WORD_BITS - pages)) << shift;
            return self.0[word] & mask == mask;
        }
        let mut all = true;
        for_words(first, pages, |word, mask| {
            all &= self.0[word] & mask == mask
        });
        all
    }

    /// Takes out the `pages` pages from `first` if all of them are here and in `other`, and others near them stay. Quick;
    /// `false`, and nothing done, where it would take longer to find out.
    #[inline(always)]
    pub fn take_if_in(&mut self, other: &PageSet, first: usize, pages: usize) -> bool {
        let (word, shift) = (first / WORD_BITS % WORD_COUNT, first % WORD_BITS);
        if pages.wrapping_sub(1) >= WORD_BITS - shift || first >= SEGMENT_PAGES {
            return false;
        }
        let mask = (u64::MAX >> (WORD_BITS - pages)) << shift;
        let left = self.0[word] & !mask;
        let takes = self.0[word] & other.0[word] & mask == mask && left != 0;
        if takes {
            self.0[word] = left;
        }
        takes
    }

    /// Adds `pages` pages from `first`. Quick; `false`, and nothing done, where it would take longer.
    #[inline(always)]
    pub fn insert_in_word(&mut self, first: usize, pages: usize) -> bool {
        let (word, shift) = (first / WORD_BITS % WORD_COUNT, first % WORD_BITS);
        if pages.wrapping_sub(1) >= WORD_BITS - shift || first >= SEGMENT_PAGES {
            return false;
        }
        self.0[word] |= (u64::MAX >> (WORD_BITS - pages)) << shift;
        true
    }

    /// How many of the `pages` pages from `first` are in the set.
    pub fn count_in(&self, first: usize, pages: usize) -> usize {
        let mut count = 0;
        for_words(first, pages, |word, mask| {
            count += (self.0[word] & mask).count_ones() as usize
        });
        count
    }

    /// How many pages are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no page is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The pages in both sets.
    pub fn and(&self, other: &PageSet) -> PageSet {
        PageSet(core::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// The pages in this set and not in the other.
    pub fn without(&self, other: &PageSet) -> PageSet {
        PageSet(core::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// The first page at or above `from` that is in the set.
    pub fn next_member(&self, from: usize) -> Option<usize> {
        self.next(from, |word| word)
    }

    /// The first page at or above `from` that is not in the set; [`SEGMENT_PAGES`] if all are.
    pub fn run_end(&self, from: usize) -> usize {
        self.next(from, |word| !word).unwrap_or(SEGMENT_PAGES)
    }

    /// The first of the longest stretch of pages at or above `from` that are in the set, and its length.
    pub fn next_run(&self, from: usize) -> Option<(usize, usize)> {
        let first = self.next_member(from)?;
        Some((first, self.run_end(first) - first))
    }

    /// The lowest `pages` pages in a row, beginning at a multiple of `align` (a power of two).
    pub fn find_run(&self, pages: usize, align: usize) -> Option<usize> {
        let mut from = 0;
        loop {
            let (first, length) = self.next_run(from)?;
            let aligned = first.next_multiple_of(align);
            if aligned + pages <= first + length {
                return Some(aligned);
            }
            from = first + length;
        }
    }

    /// The first page at or above `from` whose bit is set in what `view` makes of its word.
    fn next(&self, from: usize, view: impl Fn(u64) -> u64) -> Option<usize> {
        let mut word = from / WORD_BITS;
        let mut bits = view(*self.0.get(word)?) & (u64::MAX << (from % WORD_BITS));
        while bits == 0 {
            word += 1;
            bits = view(*self.0.get(word)?);
        }
        Some(word * WORD_BITS + bits.trailing_zeros() as usize)
    }
}

impl Default for PageSet {
    fn default() -> PageSet {
        PageSet::new()
    }
}

/// Calls `each` with every word that `pages` pages from `first` touch, and their mask in it.
fn for_words(first: usize, pages: usize, mut each: impl FnMut(usize, u64)) {
    let end = first + pages;
    let mut from = first;
    while from < end {
        let word = from / WORD_BITS;
        let word_end = end.min((word + 1) * WORD_BITS);
        let mask = (u64::MAX >> (WORD_BITS - (word_end - from))) << (from % WORD_BITS);
        each(word, mask);
        from = word_end;
    }
}

#[cfg(test)]
mod tests;
