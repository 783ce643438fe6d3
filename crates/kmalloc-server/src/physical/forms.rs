// SPDX-License-Identifier: BSD-2-Clause
//! Changes of form, and of what is available, with all that is counted on the way.

use super::{CHUNK_PAGES, Chunk, ChunkForm, LARGE_PAGES, Large, LargeForm, Page, Physical};
use core::ops::Range;

impl Physical {
    /// A whole chunk goes into one of two sets besides.
    pub(super) fn set_chunk_form(&mut self, chunk: Chunk, form: ChunkForm) {
        if let Some(place) = self.chunk_forms.get_mut(chunk.index()) {
            *place = form;
        }
        self.whole_chunks.remove(chunk.index());
        self.dirty_chunks.remove(chunk.index());
    }

    /// A whole large page goes into one of two sets besides.
    pub(super) fn set_large_form(&mut self, large: Large, form: LargeForm) {
        if let Some(place) = self.large_forms.get_mut(large.index()) {
            *place = form;
        }
        self.whole_larges.remove(large.index());
        self.dirty_larges.remove(large.index());
        self.gatherable_larges.remove(large.index());
    }

    pub(super) fn set_available(&mut self, pages: Range<usize>) {
        for (chunk, pages) in by_chunk(pages) {
            let added = self.available.insert_range(pages);
            let Some(count) = self.chunk_available.get_mut(chunk.index()) else {
                continue;
            };
            *count += added as u8;
            if usize::from(*count) == CHUNK_PAGES && self.chunk_form(chunk) == ChunkForm::Frames {
                self.gatherable.insert(chunk.index());
            }
            let large = chunk.large();
            let Some(count) = self.large_available.get_mut(large.index()) else {
                continue;
            };
            *count += added as u16;
            if usize::from(*count) == LARGE_PAGES && self.large_form(large) == LargeForm::Split {
                self.gatherable_larges.insert(large.index());
            }
        }
    }

    /// Takes a whole large page, all of which is available and none of it in chunks of its own.
    pub(super) fn set_large_taken(&mut self, large: Large) {
        self.available.remove_range(large.pages());
        if let Some(counts) = self.chunk_available.get_mut(large.chunks()) {
            counts.fill(0);
        }
        if let Some(count) = self.large_available.get_mut(large.index()) {
            *count = 0;
        }
    }

    pub(super) fn set_taken(&mut self, pages: Range<usize>) {
        for (chunk, pages) in by_chunk(pages) {
            let removed = self.available.remove_range(pages);
            if removed == 0 {
                continue;
            }
            if let Some(count) = self.chunk_available.get_mut(chunk.index()) {
                *count -= removed as u8;
            }
            self.gatherable.remove(chunk.index());
            self.count_taken(chunk.large(), removed);
        }
    }

    /// So many pages of a large page are available no more.
    #[inline]
    pub(super) fn count_taken(&mut self, large: Large, pages: usize) {
        let Some(count) = self.large_available.get_mut(large.index()) else {
            return;
        };
        if usize::from(*count) == LARGE_PAGES {
            self.gatherable_larges.remove(large.index());
        }
        *count -= pages as u16;
    }
}

/// A range of pages, cut where chunks begin.
pub(crate) fn by_chunk(pages: Range<usize>) -> impl Iterator<Item = (Chunk, Range<usize>)> {
    let mut at = pages.start;
    core::iter::from_fn(move || {
        let chunk = Page(at as u32).chunk();
        let start = at;
        at = chunk.pages().end.min(pages.end);
        (start < pages.end).then_some((chunk, start..at))
    })
}
