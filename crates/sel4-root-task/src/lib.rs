// SPDX-License-Identifier: BSD-2-Clause

//! Runtime of a root task.
//!
//! Names are those of rust-sel4's crate `sel4-root-task`; A program says
//! `#[root_task]` on its main function, and in its build script calls `sel4_build::link_arguments_for_root_task()`.

#![no_std]

// Linked for its symbols alone.
use sel4_mem as _;

mod entry;
mod printing;
mod termination;

pub mod panicking;

pub use sel4_root_task_macros::root_task;
pub use termination::{Never, Termination};

/// Bytes of the stack of a root task that does not choose.
pub const DEFAULT_STACK_SIZE: usize = 64 * 1024;

#[doc(hidden)]
pub mod _private {
    pub use crate::entry::{Stack, run};
    pub use crate::panicking::abort;
    pub use sel4::{self, BootInfo};
}
