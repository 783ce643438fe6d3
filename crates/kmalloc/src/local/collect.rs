// SPDX-License-Identifier: BSD-2-Clause
//! Giving memory back: free blocks are counted, empty buckets become free pages, free pages beyond a reserve go back.
//!
//! Nothing on the fast paths counts. Free blocks are counted before a heap grows (unless it has grown little since the
//! last count), after many calls of `kfree`, and by `trim`; each count costs a few instructions a free block.

use super::{Block, FREES_PER_COLLECT_MIN, Fresh, Local};
use crate::segment::{Books, Segment};
use crate::shared::Shared;
use crate::source::Source;
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::slots::{
    BUCKET_SLOT_MAX, BUCKET_SLOT_MIN, block_size, blocks_per_bucket,
};
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{
    BUCKET_SIZE, GROUP_PAGES, PAGE_SIZE, SEGMENT_GROUPS, first_bucket_offset, page_of,
};

/// Free mapped pages that a heap keeps, however small it is: a workload that swings by less causes no calls.
const RESERVE_PAGES_MIN: usize = 256;
/// The part of the pages in use that a heap keeps free on top.
const RESERVE_FRACTION: usize = 8;
/// How much a heap may grow after a count until the next, at least.
const COLLECT_PAGES_MIN: usize = 32;

impl Local {
    /// Makes free pages of all buckets that hold no block in use.
    pub fn collect(&mut self) {
        for slot in BUCKET_SLOT_MIN..=BUCKET_SLOT_MAX {
            self.count_free_blocks(slot);
        }
        // What the next count will look at again.
        let mut work = 0;
        for slot in BUCKET_SLOT_MIN..=BUCKET_SLOT_MAX {
            work += self.drop_empty_buckets(slot);
        }
        let mut next = self.segments.first();
        while let Some(segment) = next {
            // SAFETY: it is in the list. The one after it is asked for first: freeing pages moves it to the front.
            unsafe {
                next = self.segments.after(segment);
                self.free_empty_buckets(segment);
            }
            work += SEGMENT_GROUPS;
        }
        self.collect_at_pages =
            self.used_pages + (self.used_pages / RESERVE_FRACTION).max(COLLECT_PAGES_MIN);
        self.frees_until_collect = FREES_PER_COLLECT_MIN.max(work);
    }

    /// Counts the blocks on the list of `slot` in the books of their buckets.
    fn count_free_blocks(&mut self, slot: usize) {
        let mut next = self.heads[slot];
        while let Some(block) = NonNull::new(next) {
            // SAFETY: blocks on the list lie in segments of this thread.
            unsafe {
                *free_blocks_of(block) += 1;
                next = (*block.as_ptr()).next;
            }
        }
    }

    /// Takes the blocks of empty buckets off the list of `slot`, and returns how many blocks stay.
    fn drop_empty_buckets(&mut self, slot: usize) -> usize {
        let mut count = 0;
        let fresh = self.fresh[slot];
        let mut kept = ptr::null_mut::<Block>();
        let mut last = &raw mut kept;
        let mut next = self.heads[slot];
        while let Some(block) = NonNull::new(next) {
            // SAFETY: blocks on the list lie in segments of this thread; `last` is `kept` or the link of one of them.
            unsafe {
                next = (*block.as_ptr()).next;
                if !is_empty(block.cast(), slot, fresh) {
                    *last = block.as_ptr();
                    last = &raw mut (*block.as_ptr()).next;
                    count += 1;
                }
            }
        }
        // SAFETY: as above.
        unsafe { *last = ptr::null_mut() };
        self.heads[slot] = kept;
        count
    }

    /// Makes free pages of the empty buckets of `segment`, and forgets the counts.
    ///
    /// # Safety
    ///
    /// `segment` is this thread's own; its blocks are counted, and those of empty buckets are on no list.
    unsafe fn free_empty_buckets(&mut self, segment: NonNull<Segment>) {
        for group in 0..SEGMENT_GROUPS {
            let page = group * GROUP_PAGES;
            // SAFETY: the segment is this thread's own.
            let count = unsafe { (*segment.as_ptr()).books.free_blocks[group] };
            if count == 0 {
                continue;
            }
            // SAFETY: as above. A group with free blocks is a bucket; if it is empty, nothing refers to it once the
            // uncut part of it is forgotten.
            unsafe {
                let tag = (*segment.as_ptr()).tags.get(page);
                let Tag::Bucket { slot } = tag else {
                    unreachable!("a free block in pages of {tag:?}")
                };
                let start = Segment::page_address(segment, page);
                let empty = is_empty(start, slot, self.fresh[slot]);
                (*segment.as_ptr()).books.free_blocks[group] = 0;
                if !empty {
                    continue;
                }
                if is_in_bucket(self.fresh[slot], start) {
                    self.fresh[slot] = Fresh::NONE;
                }
                (*segment.as_ptr()).tags.clear_bucket(page);
                if page == 0 {
                    (*segment.as_ptr()).books.first_bucket_free = true;
                    self.segments.remove(segment);
                    self.segments.push_front(segment);
                } else {
                    self.give_pages(segment, page, GROUP_PAGES);
                }
            }
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
                if books.is_unused() && (keep == 0 || surplus >= mapped - GROUP_PAGES) {
                    self.segments.remove(segment);
                    self.mapped_pages -= mapped;
                    self.used_pages -= GROUP_PAGES;
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

/// The count of free blocks of the bucket that `block` lies in.
///
/// # Safety
///
/// `block` lies in a bucket of a segment of this thread.
unsafe fn free_blocks_of<'a>(block: NonNull<Block>) -> &'a mut u16 {
    let group = page_of(block.addr().get()) / GROUP_PAGES;
    // SAFETY: as the caller says.
    unsafe { &mut (*Segment::of(block.cast()).as_ptr()).books.free_blocks[group] }
}

/// Whether all blocks that were cut from the bucket that `address` lies in are free.
///
/// # Safety
///
/// `address` lies in a bucket of `slot`, in a segment of this thread whose free blocks are counted.
unsafe fn is_empty(address: NonNull<u8>, slot: usize, fresh: Fresh) -> bool {
    let page = page_of(address.addr().get());
    let mut blocks = blocks_per_bucket(slot);
    if page < GROUP_PAGES {
        let offset = first_bucket_offset(address.addr().get(), block_size(slot));
        blocks -= offset / block_size(slot);
    }
    if is_in_bucket(fresh, address) {
        blocks -= fresh.left / block_size(slot);
    }
    // SAFETY: as the caller says.
    unsafe { *free_blocks_of(address.cast()) as usize == blocks }
}

/// Whether `fresh` is the uncut part of the bucket that `address` lies in.
fn is_in_bucket(fresh: Fresh, address: NonNull<u8>) -> bool {
    fresh.left > 0 && fresh.next.addr() / BUCKET_SIZE == address.addr().get() / BUCKET_SIZE
}
