// SPDX-License-Identifier: BSD-2-Clause
//! Threads of one client on one heap: they pass blocks around, each freed by another thread than its own.
//!
//! With an argument, a thread ends the whole client: `fault` by a fault, `exit` by leaving with status 7.
#![no_std]
#![no_main]

extern crate alloc;

mod limits;
mod parcels;
mod team;

use client_test::Test;

kmalloc::main!(main);
kmalloc::global_allocator!(HEAP, threads);

const TESTS: &[Test] = &[
    ("threads_run_and_get_their_argument", team::arguments),
    ("a_thread_has_its_own_ipc_buffer", team::own_buffers),
    ("blocks_are_freed_by_other_threads", parcels::passed_around),
    ("every_heap_book_agrees_afterwards", parcels::books_agree),
    ("places_that_can_t_be_are_refused", limits::bad_places),
    ("the_eighth_thread_is_refused", limits::the_eighth),
];

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some(how) => limits::end_by_a_thread(how),
        None => client_test::run(TESTS),
    }
}
