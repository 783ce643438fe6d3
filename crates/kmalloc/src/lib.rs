// SPDX-License-Identifier: BSD-2-Clause
//! Client library of the memory server: memory by request ([`served`]), and a heap that cuts its own ([`Heap`]).
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
mod heap;
mod large;
mod local;
#[cfg(feature = "server")]
pub mod process;
mod remote;
mod segment;
#[cfg(feature = "server")]
pub mod served;
mod shared;
mod source;
mod thread_heap;
mod threading;
#[cfg(feature = "server")]
pub mod transport;

#[cfg(feature = "checked")]
pub use checked::{Call, Fault, Violation, set_violation_hook};
pub use heap::{Audit, Heap};
pub use kmalloc_protocol::window::Window;
pub use kmalloc_protocol::{BadMessage, Cache, Error, Flags, Stats};
#[cfg(feature = "server")]
pub use process::wait;
#[cfg(feature = "server")]
pub use sel4_task::{arguments, data};
pub use source::{DmaBlock, DmaSource, Region, SEGMENT_SIZE, Source};
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
