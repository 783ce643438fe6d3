// SPDX-License-Identifier: BSD-2-Clause
//! A driver of QEMU's `edu` device, which takes DMA buffers from `kmalloc_dma`.
//!
//! With the argument `dies` it ends while its device is about to write into its memory; with `after` it waits for that and
//! checks that the memory, which is its own then, stays as it is. With `none` it has no device, and tries. With `reaches` it
//! has a device behind an IOMMU reach for what others have; with `witnesses` it is one of those.
#![no_std]
#![no_main]

mod death;
mod edu;
mod reach;
mod tests;

use client_test::Test;

kmalloc::main!(main);

const TESTS: &[Test] = &[
    ("the_device_is_there", tests::identity),
    (
        "registers_that_are_not_the_driver_s_are_refused",
        tests::config,
    ),
    ("an_interrupt_comes", tests::interrupt),
    ("dma_to_the_device_and_back", tests::round_trip),
    ("dma_at_every_offset_of_a_page", tests::offsets),
    ("buffers_lie_below_28_bits", tests::limit),
    ("without_bus_mastering_nothing_moves", tests::not_a_master),
];

const AFTER: &[Test] = &[
    ("a_dead_driver_s_device_writes_nothing", death::after),
    ("the_device_works_for_the_next_driver", tests::round_trip),
];

const REACHES: &[Test] = &[
    ("memory_of_others_is_out_of_reach", reach::others_memory),
    (
        "memory_of_kernel_and_server_is_out_of_reach",
        reach::kernel_s_memory,
    ),
    (
        "a_transfer_ends_with_its_buffer",
        reach::the_end_of_a_buffer,
    ),
    (
        "memory_given_back_is_out_of_reach",
        reach::memory_given_back,
    ),
    ("the_device_works_all_the_same", reach::own_memory),
];

const NONE: &[Test] = &[("a_device_of_others_is_refused", tests::nobody_s)];

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some("dies") => death::die(),
        Some("after") => client_test::run(AFTER),
        Some("none") => client_test::run(NONE),
        Some("reaches") => client_test::run(REACHES),
        Some("witnesses") => reach::witness(),
        _ => client_test::run(TESTS),
    }
}
