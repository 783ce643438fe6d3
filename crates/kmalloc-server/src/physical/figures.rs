// SPDX-License-Identifier: BSD-2-Clause
//! What the books say, for people.

use super::{CHUNK_PAGES, ChunkForm, LARGE_PAGES, Large, LargeForm, PAGE_BITS, Page, Physical};
use kmalloc_protocol::statistics::{LargeFigures, MemoryFigures, ORDERS};

const _: () = assert!(1 << (ORDERS - 1) == LARGE_PAGES);

impl Physical {
    /// Memory as a whole; `total` is the caller's.
    pub fn figures(&self) -> MemoryFigures {
        let bytes = |things: usize, pages: usize| (things as u64 * pages as u64) << PAGE_BITS;
        let cleaning = self.cleaning.map_or(0, |cleaning| cleaning.page_count());
        MemoryFigures {
            total: 0,
            free: bytes(self.free_pages(), 1),
            usable: bytes(self.usable_pages(), 1),
            clean_pages: bytes(self.ready.len(), 1),
            dirty_pages: bytes(self.dirty.len(), 1),
            clean_chunks: bytes(self.whole_chunks.len(), CHUNK_PAGES),
            dirty_chunks: bytes(self.dirty_chunks.len(), CHUNK_PAGES),
            clean_larges: bytes(self.whole_larges.len(), LARGE_PAGES),
            dirty_larges: bytes(self.dirty_larges.len(), LARGE_PAGES),
            cleaning: bytes(cleaning, 1),
        }
    }

    /// The first large page from number `from` on that has memory of the server's in it.
    pub fn large_figures(&self, from: usize) -> Option<LargeFigures> {
        let larges = from..self.large_capacity();
        let mut larges = larges.map(|number| Large(number as u32));
        let large = larges.find(|large| self.has_memory(*large))?;
        let first = large.pages().start;
        let mut figures = LargeFigures {
            next: u64::from(large.0) + 1,
            address: self.address_of(Page(first as u32)),
            form: match self.large_form(large) {
                LargeForm::Absent => 0,
                LargeForm::Whole => 1,
                LargeForm::Split => 2,
                LargeForm::Frame => 3,
            },
            ..LargeFigures::default()
        };
        let mut free = [false; LARGE_PAGES];
        for (page, is_free) in large.pages().zip(&mut free) {
            *is_free = self.is_free(Page(page as u32));
            figures.free += u32::from(*is_free);
            figures.dirty += u32::from(*is_free && !self.is_clean(Page(page as u32)));
        }
        for chunk in large.chunks() {
            if self.chunk_forms.get(chunk) == Some(&ChunkForm::Objects) {
                figures.objects += CHUNK_PAGES as u32;
            }
        }
        figures.orders = orders(&free);
        Some(figures)
    }

    /// Whether any chunk of a large page is memory of ours.
    fn has_memory(&self, large: Large) -> bool {
        let mut pages = large.pages();
        self.large_form(large) != LargeForm::Absent
            || large
                .chunks()
                .any(|chunk| self.chunk_forms.get(chunk) != Some(&ChunkForm::Absent))
            || pages.any(|page| self.available.contains(page))
    }

    /// Whether a free page can be handed out without being zeroed.
    fn is_clean(&self, page: Page) -> bool {
        self.is_ready(page)
            || self.is_clean_chunk(page.chunk())
            || self.is_clean_large(page.chunk().large())
    }
}

/// Free blocks of each order: as large as they can be with their address a multiple of their size.
fn orders(free: &[bool; LARGE_PAGES]) -> [u32; ORDERS] {
    let mut orders = [0; ORDERS];
    let mut at = 0;
    while let Some(rest) = free.get(at..)
        && let Some(start) = rest.iter().position(|is_free| *is_free)
    {
        let first = at + start;
        let length = rest
            .iter()
            .skip(start)
            .take_while(|is_free| **is_free)
            .count();
        let fits = length.checked_ilog2().unwrap_or(0);
        let order = fits.min(first.trailing_zeros()) as usize;
        if let Some(count) = orders.get_mut(order) {
            *count += 1;
        }
        at = first + (1 << order);
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_counted_in_the_largest_aligned_blocks() {
        let mut free = [true; LARGE_PAGES];
        assert_eq!(orders(&free)[9], 1);
        free[0] = false;
        // 1, 2, 4, ... 256 pages are left behind the first.
        assert_eq!(orders(&free), [1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
        let mut free = [false; LARGE_PAGES];
        free[3..9].fill(true);
        assert_eq!(orders(&free)[..4], [2, 0, 1, 0]);
        assert_eq!(orders(&[false; LARGE_PAGES]), [0; ORDERS]);
    }
}
