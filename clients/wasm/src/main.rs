// SPDX-License-Identifier: BSD-2-Clause
//! An interpreter of WebAssembly, as it comes from Cargo's registry, on the resident heap: what a module computes has to be
//! what it computed on the host.
#![no_std]
#![no_main]

extern crate alloc;

mod computation;

use client_test::{Outcome as TestOutcome, Test, check_eq, ok};
use computation::{CALLS, Outcome};

kmalloc::main!(main);
kmalloc::global_allocator!(HEAP);

const MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/module.wasm"));

/// What the calls came to on the host, in their order.
const EXPECTED: [Outcome; CALLS.len()] = include!(concat!(env!("OUT_DIR"), "/expected.rs"));

const TESTS: &[Test] = &[
    ("wasm_sieve", || as_on_the_host("sieve")),
    ("wasm_sort", || as_on_the_host("sort")),
    ("wasm_matrix", || as_on_the_host("matrix")),
    ("wasm_ackermann", || as_on_the_host("ackermann")),
    ("wasm_memory_that_there_is_not", too_much),
];

fn main() -> u8 {
    let failed = client_test::run(TESTS);
    client_test::print_figures();
    failed
}

fn as_on_the_host(function: &str) -> TestOutcome {
    for ((name, size), expected) in CALLS.iter().zip(EXPECTED) {
        if *name == function {
            check_eq!(ok!(computation::call(MODULE, name, *size)), expected);
            return Ok(());
        }
    }
    Err(client_test::Failed {
        what: "no such call",
        line: line!(),
    })
}

/// 1 GiB is beyond this client's limit: the interpreter gets no memory, and the module learns it as WebAssembly has it.
fn too_much() -> TestOutcome {
    let outcome = ok!(computation::call(MODULE, "grow", 1 << 14));
    check_eq!((outcome.returned, outcome.pages), (-1, 1));
    Ok(())
}
