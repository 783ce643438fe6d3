// SPDX-License-Identifier: BSD-2-Clause
//! C functions over a kmalloc heap; `include/kmalloc.h` declares them.
//!
//! This crate has no heap of its own: [`export!`] gives one to C, in a program or in a static library.
//!
//! ```no_run
//! use kmalloc::{Heap, ServerSource};
//!
//! // SAFETY: the program has one thread.
//! static HEAP: Heap<ServerSource> = unsafe { Heap::single_threaded(ServerSource::new()) };
//! kmalloc_c::export!(HEAP);
//! # fn main() {}
//! ```
#![no_std]

mod calls;
mod code;
mod export;

pub use calls::{CDmaOptions, CHeap};
pub use code::{code, text};

#[doc(hidden)]
pub use core;
