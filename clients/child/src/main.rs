// SPDX-License-Identifier: BSD-2-Clause
//! What other programs start: it lives and ends in the way that its arguments say.
#![no_std]
#![no_main]

use kmalloc::child::Child;
use kmalloc::process::exit;
use kmalloc::{Error, Flags, served};

kmalloc::main!(main);

/// An address where nothing is mapped.
const NOWHERE: usize = 0x7000_0000;
/// Bytes of the blocks that `churn` takes and gives back.
const CHURN_BYTES: usize = 24;
/// Bytes of those that `gorge` does: pages of their own, that are mapped and unmapped each time.
const GORGE_BYTES: usize = 64 << 10;
/// Bytes that `hold` keeps, of every kind.
const HELD_BYTES: usize = 20_000;

fn main() -> Result<u8, Error> {
    let mut arguments = kmalloc::arguments();
    match arguments.next() {
        Some("exit") => {
            let status = arguments.next().and_then(|text| text.parse().ok());
            exit(status.unwrap_or(99))
        }
        // Says when it ran, by the processor's own clock.
        // SAFETY: every x86_64 processor has a time-stamp counter, and seL4 lets programs read it.
        Some("clock") => exit(unsafe { core::arch::x86_64::_rdtsc() } as u32),
        Some("panic") => panic!("because it was told to"),
        Some("read") => {
            // SAFETY: it is not safe, and what this program is for: the read faults.
            let _ = unsafe { core::ptr::with_exposed_provenance::<u8>(NOWHERE).read_volatile() };
        }
        Some("undefined") => {
            // SAFETY: the instruction raises an exception, and ends the program.
            unsafe { core::arch::asm!("ud2") };
        }
        Some("spin") => loop {
            core::hint::spin_loop();
        },
        Some("wait") => loop {
            kmalloc::wait();
        },
        Some("churn") => loop {
            let block = served::kmalloc(CHURN_BYTES, Flags::empty())?;
            // SAFETY: it is this program's, and nobody uses it.
            unsafe { served::kfree(block.as_ptr())? };
        },
        Some("gorge") => loop {
            let block = served::kmalloc(GORGE_BYTES, Flags::empty())?;
            // SAFETY: it is this program's, and nobody uses it.
            unsafe { served::kfree(block.as_ptr())? };
        },
        // Takes memory of every kind, and keeps it to the end.
        Some("hold") => {
            served::kmalloc(64, Flags::empty())?;
            served::kmalloc(HELD_BYTES, Flags::empty())?;
            served::kmalloc_dma(HELD_BYTES, &served::DmaOptions::default())?;
            loop {
                kmalloc::wait();
            }
        }
        // A tree: two children that each do the same one level deeper, all of them waiting in the end.
        Some("tree") => {
            let depth: u32 = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(0);
            if let Some(deeper) = depth.checked_sub(1) {
                let digit = [b'0' + deeper as u8 % 10];
                let deeper = core::str::from_utf8(&digit).unwrap_or("0");
                let share = served::stats()?.limit / 4;
                for _ in 0..2 {
                    Child::start("child", &["tree", deeper], Some(share))?;
                }
            }
            loop {
                kmalloc::wait();
            }
        }
        _ => {}
    }
    Ok(0)
}
