// SPDX-License-Identifier: BSD-2-Clause
//! What one thread allocates from without asking anyone: a list of free blocks for each slot, and segments behind them.

mod collect;
mod pages;

use crate::segment::{Segment, SegmentList};
use crate::shared::Shared;
use crate::source::Source;
use crate::thread_heap::ThreadHeap;
use crate::{Error, NO_ROOM};
use collect::FREED_PAGES_MIN;
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::buckets::{BUCKET_SLOTS_MAX, Bucket, Geometry, LARGEST_BLOCK_PAGES};
use kmalloc_bucket::resident::slots::{BUCKET_MASK_MAX, OCTAVE_COUNT, OCTAVE_MIN, octave_of};
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{PAGE_SIZE, RUN_PAGES_MAX, page_of};

/// A free block, as far as the heap looks into it.
pub(crate) struct Block {
    pub next: *mut Block,
}

/// Stands where no block is kept, so that the place is not taken for an empty one.
pub(crate) const NOT_KEPT: *mut Block = ptr::without_provenance_mut(1);
/// Largest mask of a block that is kept: 1 MiB. One block of each larger power of two would be too much to keep for
/// nothing.
const KEPT_MASK_MAX: usize = (1 << 20) - 1;
/// What is kept at first.
const KEPT_NONE: [*mut Block; OCTAVE_COUNT] = {
    let mut kept = [NOT_KEPT; OCTAVE_COUNT];
    let mut octave = 0;
    while octave <= octave_of(KEPT_MASK_MAX) {
        kept[octave] = ptr::null_mut();
        octave += 1;
    }
    kept
};

/// The part of a bucket that was never cut into blocks.
#[derive(Clone, Copy)]
struct Fresh {
    /// Where the next block begins; null if there is no such bucket.
    next: *mut u8,
    /// Bytes from there to the end of the last block.
    left: usize,
}

impl Fresh {
    const NONE: Fresh = Fresh {
        next: ptr::null_mut(),
        left: 0,
    };

    /// Whether this is the uncut part of the bucket that begins at `start`.
    fn is_in(self, start: NonNull<u8>, bucket: &Bucket) -> bool {
        let distance = self.next.addr().wrapping_sub(start.addr().get());
        self.left > 0 && distance < bucket.pages * PAGE_SIZE
    }
}

/// Blocks are cut for about this many bytes at a time, so that a program touches no page long before it needs it.
const CARVE_SIZE: usize = PAGE_SIZE;

/// The part of a heap that one thread uses alone.
#[repr(C)]
pub(crate) struct Local {
    /// The free blocks of each slot, last freed first.
    pub heads: [*mut Block; BUCKET_SLOTS_MAX],
    /// Above buckets, a block of each power of two, aligned to its size; [`NOT_KEPT`] where none is ever kept.
    pub kept: [*mut Block; OCTAVE_COUNT],
    /// What the size classes make of buckets.
    geometry: &'static Geometry,
    fresh: [Fresh; BUCKET_SLOTS_MAX],
    segments: SegmentList,
    /// Pages mapped in the segments.
    mapped_pages: usize,
    /// Of these, pages of headers, buckets and runs.
    used_pages: usize,
    /// Free blocks are counted before more than this many pages are mapped.
    collect_at_pages: usize,
    /// Pages of runs that were freed since any were given back.
    freed_pages: usize,
    /// Calls of `kfree` until free blocks are counted.
    pub frees_until_collect: usize,
    /// Freed blocks that are not used again yet.
    #[cfg(feature = "checked")]
    pub quarantine: [crate::checked::Queue; BUCKET_SLOTS_MAX],
    /// Freed runs that are not used again yet.
    #[cfg(feature = "checked")]
    pub run_quarantine: crate::checked::Queue,
}

/// Calls of `kfree` between two counts of the free blocks, at least.
const FREES_PER_COLLECT_MIN: usize = 1024;

impl Local {
    pub const fn new(geometry: &'static Geometry) -> Local {
        Local {
            heads: [ptr::null_mut(); BUCKET_SLOTS_MAX],
            kept: KEPT_NONE,
            geometry,
            fresh: [Fresh::NONE; BUCKET_SLOTS_MAX],
            segments: SegmentList::new(),
            mapped_pages: 0,
            used_pages: 0,
            collect_at_pages: 0,
            freed_pages: 0,
            frees_until_collect: FREES_PER_COLLECT_MIN,
            #[cfg(feature = "checked")]
            quarantine: [crate::checked::Queue::NONE; BUCKET_SLOTS_MAX],
            #[cfg(feature = "checked")]
            run_quarantine: crate::checked::Queue::NONE,
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

    /// Where the list of `slot` begins.
    ///
    /// # Safety
    ///
    /// `local` is valid, and `slot` less than [`BUCKET_SLOTS_MAX`].
    #[inline(always)]
    pub unsafe fn head(local: *mut Local, slot: usize) -> *mut *mut Block {
        debug_assert!(slot < BUCKET_SLOTS_MAX);
        // SAFETY: as the caller says. A check of the bounds would be a fifth of the fast path.
        unsafe { (&raw mut (*local).heads).cast::<*mut Block>().add(slot) }
    }

    /// Where the block is kept that serves a request with this mask.
    ///
    /// # Safety
    ///
    /// `local` is valid, and the mask above [`BUCKET_MASK_MAX`].
    #[inline(always)]
    pub unsafe fn kept(local: *mut Local, mask: usize) -> *mut *mut Block {
        debug_assert!(mask > BUCKET_MASK_MAX);
        // SAFETY: as the caller says.
        unsafe {
            let kept = (&raw mut (*local).kept).cast::<*mut Block>();
            kept.wrapping_sub(OCTAVE_MIN)
                .wrapping_add(mask.ilog2() as usize)
        }
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
        debug_assert!(slot < self.geometry.slots());
        if self.fresh[slot].left == 0 {
            // Counting free blocks may put some onto no list, but it never fills one: an empty list stays empty.
            self.fresh[slot] = self.take_bucket(shared, owner, slot)?;
        }
        let size = self.geometry.bucket(slot).block_size;
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

    /// Grows a run, or a block of slot `largest`, into free mapped pages behind it; `false` if it is something else, or
    /// if that is not quickly done.
    ///
    /// # Safety
    ///
    /// `block` lies in a segment of this thread.
    #[inline(always)]
    pub unsafe fn run_grow_quickly(
        &mut self,
        block: NonNull<u8>,
        pages_new: usize,
        largest: usize,
    ) -> bool {
        let page = page_of(block.addr().get());
        // SAFETY: as the caller says.
        unsafe {
            let segment = Segment::of(block).as_ptr();
            let tags = &(*segment).tags;
            let (pages_old, is_bucket) = match tags.get(page) {
                Tag::Run { pages } => (pages, false),
                Tag::Bucket { slot, .. } if slot == largest => (LARGEST_BLOCK_PAGES, true),
                _ => return false,
            };
            if pages_new > RUN_PAGES_MAX {
                return false;
            }
            let books = &mut (*segment).books;
            // If there are no more, these are too many to be taken quickly.
            let more = pages_new.wrapping_sub(pages_old);
            if !books.free.take_if_in(&books.mapped, page + pages_old, more) {
                return false;
            }
            if is_bucket {
                tags.clear(page, LARGEST_BLOCK_PAGES);
            }
            tags.set_run(page, pages_new);
            // Some pages stay, so the segment stays where it is among the others.
            self.used_pages += more;
        }
        true
    }

    /// Frees a run, and makes a block of slot `largest` of its first pages if there is none: programs that grow one
    /// buffer after the other find it, with room behind it. `false` if that is not quickly done.
    ///
    /// # Safety
    ///
    /// `block` lies in a segment of this thread, and if a run begins there, nothing uses it any more.
    #[inline(always)]
    pub unsafe fn run_free_quickly(&mut self, block: NonNull<u8>, largest: usize) -> bool {
        let page = page_of(block.addr().get());
        // SAFETY: as the caller says; a list's blocks are unused.
        unsafe {
            let segment = Segment::of(block);
            let tags = &(*segment.as_ptr()).tags;
            let Tag::Run { pages } = tags.get(page) else {
                return false;
            };
            let head = Local::head(self, largest);
            if pages <= LARGEST_BLOCK_PAGES
                || !page.is_multiple_of(LARGEST_BLOCK_PAGES)
                || !(*head).is_null()
                || self.segments.first() != Some(segment)
                || self.freed_pages > FREED_PAGES_MIN
            {
                return false;
            }
            let rest = pages - LARGEST_BLOCK_PAGES;
            let free = &mut (*segment.as_ptr()).books.free;
            if !free.insert_in_word(page + LARGEST_BLOCK_PAGES, rest) {
                return false;
            }
            tags.set_bucket(page, LARGEST_BLOCK_PAGES, largest);
            let block = block.cast::<Block>().as_ptr();
            (*block).next = ptr::null_mut();
            *head = block;
            self.used_pages -= rest;
            self.freed_pages += rest;
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
            let rest = pages - LARGEST_BLOCK_PAGES;
            self.give_pages(segment, page + LARGEST_BLOCK_PAGES, rest);
            let tags = &(*segment.as_ptr()).tags;
            tags.set_bucket(page, LARGEST_BLOCK_PAGES, self.geometry.largest());
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
            (*segment.as_ptr()).tags.clear(page, LARGEST_BLOCK_PAGES);
            self.give_pages(segment, page, LARGEST_BLOCK_PAGES);
        }
    }

    /// An uncut bucket for `slot`.
    fn take_bucket<S: Source>(
        &mut self,
        shared: &Shared<S>,
        owner: *const ThreadHeap,
        slot: usize,
    ) -> Result<Fresh, Error> {
        let bucket = self.geometry.bucket(slot);
        let request = pages::Request::of(bucket);
        let (segment, page) = self.take_or_grow(shared, owner, request)?;
        // SAFETY: the pages are mapped and were just taken.
        unsafe {
            (*segment.as_ptr())
                .tags
                .set_bucket(page, bucket.pages, slot);
            #[cfg(feature = "checked")]
            {
                use crate::checked::{Trailer, bucket_end};
                let (last, size) = bucket_end(Segment::page_address(segment, page), bucket);
                Trailer::of(last, size).set_free(&shared.secret);
            }
            Ok(Fresh {
                next: Segment::page_address(segment, page).as_ptr(),
                left: bucket.blocks * bucket.block_size,
            })
        }
    }

    /// Mapped pages that were free.
    fn take_or_grow<S: Source>(
        &mut self,
        shared: &Shared<S>,
        owner: *const ThreadHeap,
        request: pages::Request,
    ) -> Result<(NonNull<Segment>, usize), Error> {
        if let Some(found) = self.take_pages(request) {
            return Ok(found);
        }
        self.grow(shared, owner, request)?;
        self.take_pages(request).ok_or(NO_ROOM)
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
        let (segment, page) = self.take_or_grow(shared, owner, request)?;
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
            (*segment.as_ptr()).tags.clear(page, 1);
            self.give_pages(segment, page, pages);
        }
        self.release_sometimes(shared, pages);
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
                    tags.clear(page, LARGEST_BLOCK_PAGES);
                }
                tags.set_run(page, pages_new);
            }
        } else {
            // SAFETY: nothing uses the pages above `pages_new`.
            unsafe {
                self.give_pages(segment, page + pages_new, pages_old - pages_new);
                (*segment.as_ptr()).tags.set_run(page, pages_new);
            }
            self.release_sometimes(shared, pages_old - pages_new);
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
