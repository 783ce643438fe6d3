// SPDX-License-Identifier: BSD-2-Clause
//! Books of physical memory: which pages are free, and in which form the kernel holds them.
//!
//! RAM is a row of pages (4 KiB). 16 pages are a *chunk* (64 KiB), 512 a *large page* (2 MiB). The kernel holds each
//! free page in one of three forms: inside the untyped of a whole large page, inside the untyped of a whole chunk, or
//! as a frame of its own. Forms are split on demand, one retype a step, and gathered again when a whole one is wanted.
//! What is free does not depend on the form: a run of free pages is a run whatever untypeds it crosses, so a request
//! takes exactly its pages and not the next power of two.
//!
//! This module decides and counts; it invokes nothing. A [`Step`] says which kernel operation has to come first.

mod units;

use crate::bits::BitSet;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
pub use units::{CHUNK_PAGES, Chunk, LARGE_CHUNKS, LARGE_PAGES, Large, PAGE_BITS, Page};

/// In which form the kernel holds a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkForm {
    /// Not (whole) memory of ours.
    Absent,
    /// Part of a large page that is not split.
    InLarge,
    /// An untyped of 64 KiB without children.
    Whole,
    /// 16 frames.
    Frames,
    /// An untyped of 64 KiB that kernel objects are made of.
    Objects,
}

/// In which form the kernel holds a large page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LargeForm {
    /// Not a (whole) large page of ours.
    Absent,
    /// An untyped of 2 MiB without children.
    Whole,
    /// 32 chunks.
    Split,
    /// A frame of 2 MiB.
    Frame,
}

/// What to take, or which kernel operation must come before it can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// This can be had now.
    Take(T),
    /// Retype this large page into its 32 chunks, then [`Physical::large_was_split`].
    SplitLarge(Large),
    /// Retype this chunk into its 16 frames, then [`Physical::chunk_was_split`].
    SplitChunk(Chunk),
    /// Delete the 16 frames of this chunk, then [`Physical::chunk_was_gathered`].
    GatherChunk(Chunk),
    /// Zero this frame, then [`Physical::page_was_scrubbed`].
    Scrub(Page),
}

/// What a physically contiguous run has to satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRequest {
    /// Pages in the run, at least 1.
    pub pages: usize,
    /// The first page's physical address is a multiple of this many pages (a power of two).
    pub align_pages: usize,
    /// The run's last byte lies at or below this physical address.
    pub max_addr: u64,
    /// The run crosses no multiple of this many pages (a power of two); 0 where that does not matter.
    pub boundary_pages: usize,
}

/// The books of physical memory.
#[derive(Debug)]
pub struct Physical {
    base_addr: u64,
    /// Free pages, in whatever form.
    available: BitSet,
    /// Free pages that are frames and known to be zero.
    ready: BitSet,
    /// Free pages that are frames and not known to be zero.
    dirty: BitSet,
    whole_chunks: BitSet,
    /// Chunks in the form [`ChunkForm::Frames`] with all 16 pages free.
    gatherable: BitSet,
    whole_larges: BitSet,
    chunk_forms: Vec<ChunkForm>,
    chunk_free: Vec<u8>,
    large_forms: Vec<LargeForm>,
}

impl Physical {
    /// Books for the physical addresses `base_addr .. end_addr`, with no memory in them yet. `base_addr` is rounded
    /// down, `end_addr` up to a large page.
    pub fn new(base_addr: u64, end_addr: u64) -> Physical {
        let large_bytes = (LARGE_PAGES << PAGE_BITS) as u64;
        let base_addr = base_addr / large_bytes * large_bytes;
        let larges = end_addr.saturating_sub(base_addr).div_ceil(large_bytes) as usize;
        let chunks = larges * LARGE_CHUNKS;
        let pages = larges * LARGE_PAGES;
        Physical {
            base_addr,
            available: BitSet::new(pages),
            ready: BitSet::new(pages),
            dirty: BitSet::new(pages),
            whole_chunks: BitSet::new(chunks),
            gatherable: BitSet::new(chunks),
            whole_larges: BitSet::new(larges),
            chunk_forms: vec![ChunkForm::Absent; chunks],
            chunk_free: vec![0; chunks],
            large_forms: vec![LargeForm::Absent; larges],
        }
    }

    /// How many pages lie between the base and the end, memory or not.
    pub fn page_capacity(&self) -> usize {
        self.available.capacity()
    }

    /// Pages that are free now.
    #[inline]
    pub fn free_pages(&self) -> usize {
        self.available.len()
    }

    /// Free pages that are not known to be zero.
    #[inline]
    pub fn dirty_pages(&self) -> usize {
        self.dirty.len()
    }

    /// Frames that are free and known to be zero.
    #[inline]
    pub fn ready_pages(&self) -> usize {
        self.ready.len()
    }

    /// The physical address of a page.
    #[inline]
    pub fn address_of(&self, page: Page) -> u64 {
        self.base_addr + ((page.0 as u64) << PAGE_BITS)
    }

    /// The page at a physical address, where it lies between base and end.
    pub fn page_at(&self, address: u64) -> Option<Page> {
        let index = (address.checked_sub(self.base_addr)? >> PAGE_BITS) as usize;
        (index < self.page_capacity()).then_some(Page(index as u32))
    }

    /// In which form a chunk is held.
    pub fn chunk_form(&self, chunk: Chunk) -> ChunkForm {
        self.chunk_forms
            .get(chunk.index())
            .copied()
            .unwrap_or(ChunkForm::Absent)
    }

    /// In which form a large page is held.
    pub fn large_form(&self, large: Large) -> LargeForm {
        self.large_forms
            .get(large.index())
            .copied()
            .unwrap_or(LargeForm::Absent)
    }

    /// Whether a page is free.
    pub fn is_free(&self, page: Page) -> bool {
        self.available.contains(page.index())
    }

    // --- What boot gives.

    /// A whole large page that the kernel holds as an untyped of 2 MiB.
    pub fn add_large(&mut self, large: Large) {
        self.set_large_form(large, LargeForm::Whole);
        for chunk in large.chunks() {
            self.set_chunk_form(Chunk(chunk as u32), ChunkForm::InLarge);
        }
        self.set_free(large.pages());
    }

    /// A whole chunk that the kernel holds as an untyped of 64 KiB.
    pub fn add_chunk(&mut self, chunk: Chunk) {
        self.set_chunk_form(chunk, ChunkForm::Whole);
        self.set_free(chunk.pages());
    }

    /// A page that the kernel holds as a zeroed frame, in a chunk that is not whole.
    pub fn add_page(&mut self, page: Page) {
        self.set_free(page.index()..page.index() + 1);
        self.ready.insert(page.index());
    }

    // --- One page.

    /// A free, zeroed frame, or what to do first; `None` where no page is free. Fresh memory before used, high
    /// addresses before low.
    #[inline]
    pub fn next_page(&self) -> Option<Step<Page>> {
        if let Some(page) = self.ready.last() {
            return Some(Step::Take(Page(page as u32)));
        }
        self.next_page_slow()
    }

    #[cold]
    fn next_page_slow(&self) -> Option<Step<Page>> {
        if let Some(chunk) = self.whole_chunks.last() {
            return Some(Step::SplitChunk(Chunk(chunk as u32)));
        }
        if let Some(large) = self.whole_larges.last() {
            return Some(Step::SplitLarge(Large(large as u32)));
        }
        self.dirty.last().map(|page| Step::Scrub(Page(page as u32)))
    }

    /// Free, zeroed frames that lie side by side in one chunk, up to `max` of them; `None` where [`Physical::next_page`] says
    /// what to do first.
    #[inline]
    pub fn next_pages(&self, max: usize) -> Option<Range<usize>> {
        let last = self.ready.last()?;
        let end = last + 1;
        let lowest = (last / CHUNK_PAGES * CHUNK_PAGES).max(end.saturating_sub(max));
        Some(self.ready.run_start_above(end, lowest)..end)
    }

    /// A whole chunk, where one that is not split comes before what is: see [`Physical::next_page`].
    pub fn fresh_chunk(&self) -> Option<Chunk> {
        self.whole_chunks.last().map(|chunk| Chunk(chunk as u32))
    }

    /// Takes pages of one chunk that are free, frames and zero.
    pub fn take_pages(&mut self, pages: Range<usize>) {
        self.ready.remove_range(pages.clone());
        self.set_taken(pages);
    }

    /// Gives back a frame; what it holds is not known to be zero.
    pub fn give_page(&mut self, page: Page) {
        self.dirty.insert(page.index());
        self.set_free(page.index()..page.index() + 1);
    }

    /// Gives back a frame that was taken and has not been written since.
    pub fn give_clean_page(&mut self, page: Page) {
        self.ready.insert(page.index());
        self.set_free(page.index()..page.index() + 1);
    }

    // --- A whole chunk, for kernel objects.

    /// A chunk whose untyped has no children, or what to do first.
    pub fn next_chunk(&self) -> Option<Step<Chunk>> {
        if let Some(chunk) = self.whole_chunks.last() {
            return Some(Step::Take(Chunk(chunk as u32)));
        }
        if let Some(large) = self.whole_larges.last() {
            return Some(Step::SplitLarge(Large(large as u32)));
        }
        self.gatherable
            .last()
            .map(|chunk| Step::GatherChunk(Chunk(chunk as u32)))
    }

    /// Takes a whole chunk to make kernel objects of.
    pub fn take_chunk(&mut self, chunk: Chunk) {
        debug_assert_eq!(self.chunk_form(chunk), ChunkForm::Whole);
        self.set_chunk_form(chunk, ChunkForm::Objects);
        self.set_taken(chunk.pages());
    }

    /// Gives back a chunk whose untyped has been revoked.
    pub fn give_chunk(&mut self, chunk: Chunk) {
        debug_assert_eq!(self.chunk_form(chunk), ChunkForm::Objects);
        self.set_chunk_form(chunk, ChunkForm::Whole);
        self.set_free(chunk.pages());
    }

    // --- A whole large page.

    /// A large page whose untyped has no children.
    pub fn next_large(&self) -> Option<Large> {
        self.whole_larges.last().map(|large| Large(large as u32))
    }

    /// Takes a whole large page, to be retyped into one frame of 2 MiB.
    pub fn take_large(&mut self, large: Large) {
        debug_assert_eq!(self.large_form(large), LargeForm::Whole);
        self.set_large_form(large, LargeForm::Frame);
        self.available.remove_range(large.pages());
        self.set_chunks_free(large, 0);
    }

    /// Gives back a large page whose frame has been deleted. The kernel zeroes it at its next retype.
    pub fn give_large(&mut self, large: Large) {
        debug_assert_eq!(self.large_form(large), LargeForm::Frame);
        self.set_large_form(large, LargeForm::Whole);
        self.available.insert_range(large.pages());
        self.set_chunks_free(large, CHUNK_PAGES as u8);
    }

    // --- Runs.

    /// The highest run that satisfies `request`, as the first page's index range; `None` where there is none.
    pub fn find_run(&self, request: &RunRequest) -> Option<Range<usize>> {
        if request.pages == 0 {
            return None;
        }
        let limit = (request
            .max_addr
            .saturating_add(1)
            .saturating_sub(self.base_addr))
            >> PAGE_BITS;
        let mut end = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(self.page_capacity());
        while let Some(last) = self.available.last_below(end) {
            let start = self.place_below(last + 1, request)?;
            // How far the free run goes on below that does not matter.
            let run_start = self.available.run_start_above(last + 1, start);
            if run_start == start {
                return Some(start..start + request.pages);
            }
            end = run_start;
        }
        None
    }

    /// The highest place for `request` that ends at `end` or below; `None` where there is none down to the base.
    fn place_below(&self, end: usize, request: &RunRequest) -> Option<usize> {
        let base = (self.base_addr >> PAGE_BITS) as usize;
        let align = request.align_pages.max(1);
        let mut start = (end.checked_sub(request.pages)? + base) / align * align;
        if request.boundary_pages != 0 {
            if request.pages > request.boundary_pages {
                return None;
            }
            let last = start + request.pages - 1;
            if start / request.boundary_pages != last / request.boundary_pages {
                // Move down so that the run ends where the boundary is.
                let boundary = last / request.boundary_pages * request.boundary_pages;
                start = boundary.checked_sub(request.pages)? / align * align;
            }
        }
        start.checked_sub(base)
    }

    /// Pages of the longest free run whose bytes all lie at or below `max_addr`.
    pub fn largest_run(&self, max_addr: u64) -> usize {
        let limit = (max_addr.saturating_add(1).saturating_sub(self.base_addr)) >> PAGE_BITS;
        let limit = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(self.page_capacity());
        let mut largest = 0;
        let mut position = 0;
        while let Some(start) = self.available.first_from(position) {
            if start >= limit {
                break;
            }
            let end = self.available.first_absent_below(start, limit);
            largest = largest.max(end - start);
            position = end;
        }
        largest
    }

    /// What to do before the free pages `run` can be taken with [`Physical::take_run`]; `None` when nothing is left
    /// to do.
    pub fn next_step_for_run(&self, run: Range<usize>) -> Option<Step<()>> {
        let mut index = run.start;
        while index < run.end {
            let page = Page(index as u32);
            let chunk = page.chunk();
            match self.chunk_form(chunk) {
                ChunkForm::InLarge => return Some(Step::SplitLarge(chunk.large())),
                ChunkForm::Whole => return Some(Step::SplitChunk(chunk)),
                _ if self.dirty.contains(index) => return Some(Step::Scrub(page)),
                _ => index += 1,
            }
        }
        None
    }

    /// Takes a run of free, zeroed frames.
    pub fn take_run(&mut self, run: Range<usize>) {
        self.ready.remove_range(run.clone());
        self.set_taken(run);
    }

    // --- What the kernel did.

    /// The large page has been retyped into its 32 chunks.
    pub fn large_was_split(&mut self, large: Large) {
        debug_assert_eq!(self.large_form(large), LargeForm::Whole);
        self.set_large_form(large, LargeForm::Split);
        if let Some(forms) = self.chunk_forms.get_mut(large.chunks()) {
            forms.fill(ChunkForm::Whole);
        }
        self.whole_chunks.insert_range(large.chunks());
    }

    /// The chunk has been retyped into its 16 frames, which the kernel zeroed.
    pub fn chunk_was_split(&mut self, chunk: Chunk) {
        debug_assert_eq!(self.chunk_form(chunk), ChunkForm::Whole);
        self.set_chunk_form(chunk, ChunkForm::Frames);
        self.ready.insert_range(chunk.pages());
        self.gatherable.insert(chunk.index());
    }

    /// The 16 frames of a chunk have been deleted, and its untyped has no children.
    pub fn chunk_was_gathered(&mut self, chunk: Chunk) {
        debug_assert!(self.gatherable.contains(chunk.index()));
        self.ready.remove_range(chunk.pages());
        self.dirty.remove_range(chunk.pages());
        self.gatherable.remove(chunk.index());
        self.set_chunk_form(chunk, ChunkForm::Whole);
    }

    /// A free frame has been zeroed.
    pub fn page_was_scrubbed(&mut self, page: Page) {
        if self.dirty.remove(page.index()) {
            self.ready.insert(page.index());
        }
    }

    /// How many large pages there are between base and end.
    pub fn large_capacity(&self) -> usize {
        self.large_forms.len()
    }

    // --- Inside.

    fn set_chunk_form(&mut self, chunk: Chunk, form: ChunkForm) {
        if let Some(place) = self.chunk_forms.get_mut(chunk.index()) {
            *place = form;
        }
        if form == ChunkForm::Whole {
            self.whole_chunks.insert(chunk.index());
        } else {
            self.whole_chunks.remove(chunk.index());
        }
    }

    fn set_large_form(&mut self, large: Large, form: LargeForm) {
        if let Some(place) = self.large_forms.get_mut(large.index()) {
            *place = form;
        }
        if form == LargeForm::Whole {
            self.whole_larges.insert(large.index());
        } else {
            self.whole_larges.remove(large.index());
        }
    }

    /// Writes down how many pages of each chunk of a large page are free. None of these chunks is frames.
    fn set_chunks_free(&mut self, large: Large, count: u8) {
        if let Some(free) = self.chunk_free.get_mut(large.chunks()) {
            free.fill(count);
        }
    }

    fn set_free(&mut self, pages: Range<usize>) {
        for part in by_chunk(pages) {
            let chunk = part.start / CHUNK_PAGES;
            let count = self.available.insert_range(part) as u8;
            let Some(free) = self.chunk_free.get_mut(chunk) else {
                return;
            };
            *free += count;
            if usize::from(*free) == CHUNK_PAGES
                && self.chunk_forms.get(chunk) == Some(&ChunkForm::Frames)
            {
                self.gatherable.insert(chunk);
            }
        }
    }

    fn set_taken(&mut self, pages: Range<usize>) {
        for part in by_chunk(pages) {
            let chunk = part.start / CHUNK_PAGES;
            let count = self.available.remove_range(part) as u8;
            let Some(free) = self.chunk_free.get_mut(chunk) else {
                return;
            };
            let was_whole = usize::from(*free) == CHUNK_PAGES;
            *free -= count;
            if was_whole {
                self.gatherable.remove(chunk);
            }
        }
    }
}

/// A range of pages in pieces that lie in one chunk each.
fn by_chunk(pages: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = pages.start;
    core::iter::from_fn(move || {
        let end = (start / CHUNK_PAGES * CHUNK_PAGES + CHUNK_PAGES).min(pages.end);
        let piece = start..end;
        start = end;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests;
