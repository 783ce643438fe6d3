// SPDX-License-Identifier: BSD-2-Clause
//! The resident heap on the real server: Rust's collections, the kmalloc family, how few calls it makes, and that it gives
//! back what it took.
#![no_std]
#![no_main]

extern crate alloc;

mod calls;
mod collections;
mod family;
mod limits;

use client_test::Test;

kmalloc::main!(main);
kmalloc::global_allocator!(HEAP);

const TESTS: &[Test] = &[
    (
        "heap_box_vec_string_btree",
        collections::box_vec_string_btree,
    ),
    (
        "heap_over_aligned_layouts",
        collections::over_aligned_layouts,
    ),
    (
        "heap_vec_grows_to_megabytes",
        collections::vec_grows_to_megabytes,
    ),
    ("heap_every_class_boundary", family::every_class_boundary),
    ("heap_kcalloc_overflow", family::kcalloc_overflow),
    ("heap_krealloc_matrix", family::krealloc_matrix),
    (
        "heap_kfree_takes_served_blocks",
        family::kfree_takes_served_blocks,
    ),
    (
        "heap_interior_and_wild_pointers",
        family::interior_and_wild_pointers,
    ),
    (
        "heap_memory_is_zero_when_asked",
        family::memory_is_zero_when_asked,
    ),
    (
        "heap_large_grows_without_copying",
        family::large_grows_without_copying,
    ),
    (
        "heap_million_small_blocks_few_calls",
        calls::million_small_blocks,
    ),
    ("heap_swing_by_one_block_no_call", calls::swing_by_one_block),
    ("heap_large_pairs_no_call", calls::large_pairs),
    ("heap_trim_gives_all_back", calls::trim_gives_all_back),
    ("heap_quota_is_an_error_not_an_end", limits::quota),
    ("heap_segments_of_others_are_refused", limits::segments),
    ("heap_two_mib_frames", limits::large_frames),
];

fn main() -> u8 {
    client_test::run(TESTS)
}
