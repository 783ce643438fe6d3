// SPDX-License-Identifier: BSD-2-Clause
//! Physically contiguous runs of pages: finding one, and taking it.

use super::{ChunkForm, LARGE_PAGES, PAGE_BITS, Page, Physical, Step, by_chunk};
use core::ops::Range;

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

impl Physical {
    /// The highest run that satisfies `request`, as the first page's index range; `None` where there is none.
    pub fn find_run(&self, request: &RunRequest) -> Option<Range<usize>> {
        if request.pages == 0 {
            return None;
        }
        let mut end = self.limit_of(request.max_addr);
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

    /// The highest run that satisfies `request`, of 2 MiB and more, and begins with clean whole large pages as far as they
    /// reach; `None` where there is none.
    pub fn find_large_run(&self, request: &RunRequest) -> Option<Range<usize>> {
        let (larges, rest) = (request.pages / LARGE_PAGES, request.pages % LARGE_PAGES);
        if larges == 0 {
            return None;
        }
        let base = (self.base_addr >> PAGE_BITS) as usize;
        let limit = self.limit_of(request.max_addr);
        let mut end = limit.checked_sub(rest)? / LARGE_PAGES;
        while let Some(last) = self.whole_larges.last_below(end) {
            let wanted = (last + 1).checked_sub(larges)?;
            let found = self.whole_larges.run_start_above(last + 1, wanted);
            if found != wanted {
                end = found;
                continue;
            }
            let (start, behind) = (found * LARGE_PAGES, (last + 1) * LARGE_PAGES);
            let first = start + base;
            let is_aligned = first.is_multiple_of(request.align_pages.max(1));
            let pages = request.boundary_pages;
            let crosses = pages != 0 && first / pages != (first + request.pages - 1) / pages;
            let is_free = self.available.first_absent_below(behind, behind + rest) == behind + rest;
            if is_aligned && !crosses && is_free {
                return Some(start..behind + rest);
            }
            end = last;
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

    /// Whether there is a run that satisfies `request` once all that is free is clean. One pass over all pages, where anything
    /// is free that can't be had.
    pub fn cleaning_gives(&self, request: &RunRequest) -> bool {
        let waits = |page: Page| !self.is_available(page) && self.is_free(page);
        self.free_pages() > self.usable_pages()
            && self.find_run_to_clear(request, usize::MAX, waits).is_some()
    }

    /// The run that satisfies `request` after the fewest moves, at most `moves_max`, if `is_movable` pages are moved out of it;
    /// the highest of several. One pass over all pages.
    pub fn find_run_to_clear(
        &self,
        request: &RunRequest,
        moves_max: usize,
        is_movable: impl Fn(Page) -> bool,
    ) -> Option<Range<usize>> {
        let base = (self.base_addr >> PAGE_BITS) as usize;
        let limit = self.limit_of(request.max_addr);
        // Of the pages just looked at: how many are to be moved, and where the last one is that can't be.
        let (mut moves, mut start_min) = (0, 0);
        let mut best = None;
        for index in 0..limit {
            let is_taken = |index: usize| !self.available.contains(index);
            if is_taken(index) {
                moves += 1;
                if !is_movable(Page(index as u32)) {
                    start_min = index + 1;
                }
            }
            let Some(start) = (index + 1).checked_sub(request.pages) else {
                continue;
            };
            let is_aligned = (start + base).is_multiple_of(request.align_pages.max(1));
            let crosses = request.boundary_pages != 0
                && (start + base) / request.boundary_pages
                    != (index + base) / request.boundary_pages;
            let fewest = best.as_ref().map_or(moves_max, |(fewest, _)| *fewest);
            if start >= start_min && is_aligned && !crosses && moves <= fewest {
                best = Some((moves, start..index + 1));
            }
            moves -= usize::from(is_taken(start));
        }
        best.map(|(_, run)| run)
    }

    /// Pages from the first one on that lie at or below an address.
    fn limit_of(&self, max_addr: u64) -> usize {
        let limit = (max_addr.saturating_add(1).saturating_sub(self.base_addr)) >> PAGE_BITS;
        usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(self.page_capacity())
    }

    /// Pages of the longest free run whose bytes all lie at or below `max_addr`.
    pub fn largest_run(&self, max_addr: u64) -> usize {
        let limit = self.limit_of(max_addr);
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
        for (chunk, pages) in by_chunk(run) {
            match self.chunk_form(chunk) {
                ChunkForm::InLarge => return Some(Step::SplitLarge(chunk.large())),
                ChunkForm::Whole => return Some(Step::SplitChunk(chunk)),
                _ => {}
            }
            let dirty = self.dirty.first_from(pages.start);
            if let Some(page) = dirty.filter(|page| *page < pages.end) {
                return Some(Step::Scrub(Page(page as u32)));
            }
        }
        None
    }

    /// Takes a run of free, zeroed frames.
    pub fn take_run(&mut self, run: Range<usize>) {
        self.ready.remove_range(run.clone());
        self.set_taken(run);
    }
}
