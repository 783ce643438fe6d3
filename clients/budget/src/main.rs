// SPDX-License-Identifier: BSD-2-Clause
//! Time on kernels with scheduling contexts. By its argument, this client uses up its budget (`spin`, `calls`,
//! `thread`), keeps to it (`pauses`), or is who makes that one wait (`pacemaker`).
#![no_std]
#![no_main]

mod overrun;
mod pace;
mod pauses;

kmalloc::main!(main);

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some("pauses") => pauses::run(),
        Some("pacemaker") => pace::make(),
        Some(how) => overrun::by(how),
        None => 1,
    }
}
