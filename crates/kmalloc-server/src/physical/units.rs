// SPDX-License-Identifier: BSD-2-Clause
//! Pages, chunks and large pages of physical memory.

use core::ops::Range;

/// log2 of the bytes in a page.
pub const PAGE_BITS: u32 = 12;
/// Pages in a chunk (64 KiB).
pub const CHUNK_PAGES: usize = 16;
/// Chunks in a large page (2 MiB).
pub const LARGE_CHUNKS: usize = 32;
/// Pages in a large page.
pub const LARGE_PAGES: usize = CHUNK_PAGES * LARGE_CHUNKS;

/// A page of physical memory, counted from the base of [`Physical`](super::Physical).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page(pub u32);

/// A chunk of physical memory: pages `16 * n .. 16 * n + 16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk(pub u32);

/// A large page of physical memory: pages `512 * n .. 512 * n + 512`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Large(pub u32);

impl Page {
    /// The page's place in a row of pages.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The chunk that the page lies in.
    #[inline(always)]
    pub const fn chunk(self) -> Chunk {
        Chunk(self.0 / CHUNK_PAGES as u32)
    }
}

impl Chunk {
    /// The chunk's place in a row of chunks.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The large page that the chunk lies in.
    #[inline(always)]
    pub const fn large(self) -> Large {
        Large(self.0 / LARGE_CHUNKS as u32)
    }

    /// The chunk's first page.
    #[inline(always)]
    pub const fn first_page(self) -> Page {
        Page(self.0 * CHUNK_PAGES as u32)
    }

    /// Indices of the chunk's pages.
    pub const fn pages(self) -> Range<usize> {
        let first = self.index() * CHUNK_PAGES;
        first..first + CHUNK_PAGES
    }
}

impl Large {
    /// The large page's place in a row of large pages.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The first chunk.
    #[inline(always)]
    pub const fn first_chunk(self) -> Chunk {
        Chunk(self.0 * LARGE_CHUNKS as u32)
    }

    /// Indices of the large page's chunks.
    pub const fn chunks(self) -> Range<usize> {
        let first = self.index() * LARGE_CHUNKS;
        first..first + LARGE_CHUNKS
    }

    /// Indices of the large page's pages.
    pub const fn pages(self) -> Range<usize> {
        let first = self.index() * LARGE_PAGES;
        first..first + LARGE_PAGES
    }
}
