// SPDX-License-Identifier: BSD-2-Clause
//! Many operations in patterns that allocators suffer from, in rounds that end with the same blocks: nothing grows from round to
//! round, and at its peak little is charged beside what is in use.
//!
//! Arguments: `WAY PATTERN OPERATIONS ROUNDS`, with the operations of each round. The peak is one of the program's life, so each
//! pattern has a program of its own.
#![no_std]
#![no_main]

extern crate alloc;

mod endure;
mod patterns;
mod world;

use client_test::Test;
use kmalloc::println;

kmalloc::main!(main);
kmalloc::global_allocator!(HEAP);

const TESTS: &[Test] = &[
    ("no_slope_from_round_to_round", endure::no_slope),
    ("peak_fragmentation_is_bounded", endure::peak_fragmentation),
];

fn main() -> u8 {
    if endure::is_understood() {
        client_test::run(TESTS)
    } else {
        println!("arguments: resident|served alternating|drift|ramp|set OPERATIONS ROUNDS");
        1
    }
}
