// SPDX-License-Identifier: BSD-2-Clause

//! Runtime of a program that the root task starts as a client.
//!
//! A program names its main function once, `sel4_task::main!(main);`, and in its build script calls
//! `sel4_build::link_arguments_for_task()`. This crate knows no server: how a program prints and exits is what
//! [`Hooks`] say. Without them it prints through the kernel, and exits by touching [`EXIT_FAULT_ADDRESS`].
//!
//! What the root task and this crate agree on is [`StartInfo`], [`slot`] and the registers at the entry: RDI holds the
//! address of the start page, RSP the top of the stack.

#![cfg_attr(not(test), no_std)]

// Linked for its symbols alone.
use sel4_mem as _;

mod ending;
mod entry;
mod start;
mod termination;

pub mod slot;

pub use ending::{EXIT_FAULT_ADDRESS, Hooks, PANIC_STATUS, exit, print, set_hooks};
pub use entry::{arguments, data};
pub use start::{DataRange, START_PAGE_BYTES, StartError, StartInfo, StartPage};
pub use termination::Termination;

#[doc(hidden)]
pub mod _private {
    pub use crate::ending::panic;
    pub use crate::entry::run;
}
