// SPDX-License-Identifier: BSD-2-Clause
//! Giving memory back: free blocks are counted, empty buckets become free pages, free pages beyond a reserve go back.
//!
//! Nothing on the fast paths counts. Free blocks are counted before a heap grows (unless it has grown little since the
//! last count), after many calls of `kfree`, and by `trim`; each count costs some tens of instructions a free block.
//!
//! A count also sorts each list, blocks of the fullest buckets first: these are used next, and the others have time to
//! become empty. Without that a heap whose sizes vary keeps the most that it ever had of each.

use super::{Block, FREES_PER_COLLECT_MIN, Fresh, Local};
use crate::segment::{Books, Segment};
use crate::shared::Shared;
use crate::source::Source;
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{HEADER_PAGES, PAGE_SIZE, SEGMENT_PAGES, page_of};

/// Free mapped pages that a heap keeps, however small it is: a workload that swings by less causes no calls.
const RESERVE_PAGES_MIN: usize = 256;
/// The part of the pages in use that a heap keeps free on top.
const RESERVE_FRACTION: usize = 8;
/// Pages of runs that a program frees before any go back: a fixed number, or a part of those mapped.
pub(super) const FREED_PAGES_MIN: usize = 4096;
const FREED_FRACTION: usize = 4;
/// How much a heap may grow after a count until the next, at least: pages, and the part of the pages in use.
const COLLECT_PAGES_MIN: usize = 32;
const COLLECT_FRACTION: usize = 128;
/// Free blocks that a count looks at for each page that the heap grew since the last one, at most.
const BLOCKS_PER_PAGE_GROWN: usize = 10;

/// The lists that a list is sorted into: by how many quarters of a block's bucket are free.
const LEVELS: usize = 4;
/// The level of blocks whose bucket is empty.
const EMPTY: usize = LEVELS;

impl Local {
    /// Makes free pages of all buckets that hold no block in use.
    pub fn collect(&mut self) {
        let mut work = 0;
        for slot in 0..self.geometry.slots() {
            work += self.count_free_blocks(slot);
        }
        self.for_segments(|local, segment| {
            // SAFETY: the segment is this thread's own, and its blocks are counted.
            unsafe { local.judge_buckets(segment) }
        });
        for slot in 0..self.geometry.slots() {
            self.sort_list(slot);
        }
        self.for_segments(|_, segment| {
            // SAFETY: the segment is this thread's own.
            unsafe { (*segment.as_ptr()).books.counts = [0; SEGMENT_PAGES] };
        });
        let growth = (self.used_pages / COLLECT_FRACTION)
            .max(work / BLOCKS_PER_PAGE_GROWN)
            .max(COLLECT_PAGES_MIN);
        self.collect_at_pages = self.used_pages + growth;
        self.frees_until_collect = FREES_PER_COLLECT_MIN.max(work);
    }

    /// Calls `each` with every segment; it may move the segment in the list.
    fn for_segments(&mut self, mut each: impl FnMut(&mut Local, NonNull<Segment>)) {
        let mut next = self.segments.first();
        while let Some(segment) = next {
            // SAFETY: it is in the list.
            next = unsafe { self.segments.after(segment) };
            each(self, segment);
        }
    }

    /// Counts the blocks on the list of `slot` in the books of the pages that they begin in, and returns how many there are.
    fn count_free_blocks(&mut self, slot: usize) -> usize {
        let mut blocks = 0;
        let mut next = NonNull::new(self.heads[slot]);
        while let Some(block) = next {
            // SAFETY: the block is on the list.
            unsafe {
                let run = Run::at(block);
                *count_of(block) += run.length;
                blocks += run.length as usize;
                next = run.next;
            }
        }
        blocks
    }

    /// Puts into the books of each page, instead of its count, one more than the level of its bucket. Empty buckets become
    /// free pages.
    ///
    /// # Safety
    ///
    /// `segment` is this thread's own, and all free blocks of its buckets are counted.
    unsafe fn judge_buckets(&mut self, segment: NonNull<Segment>) {
        let mut page = HEADER_PAGES;
        while page < SEGMENT_PAGES {
            let (tags, books) =
                // SAFETY: the segment is this thread's own, so nobody else writes to its header. Tags and books are different
                // fields of it, and no reference to the books of an earlier round is left.
                unsafe { (&(*segment.as_ptr()).tags, &mut (*segment.as_ptr()).books) };
            if books.counts[page] == 0 {
                page += 1;
                continue;
            }
            let tag = tags.get(page);
            let Tag::Bucket { slot, index } = tag else {
                unreachable!("a free block in pages of {tag:?}")
            };
            let bucket = self.geometry.bucket(slot);
            let start = page - index;
            let counts = &mut books.counts[start..start + bucket.pages];
            let free: u16 = counts.iter().sum();
            // SAFETY: a bucket begins at `start`, which is a page of the segment.
            let first = unsafe { Segment::page_address(segment, start) };
            let is_fresh = self.fresh[slot].is_in(first, bucket);
            let mut blocks = bucket.blocks;
            if is_fresh {
                blocks -= self.fresh[slot].left / bucket.block_size;
            }
            let level = free as usize * LEVELS / blocks;
            counts.fill(level as u16 + 1);
            if level == EMPTY {
                if is_fresh {
                    self.fresh[slot] = Fresh::NONE;
                }
                tags.clear(start, bucket.pages);
                // SAFETY: the blocks of the bucket are on their list for some time, but nothing takes them from there.
                unsafe { self.give_pages(segment, start, bucket.pages) };
            }
            page = start + bucket.pages;
        }
    }

    /// Sorts the list of `slot` by the level of its blocks' buckets, without those of empty ones.
    fn sort_list(&mut self, slot: usize) {
        let mut levels = [(ptr::null_mut::<Block>(), ptr::null_mut::<Block>()); LEVELS];
        let mut next = NonNull::new(self.heads[slot]);
        while let Some(block) = next {
            // SAFETY: blocks on the list are unused and lie in segments of this thread, whose levels are known; what an
            // empty bucket became is still mapped.
            unsafe {
                let run = Run::at(block);
                next = run.next;
                let level = *count_of(block) as usize - 1;
                if let Some((first, last)) = levels.get_mut(level) {
                    match NonNull::new(*last) {
                        Some(last) => (*last.as_ptr()).next = block.as_ptr(),
                        None => *first = block.as_ptr(),
                    }
                    *last = run.last.as_ptr();
                }
            }
        }
        let mut list = ptr::null_mut();
        for (first, last) in levels.into_iter().rev() {
            if let Some(last) = NonNull::new(last) {
                // SAFETY: as above.
                unsafe { (*last.as_ptr()).next = list };
                list = first;
            }
        }
        self.heads[slot] = list;
    }

    /// Gives free pages back if there are more than the reserve, and so many were freed since that it does not matter
    /// what it costs to get as many again. `pages` more were freed.
    pub fn release_sometimes<S: Source>(&mut self, shared: &Shared<S>, pages: usize) {
        self.freed_pages += pages;
        if self.freed_pages >= FREED_PAGES_MIN.max(self.mapped_pages / FREED_FRACTION) {
            self.freed_pages = 0;
            self.release_surplus(shared);
        }
    }

    /// Gives free pages back if there are more than the reserve.
    pub fn release_surplus<S: Source>(&mut self, shared: &Shared<S>) {
        let reserve = RESERVE_PAGES_MIN + self.used_pages / RESERVE_FRACTION;
        if self.mapped_pages - self.used_pages > reserve {
            // Down to half, so that the next page that becomes free does not cause the next call.
            self.release(shared, reserve / 2);
        }
    }

    /// Gives free pages back until `keep` are left, whole segments first.
    pub fn release<S: Source>(&mut self, shared: &Shared<S>, keep: usize) {
        let mut next = self.segments.first();
        while let Some(segment) = next {
            // SAFETY: it is in the list; nothing of an unused segment is referred to but by the list.
            unsafe {
                next = self.segments.after(segment);
                let books = &(*segment.as_ptr()).books;
                let mapped = books.mapped.len();
                let surplus = (self.mapped_pages - self.used_pages).saturating_sub(keep);
                if books.is_unused() && (keep == 0 || surplus >= mapped - HEADER_PAGES) {
                    self.segments.remove(segment);
                    self.mapped_pages -= mapped;
                    self.used_pages -= HEADER_PAGES;
                    shared.segment_close((*segment.as_ptr()).books.base);
                }
            }
        }
        let mut next = self.segments.first();
        while let Some(segment) = next {
            if self.mapped_pages - self.used_pages <= keep {
                return;
            }
            // SAFETY: it is in the list.
            unsafe {
                self.release_pages(shared, segment, keep);
                next = self.segments.after(segment);
            }
        }
    }

    /// Gives free pages of one segment back.
    ///
    /// # Safety
    ///
    /// `segment` is this thread's own.
    unsafe fn release_pages<S: Source>(
        &mut self,
        shared: &Shared<S>,
        segment: NonNull<Segment>,
        keep: usize,
    ) {
        // SAFETY: the segment is this thread's own.
        let (whole, free) = unsafe {
            let books: &Books = &(*segment.as_ptr()).books;
            (books.whole, books.free_mapped())
        };
        if whole {
            return;
        }
        let mut from = 0;
        while let Some((page, pages)) = free.next_run(from) {
            let surplus = (self.mapped_pages - self.used_pages).saturating_sub(keep);
            if surplus == 0 {
                return;
            }
            let pages_given = pages.min(surplus);
            // The upper ones go, so that what stays is together.
            let first = page + pages - pages_given;
            // SAFETY: the pages are mapped, free, and in a segment that was not opened whole.
            unsafe {
                (*segment.as_ptr()).books.mapped.remove(first, pages_given);
                let at = Segment::page_address(segment, first);
                shared.segment_unmap(at, pages_given * PAGE_SIZE);
            }
            self.mapped_pages -= pages_given;
            from = page + pages;
        }
    }
}

/// Blocks in a row on a list that lie in one page: what is done for a bucket is done once for them, and they stay linked.
struct Run {
    length: u16,
    last: NonNull<Block>,
    /// The block behind them on the list.
    next: Option<NonNull<Block>>,
}

impl Run {
    /// # Safety
    ///
    /// `first` is on a list of this thread.
    #[inline(always)]
    unsafe fn at(first: NonNull<Block>) -> Run {
        let page = first.addr().get() / PAGE_SIZE;
        let (mut length, mut last) = (1, first);
        loop {
            // SAFETY: blocks on the list hold their link.
            let next = NonNull::new(unsafe { (*last.as_ptr()).next });
            match next {
                Some(next) if next.addr().get() / PAGE_SIZE == page => last = next,
                _ => return Run { length, last, next },
            }
            length += 1;
        }
    }
}

/// What the books hold for the page that `block` begins in: see [`Books::counts`].
///
/// # Safety
///
/// `block` lies in a segment of this thread.
#[inline(always)]
unsafe fn count_of<'a>(block: NonNull<Block>) -> &'a mut u16 {
    let page = page_of(block.addr().get());
    // SAFETY: as the caller says.
    unsafe { &mut (*Segment::of(block.cast()).as_ptr()).books.counts[page] }
}
