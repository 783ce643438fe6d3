// SPDX-License-Identifier: BSD-2-Clause
//! Every interleaving of the heap's one lock-free list, by the model checker.
//!
//! The checker stands here and not beside the list: with it in one workspace, programs without `std` would have to take
//! the features of their dependencies that it turns on.

#[cfg(test)]
#[expect(
    dead_code,
    reason = "the heap's own list is made of atomics that the checker does not know"
)]
#[path = "../../../crates/kmalloc/src/remote.rs"]
mod remote;
#[cfg(test)]
mod tests;
