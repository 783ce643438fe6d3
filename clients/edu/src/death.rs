// SPDX-License-Identifier: BSD-2-Clause
//! A driver that dies while its device is at work, and the one that comes after it.

use crate::edu::{BUFFER_BYTES, Edu, Way};
use crate::tests::{REACHED, bytes, free};
use client_test::{Outcome, check, ok};
use kmalloc::device::Device;
use kmalloc::process::sel4_task::slot;
use kmalloc::process::set_alarm;
use kmalloc::{Error, served};
use sel4::MessageInfoBuilder;

/// What the dead driver's device is to write.
const GHOST: u8 = 0xa5;
/// Longer than the device takes to begin a transfer.
const LONG_ENOUGH_US: u64 = 300_000;

/// Fills the device, has it write to memory 100 ms later, tells the next driver, and leaves.
pub fn die() -> u8 {
    match begin() {
        Ok(()) => {
            let next = sel4::cap::Endpoint::from_bits(slot::CALLS);
            next.send(MessageInfoBuilder::default().build());
            0
        }
        Err(error) => {
            kmalloc::println!("{error}");
            1
        }
    }
}

fn begin() -> Result<(), Error> {
    let edu = Edu::start()?;
    let mut memory = served::kmalloc_dma(BUFFER_BYTES, &REACHED)?;
    bytes(&mut memory).fill(GHOST);
    edu.transfer(memory.dma_addr, BUFFER_BYTES, Way::ToDevice)?;
    edu.begin(memory.dma_addr, BUFFER_BYTES, Way::ToMemory);
    kmalloc::println!("about to write at {:#x}", memory.dma_addr);
    Ok(())
}

pub fn after() -> Outcome {
    let endpoint = sel4::cap::Endpoint::from_bits(slot::SERVES);
    let authority = || sel4_extension::thread::reply_authority(sel4::CPtr::from_bits(slot::REPLY));
    endpoint.recv_with_mrs(authority());
    // It is busy until nothing of the dead driver is left.
    let mut device = Device::open(0);
    while matches!(device, Err(Error::DeviceBusy { .. })) {
        ok!(set_alarm(1_000));
        kmalloc::wait();
        device = Device::open(0);
    }
    ok!(device);
    let mut memory = ok!(served::kmalloc_dma(64 * 4096, &REACHED));
    kmalloc::println!("watching {:#x} and on", memory.dma_addr);
    let due_us = ok!(set_alarm(LONG_ENOUGH_US)) + LONG_ENOUGH_US;
    while ok!(set_alarm(0)) < due_us {
        check!(bytes(&mut memory).iter().all(|byte| *byte == 0));
    }
    ok!(free(memory));
    Ok(())
}
