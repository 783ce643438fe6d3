// SPDX-License-Identifier: BSD-2-Clause
//! Faults in the way that its argument names, holding memory that the server has to take back.
#![no_std]
#![no_main]

use core::arch::asm;
use kmalloc::{Flags, println, served};

kmalloc::main!(main);

/// An address that is never mapped. Below 4 GiB: release 5.0.0 reports only the low 32 bits of an address.
const UNMAPPED: usize = 0x7000_0000;
/// An address outside the client's CSpace.
const NO_SLOT: sel4::CPtrBits = 0x10_0000;

fn main() -> Result<(), &'static str> {
    served::kmalloc(100_000, Flags::ZERO).map_err(|_| "no memory to hold")?;
    let how = kmalloc::arguments()
        .next()
        .ok_or("an argument names the fault")?;
    println!("will fault: {how}");
    match how {
        "read" => read(UNMAPPED),
        "write" => write(UNMAPPED),
        // SAFETY: nothing is mapped there, so nothing is executed.
        "execute" => unsafe { asm!("jmp {}", in(reg) UNMAPPED, options(noreturn)) },
        "peek" => read(served_by_others()?),
        // The program is mapped read-only.
        "text" => write(main as *const () as usize),
        // SAFETY: an exception, which ends the program.
        "divide" => unsafe { asm!("xor edx, edx", "xor ecx, ecx", "div ecx", options(noreturn)) },
        // SAFETY: no kernel has this system call, so the kernel reports it.
        "syscall" => unsafe { asm!("mov rdx, 1000", "syscall", "ud2", options(noreturn)) },
        "capability" => {
            // A call on what no slot is for: the kernel reports the capability.
            sel4::cap::Endpoint::from_bits(NO_SLOT)
                .call(sel4::MessageInfoBuilder::default().build());
            Err("no slot, and an answer")
        }
        "panic" => panic!("as asked"),
        "stack" => Err(if overflow(1) == 0 {
            "impossible"
        } else {
            "the stack has no end"
        }),
        _ => Err("no such fault"),
    }
}

/// An address at which another client has memory: the server says so when asked to free it.
fn served_by_others() -> Result<usize, &'static str> {
    let first = kmalloc::Window::Served.base();
    for _ in 0..1000 {
        for segment in 0..16 {
            let address = first + segment * (2 << 20);
            // SAFETY: the server refuses what is not this client's.
            let refused = unsafe { served::kfree(core::ptr::without_provenance_mut(address)) };
            if matches!(refused, Err(kmalloc::Error::NotOwner { .. })) {
                println!("{address:#x} is another client's");
                return Ok(address);
            }
        }
        sel4::r#yield();
    }
    Err("no other client has memory")
}

#[allow(
    unconditional_recursion,
    reason = "it ends at the guard below the stack"
)]
fn overflow(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 64]);
    overflow(room[0] + 1) + room[63]
}

/// Reads where this client has nothing.
fn read(address: usize) -> Result<(), &'static str> {
    // SAFETY: not a read but a fault: nothing is mapped there.
    unsafe { core::ptr::without_provenance::<u8>(address).read_volatile() };
    Err("the read did not fault")
}

/// Writes where this client may not.
fn write(address: usize) -> Result<(), &'static str> {
    // SAFETY: not a write but a fault: nothing is mapped there, or not to be written.
    unsafe { core::ptr::without_provenance_mut::<u8>(address).write_volatile(0) };
    Err("the write did not fault")
}
