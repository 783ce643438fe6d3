// SPDX-License-Identifier: BSD-2-Clause
//! The client heap of the memory server.
#![no_std]

mod error;
mod flags;
mod source;

pub use error::Error;
pub use flags::Flags;
pub use source::{DmaBlock, DmaSource, Region, SEGMENT_SIZE, Source};
