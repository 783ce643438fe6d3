// SPDX-License-Identifier: BSD-2-Clause
//! Books of physical memory: which pages are free, and in which form the kernel holds them.
//!
//! RAM is a row of pages (4 KiB). 16 pages are a *chunk* (64 KiB), 512 a *large page* (2 MiB). The kernel holds each
//! free page in one of three forms: inside the untyped of a whole large page, inside the untyped of a whole chunk, or
//! as a frame of its own. Forms are split on demand, one retype a step, and gathered again when a whole one is wanted.
//! What is free does not depend on the form: a run of free pages is a run whatever untypeds it crosses, so a request
//! takes exactly its pages and not the next power of two.
//!
//! The kernel zeroes an untyped that was used before at its next retype, as far as it was used. One that costs nothing
//! then is *clean*, else *dirty*. A client's call takes what is clean before what is dirty, and never a dirty large page:
//! 2 MiB would have to be zeroed while all others wait. [`Cleaning`] makes things clean while nobody asks for them.
//!
//! This module decides and counts; it invokes nothing. A [`Step`] says which kernel operation has to come first.

mod cleaning;
mod figures;
mod forms;
mod runs;
mod units;

use crate::bits::BitSet;
use alloc::vec;
use alloc::vec::Vec;
pub use cleaning::{Cleaning, GRAIN_BITS};
use core::ops::Range;
pub(crate) use forms::by_chunk;
pub use runs::RunRequest;
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

/// The books of physical memory.
#[derive(Debug)]
pub struct Physical {
    base_addr: u64,
    /// Pages that can be taken now, in whatever form.
    available: BitSet,
    /// Free pages that are frames and known to be zero.
    ready: BitSet,
    /// Free pages that are frames and not known to be zero.
    dirty: BitSet,
    /// Clean chunks in the form [`ChunkForm::Whole`].
    whole_chunks: BitSet,
    /// Dirty ones.
    dirty_chunks: BitSet,
    /// Chunks in the form [`ChunkForm::Frames`] with all 16 pages available.
    gatherable: BitSet,
    /// Clean large pages in the form [`LargeForm::Whole`].
    whole_larges: BitSet,
    /// Dirty ones. Their pages are free and not available.
    dirty_larges: BitSet,
    /// Large pages in the form [`LargeForm::Split`] with all 512 pages available.
    gatherable_larges: BitSet,
    chunk_forms: Vec<ChunkForm>,
    chunk_available: Vec<u8>,
    large_forms: Vec<LargeForm>,
    large_available: Vec<u16>,
    /// What is being cleaned: free, not available, and in none of the sets above.
    cleaning: Option<Cleaning>,
    /// Pages that somebody would take at once.
    wanted_pages: usize,
    /// Pages that can be taken and that cleaning has to leave so.
    kept_pages: usize,
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
            dirty_chunks: BitSet::new(chunks),
            gatherable: BitSet::new(chunks),
            whole_larges: BitSet::new(larges),
            dirty_larges: BitSet::new(larges),
            gatherable_larges: BitSet::new(larges),
            chunk_forms: vec![ChunkForm::Absent; chunks],
            chunk_available: vec![0; chunks],
            large_forms: vec![LargeForm::Absent; larges],
            large_available: vec![0; larges],
            cleaning: None,
            wanted_pages: 0,
            kept_pages: 0,
        }
    }

    /// How many pages lie between the base and the end, memory or not.
    pub fn page_capacity(&self) -> usize {
        self.available.capacity()
    }

    /// Pages that nobody has: what can be taken now, dirty large pages, and what is being cleaned.
    pub fn free_pages(&self) -> usize {
        let cleaning = self.cleaning.map_or(0, |cleaning| cleaning.page_count());
        self.available.len() + self.dirty_larges.len() * LARGE_PAGES + cleaning
    }

    /// Pages that can be taken now.
    #[inline]
    pub fn usable_pages(&self) -> usize {
        self.available.len()
    }

    /// Frames that are free and not known to be zero, without those being cleaned.
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

    /// Whether a page can be taken now.
    pub fn is_available(&self, page: Page) -> bool {
        self.available.contains(page.index())
    }

    /// Whether nobody has a page.
    pub fn is_free(&self, page: Page) -> bool {
        self.available.contains(page.index())
            || self.dirty_larges.contains(page.chunk().large().index())
            || self
                .cleaning
                .is_some_and(|cleaning| cleaning.contains(page))
    }

    /// Whether a page is a frame that can be taken as it is.
    pub fn is_ready(&self, page: Page) -> bool {
        self.ready.contains(page.index())
    }

    /// Whether the next retype of a chunk costs no zeroing.
    pub fn is_clean_chunk(&self, chunk: Chunk) -> bool {
        self.whole_chunks.contains(chunk.index())
    }

    /// Whether the next retype of a large page costs no zeroing.
    pub fn is_clean_large(&self, large: Large) -> bool {
        self.whole_larges.contains(large.index())
    }

    // --- What boot gives.

    /// A whole large page that the kernel holds as an untyped of 2 MiB.
    pub fn add_large(&mut self, large: Large) {
        self.set_large_form(large, LargeForm::Whole);
        for chunk in large.chunks() {
            self.set_chunk_form(Chunk(chunk as u32), ChunkForm::InLarge);
        }
        self.whole_larges.insert(large.index());
        self.set_available(large.pages());
    }

    /// A whole chunk that the kernel holds as an untyped of 64 KiB.
    pub fn add_chunk(&mut self, chunk: Chunk) {
        self.set_chunk_form(chunk, ChunkForm::Whole);
        self.whole_chunks.insert(chunk.index());
        self.set_available(chunk.pages());
    }

    /// A page that the kernel holds as a zeroed frame, in a chunk that is not whole.
    pub fn add_page(&mut self, page: Page) {
        self.set_available(page.index()..page.index() + 1);
        self.ready.insert(page.index());
    }

    // --- One page.

    /// A free, zeroed frame, or what to do first; `None` where no page is available. Clean memory before dirty, then what
    /// costs least to zero; high addresses before low.
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
        if let Some(page) = self.dirty.last() {
            return Some(Step::Scrub(Page(page as u32)));
        }
        let chunk = self.dirty_chunks.last()?;
        Some(Step::SplitChunk(Chunk(chunk as u32)))
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

    /// A chunk that is 16 frames, all of them ready.
    pub fn ready_chunk(&self) -> Option<Chunk> {
        let chunk = Chunk(self.gatherable.last()? as u32);
        self.is_ready_chunk(chunk).then_some(chunk)
    }

    /// Whether a chunk is 16 frames, all of them ready.
    pub fn is_ready_chunk(&self, chunk: Chunk) -> bool {
        let pages = chunk.pages();
        self.ready.run_start_above(pages.end, pages.start) == pages.start
    }

    /// A clean whole chunk has been retyped into its 16 frames, and all of them are taken.
    pub fn chunk_was_split_and_taken(&mut self, chunk: Chunk) {
        debug_assert!(self.is_clean_chunk(chunk));
        if let Some(place) = self.chunk_forms.get_mut(chunk.index()) {
            *place = ChunkForm::Frames;
        }
        self.whole_chunks.remove(chunk.index());
        self.available.remove_range(chunk.pages());
        if let Some(count) = self.chunk_available.get_mut(chunk.index()) {
            *count = 0;
        }
        self.count_taken(chunk.large(), CHUNK_PAGES);
    }

    /// Takes pages of one chunk that are free, frames and zero.
    pub fn take_pages(&mut self, pages: Range<usize>) {
        self.ready.remove_range(pages.clone());
        self.set_taken(pages);
    }

    /// Gives back a frame; what it holds is not known to be zero.
    pub fn give_page(&mut self, page: Page) {
        self.dirty.insert(page.index());
        self.set_available(page.index()..page.index() + 1);
    }

    /// Gives back a frame that was taken and has not been written since.
    pub fn give_clean_page(&mut self, page: Page) {
        self.ready.insert(page.index());
        self.set_available(page.index()..page.index() + 1);
    }

    // --- A whole chunk, for kernel objects.

    /// A chunk whose untyped has no children, or what to do first. Clean memory before dirty.
    pub fn next_chunk(&self) -> Option<Step<Chunk>> {
        if let Some(chunk) = self.whole_chunks.last() {
            return Some(Step::Take(Chunk(chunk as u32)));
        }
        if let Some(large) = self.whole_larges.last() {
            return Some(Step::SplitLarge(Large(large as u32)));
        }
        if let Some(chunk) = self.dirty_chunks.last() {
            return Some(Step::Take(Chunk(chunk as u32)));
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

    /// Gives back a chunk whose untyped has been revoked, dirty.
    pub fn give_chunk(&mut self, chunk: Chunk) {
        debug_assert_eq!(self.chunk_form(chunk), ChunkForm::Objects);
        self.set_chunk_form(chunk, ChunkForm::Whole);
        self.dirty_chunks.insert(chunk.index());
        self.set_available(chunk.pages());
    }

    // --- A whole large page.

    /// A clean large page whose untyped has no children.
    pub fn next_large(&self) -> Option<Large> {
        self.whole_larges.last().map(|large| Large(large as u32))
    }

    /// Takes a whole large page, to be retyped into one frame of 2 MiB.
    pub fn take_large(&mut self, large: Large) {
        debug_assert_eq!(self.large_form(large), LargeForm::Whole);
        self.set_large_form(large, LargeForm::Frame);
        self.set_large_taken(large);
    }

    /// Sets a clean whole large page apart for who is about to take it: nothing else is made of it until then, or until it is
    /// let go.
    pub fn hold_large(&mut self, large: Large) {
        debug_assert!(self.whole_larges.contains(large.index()));
        self.whole_larges.remove(large.index());
        self.set_large_taken(large);
    }

    /// Lets a large page go again that was set apart; nothing happens to one that was not, or was taken since.
    pub fn let_go_large(&mut self, large: Large) {
        let index = large.index();
        let is_known = self.whole_larges.contains(index) || self.dirty_larges.contains(index);
        if self.large_form(large) == LargeForm::Whole && !is_known {
            self.whole_larges.insert(index);
            self.set_available(large.pages());
        }
    }

    /// Gives back a large page whose frame has been deleted, dirty.
    pub fn give_large(&mut self, large: Large) {
        debug_assert_eq!(self.large_form(large), LargeForm::Frame);
        self.set_large_form(large, LargeForm::Whole);
        self.dirty_larges.insert(large.index());
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
        self.gatherable_larges.insert(large.index());
    }

    /// The chunk has been retyped into its 16 frames, which the kernel zeroed.
    pub fn chunk_was_split(&mut self, chunk: Chunk) {
        debug_assert_eq!(self.chunk_form(chunk), ChunkForm::Whole);
        self.set_chunk_form(chunk, ChunkForm::Frames);
        self.ready.insert_range(chunk.pages());
        self.gatherable.insert(chunk.index());
    }

    /// The 16 frames of a chunk have been deleted, and its untyped has no children. It is dirty.
    pub fn chunk_was_gathered(&mut self, chunk: Chunk) {
        debug_assert!(self.gatherable.contains(chunk.index()));
        self.ready.remove_range(chunk.pages());
        self.dirty.remove_range(chunk.pages());
        self.gatherable.remove(chunk.index());
        self.set_chunk_form(chunk, ChunkForm::Whole);
        self.dirty_chunks.insert(chunk.index());
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
}

#[cfg(test)]
mod tests;
