// SPDX-License-Identifier: BSD-2-Clause
//! A driver that dies while its device is at work, and the one that comes after it.

use crate::edu::{BUFFER_BYTES, Edu, Way};
use crate::tests::{REACHED, bytes, free};
use client_test::{Outcome, check, ok};
use kmalloc::Error;
use kmalloc::device::Device;
use kmalloc::process::sel4_task::slot;
use kmalloc::process::set_alarm;
use kmalloc::served::{self, DmaMemory, DmaOptions};
use sel4::MessageInfoBuilder;

/// What the dead driver's device is to write.
const GHOST: u8 = 0xa5;
/// Longer than the device takes to begin a transfer.
const LONG_ENOUGH_US: u64 = 300_000;

/// Fills the device, has it write to memory 100 ms later, tells the next driver, and leaves.
pub fn die() -> u8 {
    match begin() {
        Ok(dma_addr) => {
            let next = sel4::cap::Endpoint::from_bits(slot::CALLS);
            let info = MessageInfoBuilder::default().length(1).build();
            next.send_with_mrs(info, [dma_addr]);
            0
        }
        Err(error) => {
            kmalloc::println!("{error}");
            1
        }
    }
}

/// Where the device is to write.
fn begin() -> Result<u64, Error> {
    let edu = Edu::start()?;
    let mut memory = served::kmalloc_dma(BUFFER_BYTES, &REACHED)?;
    bytes(&mut memory).fill(GHOST);
    edu.transfer(memory.dma_addr, BUFFER_BYTES, Way::ToDevice)?;
    edu.begin(memory.dma_addr, BUFFER_BYTES, Way::ToMemory);
    kmalloc::println!("about to write at {:#x}", memory.dma_addr);
    Ok(memory.dma_addr)
}

/// Memory that was the dead driver's, once it can be had: then it is the highest up to its own end. What lies lower goes back.
fn inherit(dma_addr: u64) -> Result<DmaMemory, Error> {
    let options = DmaOptions {
        max_addr: dma_addr | 0xfff,
        ..REACHED
    };
    loop {
        let memory = served::kmalloc_dma(BUFFER_BYTES, &options)?;
        if memory.dma_addr == dma_addr {
            return Ok(memory);
        }
        free(memory)?;
        set_alarm(1_000)?;
        kmalloc::wait();
    }
}

/// The first words of the next message to this program.
pub fn next_message() -> [sel4::Word; 4] {
    let endpoint = sel4::cap::Endpoint::from_bits(slot::SERVES);
    let reply = sel4_extension::thread::reply_authority(sel4::CPtr::from_bits(slot::REPLY));
    endpoint.recv_with_mrs(reply).msg
}

pub fn after() -> Outcome {
    let [dma_addr, ..] = next_message();
    let mut memory = ok!(inherit(dma_addr));
    kmalloc::println!("watching {:#x} and on", memory.dma_addr);
    let due_us = ok!(set_alarm(LONG_ENOUGH_US)) + LONG_ENOUGH_US;
    while ok!(set_alarm(0)) < due_us {
        check!(bytes(&mut memory).iter().all(|byte| *byte == 0));
    }
    ok!(free(memory));
    // The device is free since nothing of its last driver is left.
    ok!(Device::open(0));
    Ok(())
}
