// SPDX-License-Identifier: BSD-2-Clause
//! The system manifest as the host tool writes it and the root task reads it.
//!
//! The archive in the root task's image is one [`System`]: a header, then the programs, then the clients, each a
//! postcard record. It is read where it lies: nothing is copied, so the root task needs no heap for it.
//! [`System::decode`] checks every record once, after that the iterators can't fail.
//!
//! What happened to a client ([`Outcome`]) and what was expected to happen ([`Expectation`]) are written by one
//! side and parsed by the other, so their text form stands here as well.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;

#[cfg(any(test, feature = "alloc"))]
mod encode;
mod error;
mod outcome;
mod record;
mod system;

#[cfg(any(test, feature = "alloc"))]
pub use encode::encode;
pub use error::Error;
pub use outcome::{Expectation, FaultKind, Outcome, UnknownOutcome};
pub use record::{Budget, Client, Devices, OnFailure, Program, Report, Settings, Texts};
pub use system::{Clients, Programs, System};

/// Most bytes that the name of a program or client has.
pub const NAME_BYTES_MAX: usize = 32;
/// Most programs that a system has.
pub const PROGRAMS_MAX: u32 = 1024;
/// Most clients that a system has.
pub const CLIENTS_MAX: u32 = 4096;
/// Children that a client has at once, where its manifest entry names no number but clients that it may start.
pub const CHILDREN_DEFAULT: u16 = 16;
/// Times that a client is started again, where its manifest entry names no number but that it is to be.
pub const RESTARTS_DEFAULT: u16 = 3;
/// Most endpoints between clients that a system has.
pub const ENDPOINTS_MAX: u8 = 16;
/// Client priorities are 1 to this. Served calls take the kernel's fast path only between equal priorities, so most
/// clients keep [`PRIORITY_DEFAULT`].
pub const PRIORITY_MAX: u8 = 254;
/// The priority of a client whose manifest entry names none: the server's own.
pub const PRIORITY_DEFAULT: u8 = 100;

/// Whether `name` can name a program or a client: 1 to [`NAME_BYTES_MAX`] ASCII letters, digits, `-`, `_` or `.`,
/// so that it needs no quoting in a record of the serial output.
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}
