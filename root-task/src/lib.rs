// SPDX-License-Identifier: BSD-2-Clause
//! The memory server on seL4: boot, clients, the loop of requests. The program of this package is a root task that does
//! nothing else; one that does begins by [`begin`], takes what it keeps out of [`untypeds`], has the server [`run`], and ends
//! by [`end`]. `examples/own-root-task` is one.
//!
//! The system that it runs is the one that the host tool packs with the program. The crate brings the program's global
//! allocator: a heap for boot, which is sealed when the first client runs. After that an allocation fails.
#![no_std]
// As in `kmalloc-server`: what clients do, ends nobody but them. A panic stands only where the kernel has refused what it
// never refuses, and says so.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used
)]

extern crate alloc;

mod audit;
mod boot;
mod boot_heap;
#[macro_use]
pub mod console;
mod clients;
mod cspace;
mod devices;
mod elf;
mod handover;
mod interrupts;
mod iommu;
mod kernel;
mod names;
mod ports;
mod report;
mod serve;
mod system;
mod thread;
mod timer;
mod trace;
mod untypeds;
mod windows;
mod worker;

use alloc::vec::Vec;
use clients::Clients;
use kmalloc_manifest::System;
use system::Directory;
use trace::{Channel, Sampler};

pub use ports::slots_left;
pub use untypeds::Piece;

/// What QEMU's exit status is made of.
mod exit_code {
    /// All clients ended and the books balance.
    pub const DONE: u8 = 0;
    /// The server could not start, or its books don't balance.
    pub const FAILED: u8 = 1;
}

/// Gets the console going, and has panics printed on it. It takes the first empty slots of the kernel's CNode.
pub fn begin(bootinfo: &sel4::BootInfoPtr) {
    // Without a console there is nobody to tell.
    let _ = ports::start_console(bootinfo);
    sel4_root_task::panicking::set_hook(&|info| {
        print_line!("# {info}");
        console::leave(exit_code::FAILED)
    });
}

/// The untypeds of RAM that the kernel gave, whole: what [`run`] is to have.
pub fn untypeds(bootinfo: &sel4::BootInfoPtr) -> Vec<Piece> {
    boot::untyped_pieces(bootinfo)
}

/// Prints the end sentinel and leaves QEMU.
pub fn end(passed: bool) -> ! {
    print_line!("@end passed={passed}");
    console::leave(if passed {
        exit_code::DONE
    } else {
        exit_code::FAILED
    })
}

/// The kernel's variant, by the two options that people choose it by.
fn variant() -> &'static str {
    match (
        sel4::sel4_cfg_bool!(KERNEL_MCS),
        sel4::sel4_cfg_bool!(DEBUG_BUILD),
    ) {
        (false, false) => "release",
        (false, true) => "debug",
        (true, false) => "mcs-release",
        (true, true) => "mcs-debug",
    }
}

/// The record that the server is up.
fn print_boot(booted: &boot::Booted) {
    let version = sel4_extension::KERNEL_VERSION;
    let variant = variant();
    let (total, count) = (booted.total_bytes, booted.untyped_count);
    print_line!("@boot kernel={version} variant={variant} memory={total} untypeds={count}");
}

/// Begins to trace, if there is a channel.
fn begin_trace(
    booted: &mut boot::Booted,
    channel: Option<Channel>,
    server_bytes: u64,
) -> Result<Option<Sampler>, sel4::Error> {
    let Some(channel) = channel else {
        return Ok(None);
    };
    booted.server.kernel_mut().channel = Some(channel);
    booted.server.trace();
    Sampler::begin(&mut booted.server, booted.total_bytes, server_bytes).map(Some)
}

/// Whether any client may have a device.
fn wants_devices(system: &System) -> bool {
    let has_devices = |client: kmalloc_manifest::Client| client.devices.iter().next().is_some();
    system.clients().any(has_devices)
}

/// Boots, serves until the last client has ended, and closes the books; whether all went well. `untypeds` are the server's
/// from here on, together with all empty slots of the root task's CNode but [`slots_left`]. The calling thread's CSpace becomes
/// a larger CNode; what was known at boot, and what is in the slots left, keeps its address.
pub fn run(bootinfo: &sel4::BootInfoPtr, untypeds: Vec<Piece>) -> bool {
    let system = match System::decode(system::archive()) {
        Ok(system) => system,
        Err(error) => {
            print_line!("# the system archive can't be read: {error}");
            return false;
        }
    };
    let channel = system.settings().trace.then(|| Channel::open(bootinfo));
    let mut booted = match boot::boot(bootinfo, untypeds) {
        Ok(booted) => booted,
        Err(error) => {
            print_line!("# boot failed: {error:?}");
            return false;
        }
    };
    print_boot(&booted);
    if let Some(mark) = system.settings().pressure_mark_bytes {
        booted.server.set_pressure_mark(mark);
    }
    if wants_devices(&system)
        && let Err(refused) = booted.server.find_functions()
    {
        let code = refused.code;
        print_line!("# devices can't be looked for: the kernel refused with error {code}");
        return false;
    }
    let server_bytes = booted.total_bytes - booted.server.books().total;
    let channel = channel.transpose();
    let sampler = match channel.and_then(|channel| begin_trace(&mut booted, channel, server_bytes))
    {
        Ok(sampler) => sampler,
        Err(error) => {
            print_line!("# nothing can be traced: {error}");
            return false;
        }
    };
    let mut clients = Clients::new(Directory::new(&system));
    if !clients.start_all(&mut booted.server) {
        return false;
    }
    boot_heap::seal();
    // Equal priorities are what the kernel's fast path asks for; until here no client could run.
    let own = sel4::init_thread::slot::TCB.cap();
    if let Err(error) = own.tcb_set_priority(own, kmalloc_manifest::PRIORITY_DEFAULT.into()) {
        print_line!("# the server can't have the clients' priority: {error}");
        return false;
    }
    let pieces = core::mem::take(&mut booted.pieces);
    let mut server = serve::Desk::new(booted, clients, sampler).serve();
    if let Err(refused) = server.kernel_mut().stop_workers() {
        print_line!("# the workers can't be stopped: {refused:?}");
        return false;
    }
    let books = server.books();
    report::books(books, server_bytes);
    let (mut kernel, physical) = server.dissolve();
    let whole = audit::count_whole(&mut kernel, &physical, &pieces);
    print_line!("# {whole} of {} untypeds are whole again", pieces.len());
    books.balance() && whole == pieces.len()
}
