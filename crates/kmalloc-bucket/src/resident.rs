// SPDX-License-Identifier: BSD-2-Clause
//! Geometry of the resident heap: segments of pages, cut into buckets and runs.
//!
//! A **segment** is 2 MiB of address space, aligned to its size, of which any pages may be mapped. Its metadata sits in
//! its first page. The others are cut into **buckets** (one to eight pages, holding blocks of one size) and **runs** (whole
//! pages, one block each).
//!
//! Why the metadata is at the start of the segment and not of each bucket: a header in the bucket costs a naturally
//! aligned block of its own, half a bucket of two blocks. In front of all buckets of a segment it costs a page in 512
//! (0.2 %) and buckets can be short, so that a program that uses each class a little commits little, and each empty one
//! goes back alone, or serves another size.

pub mod buckets;
pub mod pages;
pub mod slots;
pub mod tags;

pub use crate::size_class::PAGE_SIZE;

/// log2 of [`SEGMENT_SIZE`].
pub const SEGMENT_SIZE_BITS: u32 = 21;
/// Bytes in a segment: what one page table maps and one large frame holds. A segment is aligned to its size.
pub const SEGMENT_SIZE: usize = 1 << SEGMENT_SIZE_BITS;
/// Pages in a segment.
pub const SEGMENT_PAGES: usize = SEGMENT_SIZE / PAGE_SIZE;
/// Pages in the longest run; a larger block is none of a segment's.
pub const RUN_PAGES_MAX: usize = SEGMENT_PAGES / 4;
/// Bytes in the longest run.
pub const RUN_SIZE_MAX: usize = RUN_PAGES_MAX * PAGE_SIZE;

/// Pages of a segment that its metadata takes.
pub const HEADER_PAGES: usize = 1;
/// Bytes that the metadata of a segment may take behind its colour.
pub const HEADER_SIZE_MAX: usize =
    HEADER_PAGES * PAGE_SIZE - (HEADER_COLOURS - 1) * HEADER_COLOUR_STEP;
/// Where headers of neighbouring segments may stand: at this many distances from the segment's start.
const HEADER_COLOURS: usize = 16;
/// Bytes between two colours: a cache line.
const HEADER_COLOUR_STEP: usize = 64;
/// Distance of the header from the start of the segment that `address` lies in.
///
/// Segments are aligned to 2 MiB, so that headers at one distance would all fall into one set of a cache: the distance
/// depends on the segment's number.
#[inline(always)]
pub const fn header_offset(address: usize) -> usize {
    (address >> (SEGMENT_SIZE_BITS - HEADER_COLOUR_STEP.ilog2()))
        & ((HEADER_COLOURS - 1) * HEADER_COLOUR_STEP)
}

/// The page of its segment that `address` lies in.
#[inline(always)]
pub const fn page_of(address: usize) -> usize {
    (address / PAGE_SIZE) % SEGMENT_PAGES
}

#[cfg(test)]
mod tests;
