// SPDX-License-Identifier: BSD-2-Clause
//! A root task that has the memory server run, and then does what the server must not: it allocates. That has to be its end.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::hint::black_box;
use root_task::print_line;
use sel4_root_task::root_task;

/// What it allocates, which is found in the message.
const BYTES: usize = 12_321;

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> ! {
    root_task::begin(bootinfo);
    let untypeds = root_task::untypeds(bootinfo);
    drop(black_box(Box::new([0u8; BYTES])));
    print_line!("# sealed: allocated before boot");
    let passed = root_task::run(bootinfo, untypeds);
    print_line!("# sealed: allocates after boot");
    drop(black_box(Box::new([0u8; BYTES])));
    print_line!("# sealed: has allocated");
    root_task::end(passed)
}
