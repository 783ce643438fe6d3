// SPDX-License-Identifier: BSD-2-Clause
//! The memory server: seL4's root task.
#![no_std]
#![no_main]

extern crate alloc;

mod audit;
mod boot;
mod boot_heap;
#[macro_use]
mod console;
mod clients;
mod cspace;
mod devices;
mod elf;
mod handover;
mod interrupts;
mod kernel;
mod names;
mod ports;
mod report;
mod serve;
mod system;
mod thread;
mod timer;
mod untypeds;
mod windows;
mod worker;

use clients::Clients;
use kmalloc_manifest::System;
use sel4_root_task::root_task;
use system::Directory;

/// What QEMU's exit status is made of.
mod exit_code {
    /// All clients ended and the books balance.
    pub const DONE: u8 = 0;
    /// The server could not start, or its books don't balance.
    pub const FAILED: u8 = 1;
}

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> ! {
    // Without a console there is nobody to tell.
    let _ = ports::start_console(bootinfo);
    sel4_root_task::panicking::set_hook(&|info| {
        print_line!("# {info}");
        console::leave(exit_code::FAILED)
    });
    let passed = run(bootinfo);
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

/// Boots, serves, and closes the books; whether all went well.
fn run(bootinfo: &sel4::BootInfoPtr) -> bool {
    let system = match System::decode(system::archive()) {
        Ok(system) => system,
        Err(error) => {
            print_line!("# the system archive can't be read: {error}");
            return false;
        }
    };
    let mut booted = match boot::boot(bootinfo) {
        Ok(booted) => booted,
        Err(error) => {
            print_line!("# boot failed: {error:?}");
            return false;
        }
    };
    let version = sel4_extension::KERNEL_VERSION;
    let variant = variant();
    let (total, untypeds) = (booted.total_bytes, booted.untyped_count);
    print_line!("@boot kernel={version} variant={variant} memory={total} untypeds={untypeds}");
    if let Some(mark) = system.settings().pressure_mark_bytes {
        booted.server.set_pressure_mark(mark);
    }
    if system
        .clients()
        .any(|client| client.devices.iter().next().is_some())
        && let Err(refused) = booted.server.find_functions()
    {
        let code = refused.code;
        print_line!("# devices can't be looked for: the kernel refused with error {code}");
        return false;
    }
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
    let server_bytes = total - booted.server.books().total;
    let pieces = core::mem::take(&mut booted.pieces);
    let mut server = serve::Desk::new(booted, clients).serve();
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
