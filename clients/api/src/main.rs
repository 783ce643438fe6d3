// SPDX-License-Identifier: BSD-2-Clause
//! Each call of the served API against its contract.
#![no_std]
#![no_main]

mod dma;
mod misuse;
mod quota;
mod resize;
mod sizes;

use client_test::Test;

kmalloc::main!(main);

const TESTS: &[Test] = &[
    ("kmalloc_every_class_boundary", sizes::every_class_boundary),
    ("kmalloc_zero_size_is_a_block", sizes::zero_size),
    ("kmalloc_absurd_sizes_are_refused", sizes::absurd_sizes),
    ("kmalloc_whole_pages", sizes::whole_pages),
    (
        "kmalloc_blocks_do_not_overlap",
        sizes::blocks_do_not_overlap,
    ),
    (
        "kmalloc_zero_flag_after_reuse",
        sizes::zero_flag_after_reuse,
    ),
    ("kmalloc_unknown_flags_are_refused", sizes::unknown_flags),
    ("kcalloc_all_pairs", sizes::kcalloc_all_pairs),
    ("krealloc_null_is_kmalloc", resize::null_is_kmalloc),
    ("krealloc_zero_frees", resize::zero_frees),
    ("krealloc_matrix_keeps_contents", resize::matrix),
    (
        "krealloc_failure_leaves_the_block",
        resize::failure_leaves_the_block,
    ),
    (
        "krealloc_zero_flag_zeroes_what_is_gained",
        resize::zero_flag,
    ),
    (
        "krealloc_array_overflow_leaves_the_block",
        resize::array_overflow,
    ),
    ("kfree_null_does_nothing", misuse::free_null),
    ("kfree_twice_small", misuse::double_free_small),
    ("kfree_twice_large", misuse::double_free_large),
    ("kfree_twice_delayed", misuse::double_free_delayed),
    ("kfree_interior_pointers", misuse::interior_pointers),
    (
        "kfree_interior_pages_of_a_large_block",
        misuse::interior_pages,
    ),
    ("kfree_wild_pointers", misuse::wild_pointers),
    (
        "ksize_and_krealloc_check_pointers",
        misuse::other_calls_check_pointers,
    ),
    ("kfree_on_dma_memory", misuse::kfree_on_dma_memory),
    (
        "kfree_dma_on_other_memory",
        misuse::kfree_dma_on_other_memory,
    ),
    ("dma_contiguous_zero_and_exact", dma::contiguous_zero_exact),
    (
        "dma_alignment_limit_boundary",
        dma::alignment_limit_boundary,
    ),
    ("dma_absurd_requests_are_refused", dma::absurd_requests),
    ("dma_guard_pages_are_not_given_out", dma::guards),
    (
        "quota_last_page_and_one_more",
        quota::last_page_and_one_more,
    ),
    ("quota_free_restores", quota::free_restores),
    ("stats_count_calls_and_failures", quota::stats_count),
];

fn main() -> u8 {
    client_test::run(TESTS)
}
