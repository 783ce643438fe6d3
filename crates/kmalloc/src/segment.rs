// SPDX-License-Identifier: BSD-2-Clause
//! The header of a segment, and the list of segments that a thread heap owns.

use crate::source::SEGMENT_SIZE;
use crate::thread_heap::ThreadHeap;
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::pages::PageSet;
use kmalloc_bucket::resident::tags::PageTags;
use kmalloc_bucket::resident::{
    HEADER_PAGES, HEADER_SIZE_MAX, PAGE_SIZE, SEGMENT_PAGES, header_offset,
};

/// The metadata of a segment, at its start.
///
/// Other threads read `owner` and `tags`; everything else is the owner's alone. So the header is never borrowed as a
/// whole, only its fields are.
pub(crate) struct Segment {
    /// Whose blocks these are; never changes while the segment is open.
    pub owner: *const ThreadHeap,
    pub tags: PageTags,
    pub books: Books,
    /// What all of it was when the heap last wrote to it.
    #[cfg(feature = "checked")]
    pub seals: crate::checked::Seals,
}

/// What only the owner of a segment looks at.
pub(crate) struct Books {
    /// The segment's first byte, with provenance for all of it.
    pub base: NonNull<u8>,
    pub next: *mut Segment,
    pub previous: *mut Segment,
    /// Pages of no bucket and no run, mapped or not.
    pub free: PageSet,
    pub mapped: PageSet,
    /// Opened with all its pages, so that none of them may be given back alone.
    pub whole: bool,
    /// While free blocks are counted: how many begin in each page, then one more than its bucket's level (see
    /// `local::collect`); else 0.
    pub counts: [u16; SEGMENT_PAGES],
}

const _: () = assert!(size_of::<Segment>() <= HEADER_SIZE_MAX);

impl Segment {
    /// Writes the header of a segment that was just opened at `base` with its first `pages` pages.
    ///
    /// # Safety
    ///
    /// `base` is an open segment of which nothing is in use, with `pages` (at least [`HEADER_PAGES`]) mapped.
    pub unsafe fn create(
        base: NonNull<u8>,
        pages: usize,
        owner: *const ThreadHeap,
    ) -> NonNull<Segment> {
        let mut free = PageSet::new();
        free.insert(HEADER_PAGES, SEGMENT_PAGES - HEADER_PAGES);
        let mut mapped = PageSet::new();
        mapped.insert(0, pages);
        let books = Books {
            base,
            next: ptr::null_mut(),
            previous: ptr::null_mut(),
            free,
            mapped,
            whole: pages == SEGMENT_PAGES,
            counts: [0; SEGMENT_PAGES],
        };
        let header = Segment {
            owner,
            tags: PageTags::new(),
            books,
            #[cfg(feature = "checked")]
            seals: crate::checked::Seals::NONE,
        };
        // SAFETY: the header lies in the first page, which is mapped and unused; colours are multiples of a cache
        // line, which aligns it.
        unsafe {
            let segment = base.add(header_offset(base.addr().get())).cast::<Segment>();
            segment.write(header);
            segment
        }
    }

    /// The header of the segment that `address` lies in.
    ///
    /// # Safety
    ///
    /// `address` lies in an open segment and has provenance for its header.
    #[inline(always)]
    pub unsafe fn of(address: NonNull<u8>) -> NonNull<Segment> {
        let address = address.as_ptr();
        let header =
            address.map_addr(|address| (address & !(SEGMENT_SIZE - 1)) + header_offset(address));
        // SAFETY: segments do not lie at address 0.
        unsafe { NonNull::new_unchecked(header.cast()) }
    }

    /// Where `page` of `segment` begins.
    ///
    /// # Safety
    ///
    /// `segment` is open and the caller's own.
    pub unsafe fn page_address(segment: NonNull<Segment>, page: usize) -> NonNull<u8> {
        // SAFETY: the page lies in the segment, for which `base` has provenance.
        unsafe { (*segment.as_ptr()).books.base.add(page * PAGE_SIZE) }
    }
}

impl Books {
    /// Pages that could be given back or used without asking for any.
    pub fn free_mapped(&self) -> PageSet {
        self.free.and(&self.mapped)
    }

    /// Whether nothing of the segment is in use.
    pub fn is_unused(&self) -> bool {
        self.free.len() == SEGMENT_PAGES - HEADER_PAGES
    }
}

/// The segments of a thread heap: those with free pages first, those without at the end.
pub(crate) struct SegmentList {
    first: *mut Segment,
    last: *mut Segment,
}

impl SegmentList {
    pub const fn new() -> SegmentList {
        SegmentList {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
        }
    }

    /// The first segment of the list.
    pub fn first(&self) -> Option<NonNull<Segment>> {
        NonNull::new(self.first)
    }

    /// The segment after `segment`.
    ///
    /// # Safety
    ///
    /// `segment` is in this list.
    pub unsafe fn after(&self, segment: NonNull<Segment>) -> Option<NonNull<Segment>> {
        // SAFETY: segments in the list are open.
        NonNull::new(unsafe { (*segment.as_ptr()).books.next })
    }

    /// Puts `segment` first.
    ///
    /// # Safety
    ///
    /// `segment` is open, the caller's own, and in no list.
    pub unsafe fn push_front(&mut self, segment: NonNull<Segment>) {
        // SAFETY: `segment` and the segments in the list are open and the caller's own.
        unsafe {
            let books = &mut (*segment.as_ptr()).books;
            books.previous = ptr::null_mut();
            books.next = self.first;
            match NonNull::new(self.first) {
                Some(first) => (*first.as_ptr()).books.previous = segment.as_ptr(),
                None => self.last = segment.as_ptr(),
            }
        }
        self.first = segment.as_ptr();
    }

    /// Puts `segment` last.
    ///
    /// # Safety
    ///
    /// As [`SegmentList::push_front`].
    pub unsafe fn push_back(&mut self, segment: NonNull<Segment>) {
        // SAFETY: as in `push_front`.
        unsafe {
            let books = &mut (*segment.as_ptr()).books;
            books.next = ptr::null_mut();
            books.previous = self.last;
            match NonNull::new(self.last) {
                Some(last) => (*last.as_ptr()).books.next = segment.as_ptr(),
                None => self.first = segment.as_ptr(),
            }
        }
        self.last = segment.as_ptr();
    }

    /// Ends the list behind `segment`, or before the first one.
    ///
    /// # Safety
    ///
    /// `segment` is in this list.
    #[cfg(feature = "checked")]
    pub unsafe fn end_behind(&mut self, segment: Option<NonNull<Segment>>) {
        match segment {
            Some(segment) => {
                // SAFETY: segments in the list are open and the caller's own.
                unsafe { (*segment.as_ptr()).books.next = ptr::null_mut() };
                self.last = segment.as_ptr();
            }
            None => *self = SegmentList::new(),
        }
    }

    /// Takes `segment` out.
    ///
    /// # Safety
    ///
    /// `segment` is in this list.
    pub unsafe fn remove(&mut self, segment: NonNull<Segment>) {
        // SAFETY: `segment` and its neighbours are in the list, so they are open and the caller's own.
        unsafe {
            let (previous, next) = {
                let books = &(*segment.as_ptr()).books;
                (books.previous, books.next)
            };
            match NonNull::new(previous) {
                Some(previous) => (*previous.as_ptr()).books.next = next,
                None => self.first = next,
            }
            match NonNull::new(next) {
                Some(next) => (*next.as_ptr()).books.previous = previous,
                None => self.last = previous,
            }
        }
    }
}
