// SPDX-License-Identifier: BSD-2-Clause
//! Runs of pages, and buckets of one block that become runs and back: what a buffer is while it grows.

use super::collect::FREED_PAGES_MIN;
use super::{Block, Local, pages};
use crate::Error;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::source::Source;
use crate::thread_heap::ThreadHeap;
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::buckets::LARGEST_BLOCK_PAGES;
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{PAGE_SIZE, RUN_PAGES_MAX, page_of};

impl Local {
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
                free.insert(page + LARGEST_BLOCK_PAGES, rest);
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
            #[cfg(feature = "checked")]
            self.stamp_in_front(&shared.secret, segment, page);
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
