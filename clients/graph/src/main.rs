// SPDX-License-Identifier: BSD-2-Clause
//! A library of graphs, as it comes from Cargo's registry, on the resident heap: what it computes has to be what it computed
//! on the host.
#![no_std]
#![no_main]

extern crate alloc;

mod computation;

use client_test::{Outcome, Test, check_eq};
use computation::COMPUTATIONS;

kmalloc::main!(main);
kmalloc::global_allocator!(HEAP);

/// What the computations came to on the host, in their order.
const EXPECTED: [u64; COMPUTATIONS.len()] = include!(concat!(env!("OUT_DIR"), "/expected.rs"));

const TESTS: [Test; COMPUTATIONS.len()] = [
    (COMPUTATIONS[0].0, as_on_the_host::<0>),
    (COMPUTATIONS[1].0, as_on_the_host::<1>),
    (COMPUTATIONS[2].0, as_on_the_host::<2>),
    (COMPUTATIONS[3].0, as_on_the_host::<3>),
    (COMPUTATIONS[4].0, as_on_the_host::<4>),
    (COMPUTATIONS[5].0, as_on_the_host::<5>),
    (COMPUTATIONS[6].0, as_on_the_host::<6>),
];

fn main() -> u8 {
    let failed = client_test::run(&TESTS);
    client_test::print_figures();
    failed
}

fn as_on_the_host<const NUMBER: usize>() -> Outcome {
    let (_, compute) = COMPUTATIONS[NUMBER];
    check_eq!(compute(), EXPECTED[NUMBER]);
    Ok(())
}
