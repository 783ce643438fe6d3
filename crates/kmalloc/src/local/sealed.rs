// SPDX-License-Identifier: BSD-2-Clause
//! What the checked mode keeps of a thread's segments: seals of their headers, and stamps in front of what is in use.

use super::{Fresh, Local};
use crate::checked::{Seals, Secret, stamp_page};
use crate::segment::Segment;
use core::ptr::NonNull;
use kmalloc_bucket::resident::SEGMENT_PAGES;
use kmalloc_bucket::resident::buckets::BUCKET_SLOTS_MAX;

/// A segment whose header is not what the heap wrote.
pub(crate) struct Damaged(pub NonNull<Segment>);

impl Local {
    /// Seals the headers of all segments.
    pub fn seal(&self, secret: &Secret) {
        let mut next = self.segments.first();
        while let Some(segment) = next {
            // SAFETY: it is in the list.
            unsafe {
                Seals::put(secret, segment);
                next = self.segments.after(segment);
            }
        }
    }

    /// Looks at the headers of all segments before they are written to. The first damaged one, and what is behind it, is
    /// forgotten.
    pub fn look_at_all(&mut self, secret: &Secret) -> Result<(), Damaged> {
        self.walk(secret, |segment| {
            // SAFETY: it is in the list.
            let is_whole = unsafe { Seals::has_pages(secret, segment) };
            if is_whole { Step::Next } else { Step::Damaged }
        })
        .map(|_| ())
    }

    /// Whether the address lies in a segment of this part. On the way there each header is looked at.
    pub fn has_segment_of(
        &mut self,
        secret: &Secret,
        address: NonNull<u8>,
    ) -> Result<bool, Damaged> {
        // SAFETY: an address is made of it, which is only compared.
        let wanted = unsafe { Segment::of(address) };
        self.walk(secret, |segment| match segment == wanted {
            true => Step::Found,
            false => Step::Next,
        })
    }

    /// Whether a block that was this part's may be used again: its segment is still one of the part's.
    pub fn is_kept(&mut self, secret: &Secret, block: NonNull<u8>) -> bool {
        !self.has_lost || matches!(self.has_segment_of(secret, block), Ok(true))
    }

    /// Goes from segment to segment as long as their links are whole: only these say what comes next.
    fn walk(
        &mut self,
        secret: &Secret,
        step: impl Fn(NonNull<Segment>) -> Step,
    ) -> Result<bool, Damaged> {
        let mut previous = None;
        let mut next = self.segments.first();
        while let Some(segment) = next {
            // SAFETY: the part says so of the first one, and the links in front of all others, which are whole.
            let is_whole = unsafe { Seals::has_links(secret, segment) };
            match step(segment) {
                Step::Found if is_whole => return Ok(true),
                Step::Next if is_whole => {}
                _ => {
                    self.forget_behind(secret, previous);
                    return Err(Damaged(segment));
                }
            }
            previous = next;
            // SAFETY: it is in the list.
            next = unsafe { self.segments.after(segment) };
        }
        Ok(false)
    }

    /// Goes on without the segments behind `last`, or without any.
    fn forget_behind(&mut self, secret: &Secret, last: Option<NonNull<Segment>>) {
        // SAFETY: it is in the list.
        unsafe { self.segments.end_behind(last) };
        self.has_lost = true;
        self.fresh = [Fresh::NONE; BUCKET_SLOTS_MAX];
        (self.mapped_pages, self.used_pages) = (0, 0);
        let mut next = self.segments.first();
        while let Some(segment) = next {
            // SAFETY: it is in the list.
            unsafe {
                let books = &(*segment.as_ptr()).books;
                self.mapped_pages += books.mapped.len();
                self.used_pages += SEGMENT_PAGES - books.free.len();
                next = self.segments.after(segment);
            }
        }
        if let Some(last) = last {
            // SAFETY: as above.
            unsafe { Seals::put_links(secret, last) };
        }
    }

    /// Whether there is a bucket of this slot of which something was never cut.
    pub fn has_fresh(&self, slot: usize) -> bool {
        self.fresh[slot].left > 0
    }

    /// Stamps the end of the page in front of one that was just taken, if it is free; what is in use ends in a stamp.
    ///
    /// # Safety
    ///
    /// `segment` is this thread's own, and `page` not its first.
    pub(super) unsafe fn stamp_in_front(
        &self,
        secret: &Secret,
        segment: NonNull<Segment>,
        page: usize,
    ) {
        // SAFETY: as the caller says. Free pages that are mapped are nobody's.
        unsafe {
            if (*segment.as_ptr())
                .books
                .free_mapped()
                .contains(page - 1, 1)
            {
                stamp_page(secret, Segment::page_address(segment, page - 1));
            }
        }
    }
}

/// What is made of a segment that was reached.
enum Step {
    Next,
    Found,
    Damaged,
}
