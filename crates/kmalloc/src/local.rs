// SPDX-License-Identifier: BSD-2-Clause
//! What one thread allocates from without asking anyone: a list of free blocks for each slot, and segments behind them.

mod collect;
mod pages;

use crate::segment::{Segment, SegmentList};
use crate::shared::Shared;
use crate::source::Source;
use crate::thread_heap::ThreadHeap;
use crate::{Error, NO_ROOM};
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::slots::{BUCKET_SLOT_MAX, BUCKET_SLOT_MIN, SLOT_COUNT, block_size};
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{
    BUCKET_SIZE, FIRST_BUCKET_BLOCK_SIZE_MAX, GROUP_PAGES, PAGE_SIZE, RUN_PAGES_MAX,
    first_bucket_offset, page_of,
};

/// A free block, as far as the heap looks into it.
pub(crate) struct Block {
    pub next: *mut Block,
}

/// The part of a bucket that was never cut into blocks.
#[derive(Clone, Copy)]
struct Fresh {
    /// Where the next block begins; null if there is no such bucket.
    next: *mut u8,
    /// Bytes from there to the end of the bucket.
    left: usize,
}

impl Fresh {
    const NONE: Fresh = Fresh {
        next: ptr::null_mut(),
        left: 0,
    };
}

/// Blocks are cut for about this many bytes at a time, so that a program touches no page long before it needs it.
const CARVE_SIZE: usize = PAGE_SIZE;

/// The part of a heap that one thread uses alone.
#[repr(C)]
pub(crate) struct Local {
    /// The free blocks of each slot, last freed first. Slots above those of buckets hold at most one block, which has
    /// exactly the slot's largest size and is aligned to it.
    pub heads: [*mut Block; SLOT_COUNT],
    fresh: [Fresh; BUCKET_SLOT_MAX + 1],
    segments: SegmentList,
    /// Pages mapped in the segments.
    mapped_pages: usize,
    /// Of these, pages of headers, buckets and runs.
    used_pages: usize,
    /// Free blocks are counted before more than this many pages are mapped.
    collect_at_pages: usize,
    /// Calls of `kfree` until free blocks are counted.
    pub frees_until_collect: usize,
    /// Freed blocks that are not used again yet.
    #[cfg(feature = "checked")]
    pub quarantine: [crate::checked::Queue; BUCKET_SLOT_MAX + 1],
}

/// Calls of `kfree` between two counts of the free blocks, at least.
const FREES_PER_COLLECT_MIN: usize = 1024;

impl Local {
    pub const fn new() -> Local {
        Local {
            heads: [ptr::null_mut(); SLOT_COUNT],
            fresh: [Fresh::NONE; BUCKET_SLOT_MAX + 1],
            segments: SegmentList::new(),
            mapped_pages: 0,
            used_pages: 0,
            collect_at_pages: 0,
            frees_until_collect: FREES_PER_COLLECT_MIN,
            #[cfg(feature = "checked")]
            quarantine: [crate::checked::Queue::NONE; BUCKET_SLOT_MAX + 1],
        }
    }

    /// Pages mapped, and pages of these that are in use.
    pub fn pages(&self) -> (usize, usize) {
        (self.mapped_pages, self.used_pages)
    }

    /// The segments, those with free pages first.
    pub fn segments(&self) -> &SegmentList {
        &self.segments
    }

    /// Puts a block in front of its slot's list.
    ///
    /// # Safety
    ///
    /// `block` is a block of this slot that is in use, and the caller gives it up.
    #[inline(always)]
    pub unsafe fn push(&mut self, slot: usize, block: NonNull<u8>) {
        let block = block.cast::<Block>().as_ptr();
        // SAFETY: every block has room for a link, is aligned to 16 bytes, and is the caller's to give.
        unsafe { (*block).next = self.heads[slot] };
        self.heads[slot] = block;
    }

    /// A block of a bucket slot whose list is empty; further ones go onto the list.
    pub fn refill<S: Source>(
        &mut self,
        shared: &Shared<S>,
        owner: *const ThreadHeap,
        slot: usize,
    ) -> Result<NonNull<u8>, Error> {
        debug_assert!((BUCKET_SLOT_MIN..=BUCKET_SLOT_MAX).contains(&slot));
        if self.fresh[slot].left == 0 {
            // Counting free blocks may put some onto no list, but it never fills one: an empty list stays empty.
            self.fresh[slot] = self.take_bucket(shared, owner, slot)?;
        }
        let size = block_size(slot);
        let fresh = &mut self.fresh[slot];
        let count = (CARVE_SIZE / size).clamp(1, fresh.left / size);
        let first = fresh.next;
        // SAFETY: `count` blocks from `first` lie in the uncut part of a mapped bucket, which is this thread's own.
        unsafe {
            let mut rest = self.heads[slot];
            for index in (1..count).rev() {
                let block = first.add(index * size).cast::<Block>();
                (*block).next = rest;
                rest = block;
            }
            self.heads[slot] = rest;
            #[cfg(feature = "checked")]
            for index in 0..count {
                let block = NonNull::new_unchecked(first.add(index * size));
                crate::checked::Trailer::of(block, size).set_free(&shared.secret);
            }
            fresh.next = first.add(count * size);
            fresh.left -= count * size;
            Ok(NonNull::new_unchecked(first))
        }
    }

    /// Grows a run, or a bucket that is one block, into free mapped pages behind it; `false` if it is something else, or
    /// if that is not quickly done.
    ///
    /// # Safety
    ///
    /// `block` lies in a segment of this thread.
    #[inline(always)]
    pub unsafe fn run_grow_quickly(&mut self, block: NonNull<u8>, pages_new: usize) -> bool {
        let page = page_of(block.addr().get());
        // SAFETY: as the caller says.
        unsafe {
            let segment = Segment::of(block).as_ptr();
            let tags = &(*segment).tags;
            let (pages_old, is_bucket) = match tags.get(page) {
                Tag::Run { pages } => (pages, false),
                Tag::Bucket {
                    slot: BUCKET_SLOT_MAX,
                } => (GROUP_PAGES, true),
                _ => return false,
            };
            if pages_new <= pages_old || pages_new > RUN_PAGES_MAX {
                return false;
            }
            let books = &mut (*segment).books;
            let more = pages_new - pages_old;
            if !books.free.take_if_in(&books.mapped, page + pages_old, more) {
                return false;
            }
            if is_bucket {
                tags.clear_bucket(page);
            }
            tags.set_run(page, pages_new);
            self.used_pages += more;
            self.move_back_if_full(NonNull::new_unchecked(segment));
        }
        true
    }

    /// Makes a block of the largest slot of the first pages of a run, and frees the rest of it.
    ///
    /// # Safety
    ///
    /// `block` is an unused run in a segment of this thread, aligned to a bucket and longer than one.
    pub unsafe fn run_into_block(&mut self, block: NonNull<u8>, pages: usize) {
        let page = page_of(block.addr().get());
        // SAFETY: as the caller says.
        unsafe {
            let segment = Segment::of(block);
            self.give_pages(segment, page + GROUP_PAGES, pages - GROUP_PAGES);
            (*segment.as_ptr()).tags.set_bucket(page, BUCKET_SLOT_MAX);
        }
    }

    /// Frees the pages of a block of the largest slot, instead of putting it on the list.
    ///
    /// # Safety
    ///
    /// `block` is such a block in a segment of this thread, and nothing uses it any more.
    pub unsafe fn block_into_pages(&mut self, block: NonNull<u8>) {
        // SAFETY: a bucket of the largest blocks is one block.
        unsafe {
            let segment = Segment::of(block);
            let page = page_of(block.addr().get());
            (*segment.as_ptr()).tags.clear_bucket(page);
            self.give_pages(segment, page, GROUP_PAGES);
        }
    }

    /// An uncut bucket for `slot`.
    fn take_bucket<S: Source>(
        &mut self,
        shared: &Shared<S>,
        owner: *const ThreadHeap,
        slot: usize,
    ) -> Result<Fresh, Error> {
        if let Some(bucket) = self.find_bucket(slot) {
            return Ok(bucket);
        }
        let group = pages::Request::BUCKET;
        self.grow(shared, owner, group)?;
        self.find_bucket(slot).ok_or(NO_ROOM)
    }

    /// A bucket in mapped pages.
    fn find_bucket(&mut self, slot: usize) -> Option<Fresh> {
        if block_size(slot) <= FIRST_BUCKET_BLOCK_SIZE_MAX
            && let Some(segment) = self.find_segment(|books| books.first_bucket_free)
        {
            // SAFETY: the segment is this thread's own, and its first group is mapped and no bucket.
            return Some(unsafe {
                (*segment.as_ptr()).books.first_bucket_free = false;
                self.move_back_if_full(segment);
                (*segment.as_ptr()).tags.set_bucket(0, slot);
                let base = (*segment.as_ptr()).books.base;
                let offset = first_bucket_offset(base.addr().get(), block_size(slot));
                Fresh {
                    next: base.as_ptr().add(offset),
                    left: BUCKET_SIZE - offset,
                }
            });
        }
        let (segment, page) = self.take_pages(pages::Request::BUCKET)?;
        // SAFETY: the pages are mapped and were just taken.
        unsafe {
            (*segment.as_ptr()).tags.set_bucket(page, slot);
            Some(Fresh {
                next: Segment::page_address(segment, page).as_ptr(),
                left: BUCKET_SIZE,
            })
        }
    }

    /// A block of `pages` whole pages, aligned to `align` bytes.
    pub fn run_alloc<S: Source>(
        &mut self,
        shared: &Shared<S>,
        owner: *const ThreadHeap,
        pages: usize,
        align: usize,
    ) -> Result<NonNull<u8>, Error> {
        let request = pages::Request {
            pages,
            align: align.div_ceil(PAGE_SIZE),
        };
        let found = match self.take_pages(request) {
            Some(found) => found,
            None => {
                self.grow(shared, owner, request)?;
                self.take_pages(request).ok_or(NO_ROOM)?
            }
        };
        let (segment, page) = found;
        // SAFETY: the pages are mapped and were just taken.
        unsafe {
            (*segment.as_ptr()).tags.set_run(page, pages);
            Ok(Segment::page_address(segment, page))
        }
    }

    /// Frees a run.
    ///
    /// # Safety
    ///
    /// `block` is a run of `pages` in a segment of this thread, and nothing uses it any more.
    pub unsafe fn run_free<S: Source>(
        &mut self,
        shared: &Shared<S>,
        block: NonNull<u8>,
        pages: usize,
    ) {
        // SAFETY: as the caller says.
        unsafe {
            let segment = Segment::of(block);
            let page = page_of(block.addr().get());
            (*segment.as_ptr()).tags.clear_run(page);
            self.give_pages(segment, page, pages);
        }
        self.release_surplus(shared);
    }

    /// Makes a run of `pages_old` (or a bucket that is one block) a run of `pages_new`, where it stands; `false` if what
    /// follows it is in use.
    ///
    /// # Safety
    ///
    /// `block` is such a block in a segment of this thread, and nothing uses what lies above `pages_new`.
    pub unsafe fn run_resize<S: Source>(
        &mut self,
        shared: &Shared<S>,
        block: NonNull<u8>,
        pages_old: usize,
        pages_new: usize,
    ) -> bool {
        let page = page_of(block.addr().get());
        // SAFETY: the block lies in an open segment.
        let segment = unsafe { Segment::of(block) };
        if pages_new > pages_old {
            let (from, count) = (page + pages_old, pages_new - pages_old);
            // SAFETY: the segment is this thread's own.
            if !unsafe { self.take_pages_at(shared, segment, from, count) } {
                return false;
            }
            // SAFETY: the pages were just taken for this block. If it was a bucket, its further pages are none any more.
            unsafe {
                let tags = &(*segment.as_ptr()).tags;
                if let Tag::Bucket { .. } = tags.get(page) {
                    tags.clear_bucket(page);
                }
                tags.set_run(page, pages_new);
            }
        } else {
            // SAFETY: nothing uses the pages above `pages_new`.
            unsafe {
                self.give_pages(segment, page + pages_new, pages_old - pages_new);
                (*segment.as_ptr()).tags.set_run(page, pages_new);
            }
            self.release_surplus(shared);
        }
        true
    }
}

/// The tag of the page that `block` lies in.
///
/// # Safety
///
/// `block` lies in an open segment.
#[inline(always)]
pub(crate) unsafe fn tag_of(block: NonNull<u8>) -> Tag {
    // SAFETY: the header of an open segment is mapped; tags may be read by every thread.
    unsafe {
        (*Segment::of(block).as_ptr())
            .tags
            .get(page_of(block.addr().get()))
    }
}
