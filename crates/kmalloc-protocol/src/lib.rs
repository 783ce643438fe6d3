// SPDX-License-Identifier: BSD-2-Clause
//! What a client and the memory server say to each other. Pure: no kernel, no `unsafe`.
//!
//! A message is a label, which carries the protocol's version, and up to 120 words that hold one postcard-encoded
//! [`Request`] or [`Response`], padded with zero bytes to whole words. Integers are of fixed width and each `u64` begins at
//! a whole word, so that a value has exactly one encoding, every common message fits the four words that travel in
//! registers, and [`message::quick`] can read and write the commonest without touching memory.
#![no_std]
#![forbid(unsafe_code)]
// What comes in is anybody's: no way through this crate ends in a panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(test)]
extern crate std;

mod error;
mod events;
mod flags;
pub mod message;
pub mod names;
mod padding;
mod reply;
mod request;
pub mod statistics;
pub mod window;

pub use error::{BadMessage, Error};
pub use events::Events;
pub use flags::{Cache, Flags};
pub use reply::{Cause, Ended, Reply, Response, Stats};
pub use request::Request;

/// The version of everything in this crate. It changes whenever an encoding does.
pub const PROTOCOL_VERSION: u64 = 2;

/// The label of every request and every response: a mark that no fault message of the kernel has, and the version.
pub const LABEL: u64 = 0x4b00 | PROTOCOL_VERSION;

/// The size of [`Request::AwaitMemory`] that stands for all that is free: it waits until all of that is clean, so that the
/// longest run there is can be had.
pub const AWAIT_ALL: u64 = u64::MAX;

/// The largest size that is taken for a size; anything above is [`Error::BadSize`].
pub const SIZE_MAX: u64 = 1 << window::WINDOW_SIZE_BITS;
