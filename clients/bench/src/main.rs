// SPDX-License-Identifier: BSD-2-Clause
//! Counts what calls cost. Under `--icount` the time-stamp counter counts instructions, so figures are exact and
//! repeat to the byte; without it they mean nothing. The arguments say what is counted.
#![no_std]
#![no_main]

extern crate alloc;

mod calls;
mod family;
mod hostile;
mod measure;
mod peers;
mod random;
mod scale;
mod supply;
mod workloads;

use kmalloc::Error;

kmalloc::main!(main);
kmalloc::global_allocator!(HEAP);

fn main() -> Result<(), Error> {
    let mut arguments = kmalloc::arguments();
    match (arguments.next(), arguments.next()) {
        (Some("calls"), None) => calls::run(),
        (Some("supply"), None) => supply::run(),
        (Some("rested"), None) => supply::run_rested(),
        (Some("hostile"), None) => hostile::run(),
        (Some("family"), None) => family::run(),
        (Some("heap"), None) => peers::run(),
        (Some("ramp"), None) => scale::ramp(),
        (Some("live"), None) => scale::live(),
        (Some("clients"), Some(count)) => scale::clients(count),
        other => panic!("nothing is counted under {other:?}"),
    }
}
