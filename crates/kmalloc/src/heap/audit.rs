// SPDX-License-Identifier: BSD-2-Clause
//! A check of all books of the running thread's part against each other, for tests and for debugging.

use super::Heap;
use super::slow::Kind;
use crate::Error;
use crate::local::{Block, Local, NOT_KEPT};
use crate::segment::Segment;
use crate::source::{Region, Source};
use crate::threading::Threading;
use core::ptr::NonNull;
use kmalloc_bucket::resident::slots::{OCTAVE_COUNT, SizeClasses, octave_of};
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{HEADER_PAGES, PAGE_SIZE, SEGMENT_PAGES};

/// What a heap's memory is used for, in bytes, as far as the running thread's part knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Mapped in segments.
    pub mapped: usize,
    /// Of these, in headers, buckets and runs.
    pub used: usize,
    /// Free blocks on lists.
    pub free_blocks: usize,
}

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// Checks all books of the running thread's part against each other, and every list. Slow.
    ///
    /// # Panics
    ///
    /// If something does not agree: the program, or this heap, wrote where it should not.
    pub fn audit(&self) -> Result<Audit, Error> {
        let part = self.current()?;
        // SAFETY: the part is this thread's own, and nothing changes it meanwhile.
        let local = unsafe { &*part.local.get() };
        let mut audit = Audit::default();
        let mut next = local.segments().first();
        let mut full_seen = false;
        while let Some(segment) = next {
            // SAFETY: segments in the list are open and this thread's own.
            unsafe {
                assert!(core::ptr::eq((*segment.as_ptr()).owner, part));
                let full = audit_segment::<C>(segment, &mut audit);
                assert!(
                    full || !full_seen,
                    "a segment with free pages is behind full ones"
                );
                full_seen = full;
                next = local.segments().after(segment);
            }
        }
        let (mapped, used) = local.pages();
        assert_eq!(
            (audit.mapped, audit.used),
            (mapped * PAGE_SIZE, used * PAGE_SIZE)
        );
        for slot in 0..C::GEOMETRY.slots() {
            audit.free_blocks += self.audit_list(local, slot);
        }
        for octave in 0..OCTAVE_COUNT {
            audit.free_blocks += self.audit_kept(local, octave);
        }
        Ok(audit)
    }

    /// Checks the list of `slot`, and returns the bytes of its blocks.
    fn audit_list(&self, local: &Local, slot: usize) -> usize {
        let mut bytes = 0;
        let bucket = C::GEOMETRY.bucket(slot);
        let mut next = local.heads[slot];
        while let Some(block) = NonNull::new(next) {
            bytes += bucket.block_size;
            assert!(bytes <= local.pages().1 * PAGE_SIZE, "a list is a circle");
            let align = 1 << bucket.block_size.trailing_zeros();
            assert!(
                block.addr().get().is_multiple_of(align),
                "a block is not aligned"
            );
            assert_eq!(self.shared.region_of(block.cast()), Some(Region::Resident));
            let size = bucket.block_size;
            // SAFETY: nothing but blocks was ever put on the list, and one on a list holds its link.
            unsafe {
                assert_eq!(self.kind_of(block.cast()), Ok(Kind::Bucket { slot, size }));
                next = (*block.cast::<Block>().as_ptr()).next;
            }
        }
        bytes
    }

    /// Checks the block that is kept of this octave, and returns its bytes.
    fn audit_kept(&self, local: &Local, octave: usize) -> usize {
        let kept = local.kept[octave];
        let Some(block) = NonNull::new(kept).filter(|_| kept != NOT_KEPT) else {
            return 0;
        };
        // SAFETY: nothing but blocks is ever kept.
        let size = unsafe { self.kind_of(block.cast()) }.map_or(0, |kind| kind.size());
        assert!(
            size.is_power_of_two() && octave_of(size - 1) == octave,
            "a kept block has another size"
        );
        assert!(
            block.addr().get().is_multiple_of(size),
            "a kept block is not aligned"
        );
        size
    }
}

/// Checks the pages of a segment, and returns whether none of them is free.
///
/// # Safety
///
/// `segment` is this thread's own.
unsafe fn audit_segment<C: SizeClasses>(segment: NonNull<Segment>, audit: &mut Audit) -> bool {
    // SAFETY: as the caller says.
    let (tags, books) = unsafe { (&(*segment.as_ptr()).tags, &(*segment.as_ptr()).books) };
    let mut page = HEADER_PAGES;
    let mut used = HEADER_PAGES;
    while page < SEGMENT_PAGES {
        let pages = match tags.get(page) {
            Tag::Unused => {
                assert!(books.free.contains(page, 1));
                page += 1;
                continue;
            }
            Tag::Bucket { slot, index } => {
                let bucket = C::GEOMETRY.bucket(slot);
                assert!(index == 0 && page.is_multiple_of(bucket.align));
                for index in 1..bucket.pages {
                    assert_eq!(tags.get(page + index), Tag::Bucket { slot, index });
                }
                bucket.pages
            }
            Tag::Run { pages } => {
                let inside = page + 1..page + pages;
                assert!(inside.into_iter().all(|page| tags.get(page) == Tag::Unused));
                pages
            }
        };
        assert_eq!(books.free.count_in(page, pages), 0, "a page in use is free");
        assert!(
            books.mapped.contains(page, pages),
            "a page in use is not mapped"
        );
        used += pages;
        page += pages;
    }
    assert!(books.free_blocks.iter().all(|&count| count == 0));
    assert_eq!(used + books.free.len(), SEGMENT_PAGES);
    audit.mapped += books.mapped.len() * PAGE_SIZE;
    audit.used += used * PAGE_SIZE;
    books.free.is_empty()
}
