// SPDX-License-Identifier: BSD-2-Clause
//! The client heap of the memory server.
#![no_std]
#![cfg_attr(
    feature = "checked",
    allow(
        dead_code,
        reason = "a checked heap moves blocks where the other one resizes them"
    )
)]

#[cfg(test)]
extern crate std;

#[cfg(feature = "checked")]
mod checked;
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

#[cfg(feature = "checked")]
pub use checked::{Call, Fault, Violation, set_violation_hook};
pub use error::Error;
pub use flags::Flags;
pub use heap::{Audit, Heap};
pub use source::{DmaBlock, DmaSource, Region, SEGMENT_SIZE, Source};
pub use threading::{SingleThread, ThreadWord, Threading, Threads};
