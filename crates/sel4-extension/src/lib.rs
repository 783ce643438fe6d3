// SPDX-License-Identifier: BSD-2-Clause

//! What rust-sel4 5.0.0 lacks.
//!
//! Whatever root task and clients need besides rust-sel4's names stands here and nowhere else. It is written over names
//! that rust-sel4's crate `sel4` has too, so it compiles against that as it does against this project's `sel4`; only
//! the feature `reply-in-registers` asks for the latter. What differs among kernels is told by the configuration macros
//! of `sel4`, not by this crate's build.

#![no_std]

mod fault;
mod io_port;
pub mod io_space;
mod paging;
mod reply_recv;
pub mod thread;

pub use fault::{Timeout, fault, timeout};
pub use io_port::IOPort;
pub use paging::{WRITE_COMBINING, page_table_unmap};
pub use reply_recv::reply_recv_with_mrs;

use sel4::{
    Cap, CapType, Error, FastMessages, MessageInfoBuilder, NUM_FAST_MESSAGE_REGISTERS, Result, Word,
};

/// The kernel's release, for people.
pub const KERNEL_VERSION: &str = env!("SEL4_KERNEL_VERSION");

/// Asks `object` for what `label` says, without capabilities. Gives the first words of the answer.
fn invoke<T: CapType, const WORDS: usize>(
    object: Cap<T>,
    label: u32,
    words: [Word; WORDS],
) -> Result<[Word; NUM_FAST_MESSAGE_REGISTERS]>
where
    [Word; WORDS]: FastMessages,
{
    let info = MessageInfoBuilder::default()
        .label(label.into())
        .length(WORDS)
        .build();
    let answer = object.call_with_mrs(info, words);
    // A label is one of the kernel's few errors, or 0.
    match Error::from_sys(answer.info.label() as u32) {
        None => Ok(answer.msg),
        Some(error) => Err(error),
    }
}
