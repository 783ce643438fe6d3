// SPDX-License-Identifier: BSD-2-Clause
//! What one thread allocates from without asking anyone: a list of free blocks for each slot, and segments behind them.

mod collect;
mod pages;
mod runs;
#[cfg(feature = "checked")]
mod sealed;

use crate::segment::{Segment, SegmentList};
use crate::shared::Shared;
use crate::source::Source;
use crate::thread_heap::ThreadHeap;
use crate::{Error, NO_ROOM};
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::buckets::{BUCKET_SLOTS_MAX, Bucket, Geometry};
use kmalloc_bucket::resident::slots::{BUCKET_MASK_MAX, OCTAVE_COUNT, OCTAVE_MIN, octave_of};
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{PAGE_SIZE, page_of};
#[cfg(feature = "checked")]
pub(crate) use sealed::Damaged;

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
    /// Segments were lost since their books could not be believed any more.
    #[cfg(feature = "checked")]
    has_lost: bool,
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
            #[cfg(feature = "checked")]
            has_lost: false,
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
        let count = if cfg!(feature = "checked") {
            // What was never cut has no link that could be overwritten.
            1
        } else {
            (CARVE_SIZE / size).clamp(1, fresh.left / size)
        };
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
            fresh.next = first.add(count * size);
            fresh.left -= count * size;
            Ok(NonNull::new_unchecked(first))
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
                self.stamp_in_front(&shared.secret, segment, page);
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
