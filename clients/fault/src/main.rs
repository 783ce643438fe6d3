// SPDX-License-Identifier: BSD-2-Clause
//! Faults in the way that its argument names, holding memory that the server has to take back.
#![no_std]
#![no_main]

use core::arch::asm;
use kmalloc::{Flags, println, served};

kmalloc::main!(main);

/// An address that is never mapped.
const UNMAPPED: usize = 0x7000_0000_0000;

fn main() -> Result<(), &'static str> {
    served::kmalloc(100_000, Flags::ZERO).map_err(|_| "no memory to hold")?;
    let how = kmalloc::arguments()
        .next()
        .ok_or("an argument names the fault")?;
    println!("will fault: {how}");
    match how {
        // SAFETY: not an access but a fault: nothing is mapped at any of these addresses.
        "read" => {
            unsafe { core::ptr::without_provenance::<u8>(UNMAPPED).read_volatile() }.into_result()
        }
        // SAFETY: as above.
        "write" => unsafe { core::ptr::without_provenance_mut::<u8>(UNMAPPED).write_volatile(1) }
            .into_result(),
        // SAFETY: nothing is mapped there, so nothing is executed.
        "execute" => unsafe { asm!("jmp {}", in(reg) UNMAPPED, options(noreturn)) },
        // SAFETY: what another client has at this address is not mapped here.
        "peek" => {
            unsafe { core::ptr::without_provenance::<u8>(served_by_others()?).read_volatile() }
                .into_result()
        }
        // SAFETY: the program is mapped read-only, so nothing is changed.
        "text" => unsafe { (main as *const () as *mut u8).write_volatile(0) }.into_result(),
        // SAFETY: an exception, which ends the program.
        "divide" => unsafe { asm!("xor edx, edx", "xor ecx, ecx", "div ecx", options(noreturn)) },
        // SAFETY: no kernel has this system call, so the kernel reports it.
        "syscall" => unsafe { asm!("mov rdx, 1000", "syscall", "ud2", options(noreturn)) },
        "capability" => {
            // A call on an empty slot: the kernel reports the capability.
            sel4::cap::Endpoint::from_bits(63).call(sel4::MessageInfoBuilder::default().build());
            Err("an empty slot answered")
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

/// The page of the served window that the first client of a system got first.
fn served_by_others() -> Result<usize, &'static str> {
    let own = served::kmalloc(16, Flags::empty())
        .map_err(|_| "no memory")?
        .addr()
        .get();
    let first = kmalloc::Window::Served.base();
    if own >> 21 == first >> 21 {
        Err("the first segment is this client's own")
    } else {
        Ok(first)
    }
}

#[allow(unconditional_recursion, reason = "it ends at the guard below the stack")]
fn overflow(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 64]);
    overflow(room[0] + 1) + room[63]
}

/// An access that should have faulted.
trait IntoResult {
    fn into_result(self) -> Result<(), &'static str>;
}

impl<T> IntoResult for T {
    fn into_result(self) -> Result<(), &'static str> {
        Err("the access did not fault")
    }
}
