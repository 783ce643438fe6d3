// SPDX-License-Identifier: BSD-2-Clause
//! Pages of a thread's segments: found, mapped, taken, given.

use super::Local;
use crate::segment::{Books, Segment};
use crate::shared::Shared;
use crate::source::{SEGMENT_SIZE, Source};
use crate::thread_heap::ThreadHeap;
use crate::{Error, NO_ROOM};
use core::ptr::NonNull;
use kmalloc_bucket::resident::buckets::Bucket;
use kmalloc_bucket::resident::pages::PageSet;
use kmalloc_bucket::resident::{HEADER_PAGES, PAGE_SIZE, SEGMENT_PAGES};

/// Segments looked into before a new one is opened; bounds the search in a heap of many fragments.
const SEGMENTS_SEARCHED_MAX: usize = 32;
/// Pages asked for at a time, at least.
const STEP_PAGES_MIN: usize = 16;
/// The part of what is mapped already that is asked for at a time: with a hundred and twenty-eighth, a heap that doubles
/// asks about 88 times, and a 256th of it is idle on average.
const STEP_FRACTION: usize = 128;
/// Heaps with this many pages grow by whole segments, each of which can be one large frame.
const WHOLE_SEGMENT_PAGES: usize = 8 * SEGMENT_PAGES;

/// What is looked for: pages in a row, the first of them at a multiple of `align` pages.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub pages: usize,
    pub align: usize,
}

impl Request {
    pub fn of(bucket: &Bucket) -> Request {
        Request {
            pages: bucket.pages,
            align: bucket.align,
        }
    }

    fn find(&self, pages: &PageSet) -> Option<usize> {
        pages.find_run(self.pages, self.align)
    }
}

impl Local {
    /// What `find` finds in the first segment with free pages where it finds something.
    fn find_in_segments(
        &self,
        find: impl Fn(&Books) -> Option<usize>,
    ) -> Option<(NonNull<Segment>, usize)> {
        let mut next = self.segments.first();
        for _ in 0..SEGMENTS_SEARCHED_MAX {
            let segment = next?;
            // SAFETY: segments in the list are open and this thread's own.
            let books = unsafe { &(*segment.as_ptr()).books };
            if let Some(page) = find(books) {
                return Some((segment, page));
            }
            if books.free.is_empty() {
                // Behind it come only such.
                return None;
            }
            // SAFETY: it is in the list.
            next = unsafe { self.segments.after(segment) };
        }
        None
    }

    /// Takes mapped pages out of the free ones: the segment, and the first page.
    pub(super) fn take_pages(&mut self, request: Request) -> Option<(NonNull<Segment>, usize)> {
        let (segment, page) = self.find_in_segments(|books| request.find(&books.free_mapped()))?;
        // SAFETY: the pages are free.
        unsafe { self.mark_taken(segment, page, request.pages) };
        Some((segment, page))
    }

    /// Takes the `pages` pages from `page`, mapping what is not; `false` if one is in use or can't be mapped.
    ///
    /// # Safety
    ///
    /// `segment` is this thread's own.
    pub(super) unsafe fn take_pages_at<S: Source>(
        &mut self,
        shared: &Shared<S>,
        segment: NonNull<Segment>,
        page: usize,
        pages: usize,
    ) -> bool {
        // SAFETY: as the caller says.
        unsafe {
            if page + pages > SEGMENT_PAGES || !(*segment.as_ptr()).books.free.contains(page, pages)
            {
                return false;
            }
            if !(*segment.as_ptr()).books.mapped.contains(page, pages)
                && self.map_pages(shared, segment, page, pages).is_err()
            {
                return false;
            }
            self.mark_taken(segment, page, pages);
        }
        true
    }

    /// # Safety
    ///
    /// `segment` is this thread's own, and the pages are mapped and free.
    unsafe fn mark_taken(&mut self, segment: NonNull<Segment>, page: usize, pages: usize) {
        // SAFETY: as the caller says; the segment is in the list.
        unsafe {
            (*segment.as_ptr()).books.free.remove(page, pages);
            self.move_back_if_full(segment);
        }
        self.used_pages += pages;
    }

    /// Keeps segments without free pages at the end of the list.
    ///
    /// # Safety
    ///
    /// `segment` is in the list.
    pub(super) unsafe fn move_back_if_full(&mut self, segment: NonNull<Segment>) {
        // SAFETY: as the caller says.
        unsafe {
            let books = &(*segment.as_ptr()).books;
            if books.free.is_empty() {
                self.segments.remove(segment);
                self.segments.push_back(segment);
            }
        }
    }

    /// Puts pages back among the free ones. They stay mapped; their tags are the caller's affair.
    ///
    /// # Safety
    ///
    /// The pages of `segment`, which is this thread's own, were taken, and nothing uses them any more.
    pub(super) unsafe fn give_pages(
        &mut self,
        segment: NonNull<Segment>,
        page: usize,
        pages: usize,
    ) {
        // SAFETY: as the caller says; the segment is in the list.
        unsafe {
            (*segment.as_ptr()).books.free.insert(page, pages);
            if self.segments.first() != Some(segment) {
                self.segments.remove(segment);
                self.segments.push_front(segment);
            }
        }
        self.used_pages -= pages;
    }

    /// Sees to it that `request` can be served from mapped pages: by counting free blocks when that is due, else by
    /// mapping more pages.
    pub(super) fn grow<S: Source>(
        &mut self,
        shared: &Shared<S>,
        owner: *const ThreadHeap,
        request: Request,
    ) -> Result<(), Error> {
        if self.mapped_pages >= self.collect_at_pages {
            self.collect();
            let fits = |books: &Books| request.find(&books.free_mapped());
            if self.find_in_segments(fits).is_some() {
                return Ok(());
            }
        }
        let find = |books: &Books| request.find(&books.free);
        let (segment, page) = match self.find_in_segments(find) {
            Some(found) => found,
            None => {
                let segment = self.open_segment(shared, owner, request)?;
                // SAFETY: the segment is this thread's own.
                let page = find(unsafe { &(*segment.as_ptr()).books });
                (segment, page.ok_or(NO_ROOM)?)
            }
        };
        // SAFETY: the pages are free.
        unsafe { self.map_pages(shared, segment, page, request.pages) }
    }

    /// Pages to ask for at a time.
    fn step_pages(&self) -> usize {
        if self.mapped_pages >= WHOLE_SEGMENT_PAGES {
            return SEGMENT_PAGES;
        }
        let step = self.mapped_pages / STEP_FRACTION;
        step.clamp(STEP_PAGES_MIN, SEGMENT_PAGES / 2)
    }

    fn open_segment<S: Source>(
        &mut self,
        shared: &Shared<S>,
        owner: *const ThreadHeap,
        request: Request,
    ) -> Result<NonNull<Segment>, Error> {
        let mut pages = self.step_pages();
        let mut opened = shared.segment_open(pages * PAGE_SIZE);
        if opened.is_err() {
            // What is left may still do for the request at hand.
            let first = HEADER_PAGES.next_multiple_of(request.align);
            pages = (first + request.pages).min(SEGMENT_PAGES);
            opened = shared.segment_open(pages * PAGE_SIZE);
        }
        let base = opened?;
        debug_assert!(base.addr().get().is_multiple_of(SEGMENT_SIZE));
        self.mapped_pages += pages;
        self.used_pages += HEADER_PAGES;
        // SAFETY: the segment was just opened.
        unsafe {
            let segment = Segment::create(base, pages, owner);
            #[cfg(feature = "checked")]
            crate::checked::stamp_page(&shared.secret, base);
            self.segments.push_front(segment);
            Ok(segment)
        }
    }

    /// Maps those of the `pages` pages from `page` that are not, and some behind them.
    ///
    /// # Safety
    ///
    /// `segment` is this thread's own, and the pages are free.
    unsafe fn map_pages<S: Source>(
        &mut self,
        shared: &Shared<S>,
        segment: NonNull<Segment>,
        page: usize,
        pages: usize,
    ) -> Result<(), Error> {
        let mut from = page;
        loop {
            // SAFETY: the segment is this thread's own.
            let missing = unsafe {
                let books = &(*segment.as_ptr()).books;
                books.free.without(&books.mapped)
            };
            let Some((first, length)) = missing.next_run(from) else {
                return Ok(());
            };
            if first >= page + pages {
                return Ok(());
            }
            let needed = length.min(page + pages - first);
            let wanted = length.min(needed.max(self.step_pages()));
            // SAFETY: the pages lie in an open segment, and none of them is mapped.
            let mapped = unsafe {
                let at = Segment::page_address(segment, first);
                match shared.segment_map(at, wanted * PAGE_SIZE) {
                    Ok(()) => wanted,
                    Err(error) if wanted == needed => return Err(error),
                    Err(_) => {
                        shared.segment_map(at, needed * PAGE_SIZE)?;
                        needed
                    }
                }
            };
            self.mapped_pages += mapped;
            // SAFETY: the segment is this thread's own.
            unsafe { (*segment.as_ptr()).books.mapped.insert(first, mapped) };
            #[cfg(feature = "checked")]
            // SAFETY: the page was just mapped, and is free.
            unsafe {
                // The one behind it may be in use already.
                let last = Segment::page_address(segment, first + mapped - 1);
                crate::checked::stamp_page(&shared.secret, last);
            }
            from = first + mapped;
        }
    }
}
