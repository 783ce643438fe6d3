// SPDX-License-Identifier: BSD-2-Clause
//! C functions over a kmalloc heap; `include/kmalloc.h` declares them.
//!
//! This crate has no heap of its own: [`export!`] gives one to C, in a program or in a static library.
//!
//! ```ignore
//! static HEAP: Heap<ServerSource> = unsafe { Heap::single_threaded(ServerSource::new()) };
//! kmalloc_c::export!(HEAP);
//! ```
#![no_std]

mod calls;
mod code;
mod export;

pub use calls::{CDmaOptions, CHeap};
pub use code::{code, text};

#[doc(hidden)]
pub use core;
