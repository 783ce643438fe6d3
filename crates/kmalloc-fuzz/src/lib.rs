// SPDX-License-Identifier: BSD-2-Clause
//! What is fuzzed: functions of any bytes that panic when something is wrong.
//!
//! `fuzz/` has a program of libFuzzer's for each, on a nightly compiler. What was found there, and inputs that reach
//! everything that was ever reached, lie in `fuzz/found` and `fuzz/corpus`; the tests here call the same functions with them
//! on a stable one.

mod heap;
mod protocol;
mod server;

pub use heap::heap;
pub use protocol::protocol;
pub use server::server;

/// What is fuzzed.
pub type Target = fn(&[u8]);

/// All of it, by name.
pub const TARGETS: &[(&str, Target)] =
    &[("protocol", protocol), ("server", server), ("heap", heap)];
