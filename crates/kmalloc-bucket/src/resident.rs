// SPDX-License-Identifier: BSD-2-Clause
//! Geometry of the resident heap: segments of pages, cut into buckets and runs.
//!
//! A **segment** is 2 MiB of address space, aligned to its size, of which any pages may be mapped. Its metadata sits at
//! its start. It is cut into **buckets** (16 KiB, aligned to their size, holding blocks of one size) and **runs** (whole
//! pages, one block each).
//!
//! Why the metadata is at the start of the segment and not of each bucket: a header in the bucket costs a naturally
//! aligned block of its own, a quarter of a 64 KiB bucket of 16 KiB blocks. In front of all buckets of a segment it costs
//! [`HEADER_SIZE_MAX`] bytes in 2 MiB (0.12 %) and buckets can be small, so that a program that uses each class a little commits
//! little, and each empty one goes back alone. The rest of the first bucket is used for small blocks.

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
/// Pages in a group. Buckets are whole groups, and aligned to one.
pub const GROUP_PAGES: usize = 4;
/// Groups in a segment.
pub const SEGMENT_GROUPS: usize = SEGMENT_PAGES / GROUP_PAGES;
/// Bytes in a bucket.
pub const BUCKET_SIZE: usize = GROUP_PAGES * PAGE_SIZE;
/// Pages in the longest run; a larger block is none of a segment's.
pub const RUN_PAGES_MAX: usize = SEGMENT_PAGES / 4;
/// Bytes in the longest run.
pub const RUN_SIZE_MAX: usize = RUN_PAGES_MAX * PAGE_SIZE;

/// Bytes that the metadata of a segment may take behind its colour.
pub const HEADER_SIZE_MAX: usize = 2048;
/// Where headers of neighbouring segments may stand: at this many distances from the segment's start.
const HEADER_COLOURS: usize = 16;
/// Bytes between two colours: a cache line.
const HEADER_COLOUR_STEP: usize = 64;
/// Blocks larger than this are not cut from what the header leaves of the first bucket.
pub const FIRST_BUCKET_BLOCK_SIZE_MAX: usize = 1024;

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

/// Where the blocks of `block_size` bytes begin in the first bucket of the segment at `segment`: behind its header.
pub const fn first_bucket_offset(segment: usize, block_size: usize) -> usize {
    (header_offset(segment) + HEADER_SIZE_MAX).next_multiple_of(block_size)
}

// What the header and the unusable end of a bucket cost stays within 3 % of a segment.
const _: () = assert!(
    (HEADER_COLOURS * HEADER_COLOUR_STEP + HEADER_SIZE_MAX + FIRST_BUCKET_BLOCK_SIZE_MAX) * 100
        <= 3 * SEGMENT_SIZE
);
