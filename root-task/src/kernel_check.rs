// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's side of the comparison with its model: boots as the server does, and instead of serving runs sequences of
//! kernel operations through the server's own [`Kernel`](kmalloc_server::kernel::Kernel) and prints what came of each.
//!
//! The package is `clients/kernel-check`; which sequences there are, `kernel-sequences` knows.
#![no_std]
#![no_main]
#![expect(
    dead_code,
    reason = "these are the server's modules, and this program needs no more of them than the kernel"
)]

extern crate alloc;

mod boot;
mod boot_heap;
#[macro_use]
mod console;
mod check;
mod cspace;
mod devices;
mod elf;
mod handover;
mod interrupts;
mod iommu;
mod kernel;
mod ports;
mod system;
mod thread;
mod timer;
mod trace;
mod untypeds;
mod windows;
mod worker;

use alloc::string::String;
use check::Check;
use kernel_sequences::{Generator, Release, encode};
use sel4_root_task::root_task;

/// Outcomes that stand in one line.
const OUTCOMES_A_LINE: usize = 100;
/// What an outcome takes at the most: a letter and sixteen digits.
const LINE_BYTES_MAX: usize = 17 * OUTCOMES_A_LINE;

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> ! {
    // Without a console there is nobody to tell.
    let _ = ports::start_console(bootinfo);
    sel4_root_task::panicking::set_hook(&|info| {
        print_line!("# {info}");
        console::leave(1)
    });
    let passed = match Check::new(bootinfo) {
        Ok(check) => run(check),
        Err(error) => {
            print_line!("# the check can't begin: {error:?}");
            false
        }
    };
    print_line!("@end passed={passed}");
    console::leave(u8::from(!passed))
}

/// Runs the sequences that the archive names: the first seed and how many, eight bytes each, lowest first.
fn run(mut check: Check) -> bool {
    let ([first, count], []) = system::archive().as_chunks() else {
        print_line!("# it was not said which sequences to run");
        return false;
    };
    let [first, count] = [*first, *count].map(u64::from_le_bytes);
    let retype_max = boot::FAN_OUT_MAX;
    print_line!("= release {} retype-max {retype_max}", RELEASE.name());
    let mut generator = Generator::new(RELEASE).with_retype_max(retype_max);
    // In whole lines: a debug kernel prints some of its own during the operations.
    let mut line = String::with_capacity(LINE_BYTES_MAX);
    for seed in first..first.saturating_add(count) {
        kernel_sequences::run(&mut generator, &mut check, seed, |step, _, outcome| {
            if step > 0 && step % OUTCOMES_A_LINE == 0 {
                print_line!("= {seed} {line}");
                line.clear();
            }
            // It takes whatever is written.
            let _ = encode(outcome, &mut line);
        });
        print_line!("= {seed} {line}.");
        line.clear();
    }
    true
}

const RELEASE: Release = match sel4_extension::KERNEL_VERSION.as_bytes() {
    [b'5', b'.', ..] => Release::Five,
    _ if sel4::sel4_cfg_bool!(KERNEL_MCS) => Release::ThirteenMcs,
    _ => Release::Thirteen,
};
