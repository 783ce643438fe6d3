// SPDX-License-Identifier: BSD-2-Clause
//! Allocation traces: what a program asked of its allocator, to be asked again of the memory server.
//!
//! People write and read the text form, one operation a line:
//!
//! | line | means |
//! |---|---|
//! | `a ID SIZE` | `kmalloc(SIZE)`, the block is called ID from now on |
//! | `z ID NMEMB SIZE` | `kcalloc(NMEMB, SIZE)` |
//! | `r ID SIZE` | `krealloc(ID, SIZE)` |
//! | `f ID` | `kfree(ID)`, ID may be used again |
//!
//! Numbers are decimal and fit 64 bits, `#` begins a comment, blocks left at the end are freed by whoever replays.
//! `compile` (feature `alloc`) checks a text and turns it into the compact form, in which each live block has a
//! slot of a dense table; a client walks that form with [`Trace`], without an allocation.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;

mod compact;
#[cfg(any(test, feature = "alloc"))]
mod compile;
mod text;

pub use compact::{Malformed, Operation, Operations, Summary, Trace};
#[cfg(any(test, feature = "alloc"))]
pub use compile::{TraceError, compile};
pub use text::{Line, LineError, parse_line};

/// Most bytes that one operation of a trace may ask for: one window of a client's address space.
pub const BLOCK_BYTES_MAX: u64 = 1 << 36;
/// Most blocks that a trace may have live at one time.
pub const SLOTS_MAX: u32 = 1 << 24;
