// SPDX-License-Identifier: BSD-2-Clause
//! The memory server as root task, and nothing besides.
#![no_std]
#![no_main]

use sel4_root_task::root_task;

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> ! {
    root_task::begin(bootinfo);
    let untypeds = root_task::untypeds(bootinfo);
    let passed = root_task::run(bootinfo, untypeds);
    root_task::end(passed)
}
