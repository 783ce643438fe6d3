// SPDX-License-Identifier: BSD-2-Clause

//! What rust-sel4 lacks. A program that uses nothing from here compiles against rust-sel4 as well.

mod fault;
pub mod io_port;
pub mod paging;
pub mod reply_recv;
pub mod thread;

/// The kernel's release, for people.
pub const KERNEL_VERSION: &str = crate::sys::facts::KERNEL_VERSION;

/// Width of a badge in bits. A wider one can't be minted.
pub const BADGE_BITS: u32 = crate::sys::facts::BADGE_BITS;

/// How many low bits of a VM fault's address the kernel tells; the others are 0. Release 5 tells 32.
pub const FAULT_ADDRESS_BITS: u32 = crate::sys::facts::FAULT_ADDRESS_BITS;
