// SPDX-License-Identifier: BSD-2-Clause
//! Client library of the memory server: memory by request ([`served`]), and a heap that cuts its own ([`Heap`]).
//!
//! A [`Heap`] takes memory from a [`Source`] in segments of 2 MiB, cuts them into buckets of equal blocks, and asks again
//! only when these are used up. Blocks of more than 512 KiB are the source's own.
//!
//! ```no_run
//! use kmalloc::{Heap, ServerSource};
//!
//! // SAFETY: the program has one thread.
//! #[global_allocator]
//! static HEAP: Heap<ServerSource> = unsafe { Heap::single_threaded(ServerSource::new()) };
//! ```
//!
//! # What it rests on
//!
//! - A list of free blocks for each size class stands in front of the buckets: a pair of allocation and release
//!   touches the list and the block, nothing else. Every other case begins with that list being empty.
//! - The size in a `Layout` gives the list; without it (`kfree`) the tag of the block's page does, found from the address.
//! - Nothing on these paths counts. Free blocks are counted when memory is about to be asked for, every thousand or so
//!   calls of `kfree`, and by `trim`; then empty buckets go back beyond a reserve (1 MiB and an eighth of what is used).
//!   A program that frees only through the global allocator, and then does nothing, keeps its memory until it trims.
//! - With [`Threads`], each thread has lists and segments of its own. A block freed by another thread goes home over an
//!   atomic list; a thread that ends leaves its part to the next. The server starts threads (`thread::spawn`). With [`SingleThread`] none of this is compiled.
//!
//! Invariant: a block on the list of a slot above the buckets is exactly a power of two long, and aligned to it.
//! Invariant: the owner of a segment never changes; what only the owner touches is never borrowed by others.
//! Invariant: a source is called by one thread at a time, and never from a fast path.
//!
//! # The feature `checked`
//!
//! Finds double and wild frees, writes beside a block, after free, and to the heap's own books, and names pointer, class and call (see
//! `Violation`, `set_violation_hook`), and knows of each block in use who allocated it (see [`tags`]). It costs 16 bytes a block, up to 64 freed blocks a class that wait, always-moving
//! `realloc`, and time that grows with the size: every byte of a free block is written and later read. On the host a pair of
//! 64 bytes takes 60 ns (1,220 instructions) instead of 3 (24), one of 4 KiB 510 ns instead of 3.
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
#[cfg(feature = "server")]
pub mod child;
#[cfg(feature = "server")]
pub mod dataspace;
#[cfg(feature = "server")]
pub mod device;
#[cfg(feature = "server")]
pub mod event;
mod heap;
mod large;
mod local;
#[cfg(feature = "server")]
pub mod process;
mod remote;
mod segment;
#[cfg(feature = "server")]
pub mod served;
#[cfg(feature = "server")]
mod server_source;
mod shared;
mod source;
#[cfg(feature = "server")]
pub mod statistics;
pub mod tags;
#[cfg(feature = "server")]
pub mod thread;
mod thread_heap;
mod threading;
#[cfg(feature = "server")]
pub mod transport;

#[cfg(feature = "checked")]
pub use checked::{Call, Fault, Violation, set_violation_hook};
#[cfg(feature = "server")]
pub use dataspace::{Attached, Dataspace, Offset};
pub use heap::{Audit, Heap};
pub use kmalloc_bucket::resident::slots::{PowersOfTwo, QuarterOctaves, SizeClasses};
pub use kmalloc_protocol::window::Window;
pub use kmalloc_protocol::{BadMessage, Cache, Cause, Ended, Error, Events, Flags, Request, Stats};
#[cfg(feature = "server")]
pub use process::{find, wait};
#[cfg(feature = "server")]
pub use sel4_task::{arguments, data};
#[cfg(feature = "server")]
pub use server_source::{IpcBufferWord, ServerSource};
pub use source::{
    Access, DmaBlock, DmaOptions, DmaSource, Region, SEGMENT_SIZE, ShareSource, Source,
};
pub use tags::Tag;
pub use threading::{SingleThread, ThreadWord, Threading, Threads};

/// A part of the heap has no room; the caller goes on elsewhere or asks the source.
pub(crate) const NO_ROOM: Error = Error::NoContiguousRun {
    largest: 0,
    requested: 0,
};

/// The pointer is none of a block.
pub(crate) fn bad_pointer(block: core::ptr::NonNull<u8>) -> Error {
    Error::BadPointer {
        address: block.addr().get() as u64,
    }
}
