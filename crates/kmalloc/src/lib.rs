// SPDX-License-Identifier: BSD-2-Clause
//! Client library of the memory server.
#![no_std]

pub mod process;
pub mod served;
pub mod transport;

pub use kmalloc_protocol::window::Window;
pub use kmalloc_protocol::{Cache, Error, Flags, Stats};
pub use process::wait;
pub use sel4_task::{arguments, data};
