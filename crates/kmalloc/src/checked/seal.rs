// SPDX-License-Identifier: BSD-2-Clause
//! Digests of a segment's header: who writes to it without the heap is found out before the heap believes it.

use super::{Secret, TRAILER_SIZE};
use crate::segment::{Books, Segment};
use core::mem::{offset_of, size_of};
use core::ptr::NonNull;
use kmalloc_bucket::resident::pages::PageSet;
use kmalloc_bucket::resident::tags::PageTags;
use kmalloc_bucket::resident::{HEADER_SIZE_MAX, SEGMENT_PAGES};

/// What a header's parts were when the heap last wrote to them.
pub(crate) struct Seals {
    /// Of the owner, which never changes: threads that are not the owner look at it too.
    owner: u64,
    /// Of owner and links: looked at whenever the heap goes from this segment to the next.
    links: u64,
    /// Of all else: looked at before pages are taken or given.
    pages: u64,
}

// The page of a header ends in a stamp.
const _: () = assert!(size_of::<Segment>() + TRAILER_SIZE <= HEADER_SIZE_MAX);

impl Seals {
    /// What is not sealed yet.
    pub const NONE: Seals = Seals {
        owner: 0,
        links: 0,
        pages: 0,
    };

    /// Seals the header of a segment.
    ///
    /// # Safety
    ///
    /// `segment` is open, and the caller's own.
    pub unsafe fn put(secret: &Secret, segment: NonNull<Segment>) {
        // SAFETY: as the caller says.
        unsafe {
            (*segment.as_ptr()).seals = Seals {
                owner: owner(secret, segment),
                links: links(secret, segment),
                pages: pages(secret, segment),
            };
        }
    }

    /// Seals the links again, which the heap has changed. What it has not looked at stays as it was sealed.
    ///
    /// # Safety
    ///
    /// As [`Seals::put`].
    pub unsafe fn put_links(secret: &Secret, segment: NonNull<Segment>) {
        // SAFETY: as the caller says.
        unsafe { (*segment.as_ptr()).seals.links = links(secret, segment) };
    }

    /// Whether the segment's owner is who it was.
    ///
    /// # Safety
    ///
    /// There are bytes for a header at `segment`.
    pub unsafe fn has_owner(secret: &Secret, segment: NonNull<Segment>) -> bool {
        // SAFETY: as the caller says.
        unsafe { (*segment.as_ptr()).seals.owner == owner(secret, segment) }
    }

    /// Whether owner and links are what they were.
    ///
    /// # Safety
    ///
    /// As [`Seals::has_owner`].
    pub unsafe fn has_links(secret: &Secret, segment: NonNull<Segment>) -> bool {
        // SAFETY: as the caller says.
        unsafe { (*segment.as_ptr()).seals.links == links(secret, segment) }
    }

    /// Whether all but owner and links is what it was.
    ///
    /// # Safety
    ///
    /// As [`Seals::has_owner`].
    pub unsafe fn has_pages(secret: &Secret, segment: NonNull<Segment>) -> bool {
        // SAFETY: as the caller says.
        unsafe { (*segment.as_ptr()).seals.pages == pages(secret, segment) }
    }
}

unsafe fn owner(secret: &Secret, segment: NonNull<Segment>) -> u64 {
    // SAFETY: as the callers say.
    let owner = unsafe { word(segment, offset_of!(Segment, owner)) };
    secret.digest(segment.addr().get(), [owner].into_iter())
}

unsafe fn links(secret: &Secret, segment: NonNull<Segment>) -> u64 {
    // SAFETY: as the callers say.
    let words = unsafe {
        [
            word(segment, offset_of!(Segment, owner)),
            word(segment, place(offset_of!(Books, next))),
            word(segment, place(offset_of!(Books, previous))),
        ]
    };
    secret.digest(segment.addr().get(), words.into_iter())
}

unsafe fn pages(secret: &Secret, segment: NonNull<Segment>) -> u64 {
    const PLACES: [(usize, usize); 5] = [
        (offset_of!(Segment, tags), size_of::<PageTags>()),
        (place(offset_of!(Books, base)), size_of::<usize>()),
        (place(offset_of!(Books, free)), size_of::<PageSet>()),
        (place(offset_of!(Books, mapped)), size_of::<PageSet>()),
        (
            place(offset_of!(Books, counts)),
            SEGMENT_PAGES * size_of::<u16>(),
        ),
    ];
    let words = PLACES.into_iter().flat_map(|(offset, bytes)| {
        (offset..offset + bytes)
            .step_by(size_of::<u64>())
            // SAFETY: as the callers say.
            .map(|offset| unsafe { word(segment, offset) })
    });
    // SAFETY: as the callers say. A flag is looked at as a byte: who writes to it need not write zero or one.
    let whole = unsafe {
        let flag = segment
            .cast::<u8>()
            .add(place(offset_of!(Books, whole)))
            .read();
        u64::from(flag)
    };
    secret.digest(segment.addr().get(), words.chain([whole]))
}

/// Distance of a field of the books from the start of the header.
const fn place(offset: usize) -> usize {
    offset_of!(Segment, books) + offset
}

/// A word of a header. Nothing is believed of what it says, not even that a pointer is one.
///
/// # Safety
///
/// There are bytes for a header at `segment`, and those of the word are no gap.
unsafe fn word(segment: NonNull<Segment>, offset: usize) -> u64 {
    // SAFETY: as the caller says.
    unsafe {
        segment
            .cast::<u8>()
            .add(offset)
            .cast::<u64>()
            .read_unaligned()
    }
}
