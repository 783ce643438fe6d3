// SPDX-License-Identifier: BSD-2-Clause
//! The client heap of the memory server.
#![no_std]

#[cfg(test)]
extern crate std;

mod error;
mod flags;
mod heap;
mod large;
mod local;
mod remote;
mod segment;
mod shared;
mod source;
mod thread_heap;
mod threading;

pub use error::Error;
pub use flags::Flags;
pub use heap::{Audit, Heap};
pub use source::{DmaBlock, DmaSource, Region, SEGMENT_SIZE, Source};
pub use threading::{SingleThread, ThreadWord, Threading, Threads};
