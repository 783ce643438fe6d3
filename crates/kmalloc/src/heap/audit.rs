// SPDX-License-Identifier: BSD-2-Clause
//! A check of all books of the running thread's part against each other, for tests and for debugging.

use super::Heap;
use crate::Error;
use crate::local::{Block, Local, tag_of};
use crate::segment::Segment;
use crate::source::{Region, Source};
use crate::threading::Threading;
use core::ptr::NonNull;
use kmalloc_bucket::resident::slots::{BUCKET_SLOT_MAX, BUCKET_SLOT_MIN, SLOT_COUNT, block_size};
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{GROUP_PAGES, PAGE_SIZE, SEGMENT_PAGES};

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

impl<S: Source, T: Threading> Heap<S, T> {
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
                let full = audit_segment(segment, &mut audit);
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
        for slot in 0..SLOT_COUNT {
            audit.free_blocks += self.audit_list(local, slot);
        }
        Ok(audit)
    }

    /// Checks the list of `slot`, and returns the bytes of its blocks.
    fn audit_list(&self, local: &Local, slot: usize) -> usize {
        let mut bytes = 0;
        let mut next = local.heads[slot];
        while let Some(block) = NonNull::new(next) {
            assert!(
                block.addr().get().is_multiple_of(2 << slot),
                "a block is not aligned"
            );
            bytes += 2 << slot;
            if (BUCKET_SLOT_MIN..=BUCKET_SLOT_MAX).contains(&slot) {
                assert_eq!(self.shared.region_of(block.cast()), Some(Region::Resident));
                assert!(bytes <= local.pages().1 * PAGE_SIZE, "a list is a circle");
                // SAFETY: the resident region is the source's, and nothing else was ever put on the list.
                assert_eq!(unsafe { tag_of(block.cast()) }, Tag::Bucket { slot });
            } else {
                assert!(slot > BUCKET_SLOT_MAX);
                // SAFETY: as above.
                let size = unsafe { self.kind_of(block.cast()) }.map(|kind| kind.size());
                assert_eq!(size, Ok(2 << slot), "a kept block has another size");
            }
            // SAFETY: a block on a list holds its link.
            next = unsafe { (*block.cast::<Block>().as_ptr()).next };
        }
        bytes
    }
}

/// Checks the pages of a segment, and returns whether none of them is free.
///
/// # Safety
///
/// `segment` is this thread's own.
unsafe fn audit_segment(segment: NonNull<Segment>, audit: &mut Audit) -> bool {
    // SAFETY: as the caller says.
    let (tags, books) = unsafe { (&(*segment.as_ptr()).tags, &(*segment.as_ptr()).books) };
    let mut page = 0;
    let mut used = 0;
    while page < SEGMENT_PAGES {
        let pages = match tags.get(page) {
            Tag::Unused => {
                assert!(page < GROUP_PAGES || books.free.contains(page, 1));
                page += 1;
                continue;
            }
            Tag::Bucket { slot } => {
                assert!(page.is_multiple_of(GROUP_PAGES) && block_size(slot) >= 16);
                GROUP_PAGES
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
        used += if page == 0 { 0 } else { pages };
        page += pages;
    }
    assert_eq!(books.first_bucket_free, tags.get(0) == Tag::Unused);
    assert!(books.free_blocks.iter().all(|&count| count == 0));
    assert_eq!(used + GROUP_PAGES + books.free.len(), SEGMENT_PAGES);
    audit.mapped += books.mapped.len() * PAGE_SIZE;
    audit.used += (used + GROUP_PAGES) * PAGE_SIZE;
    books.free.is_empty() && !books.first_bucket_free
}
