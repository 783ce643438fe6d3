// SPDX-License-Identifier: BSD-2-Clause
//! Geometry of the resident heap: segments of pages, cut into buckets and runs.

/// log2 of [`SEGMENT_SIZE`].
pub const SEGMENT_SIZE_BITS: u32 = 21;
/// Bytes in a segment: what one page table maps and one large frame holds. A segment is aligned to its size.
pub const SEGMENT_SIZE: usize = 1 << SEGMENT_SIZE_BITS;
