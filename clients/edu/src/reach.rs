// SPDX-License-Identifier: BSD-2-Clause
//! A driver whose device is behind an IOMMU, and that has it reach for what is not its own: memory that a dead driver of the
//! same device had and another program has now, the kernel's, what it gave back itself. And that other program, which knows
//! each of its bytes.

use crate::death::next_message;
use crate::edu::{ADDRESS_MAX, BUFFER_BYTES, Edu, Way};
use crate::tests::{REACHED, bytes, free, round_trip};
use client_test::{Outcome, check, check_eq, ok};
use kmalloc::Error;
use kmalloc::process::sel4_task::slot;
use kmalloc::process::set_alarm;
use kmalloc::served::{self, DmaMemory, DmaOptions};
use sel4::{CPtr, MessageInfo, MessageInfoBuilder, Word};
use sel4_extension::reply_recv_with_mrs;
use sel4_extension::thread::reply_authority;

/// What the witness's bytes are, and what the device is to write over them.
const KEPT: u8 = 0x3c;
const THROWN: u8 = 0xa5;
/// Where the kernel is.
const KERNEL: u64 = 0x10_0000;
const PAGE: usize = 4096;
/// What the witness has besides the dead driver's page.
const MORE_PAGES: usize = 16;
/// What the witness is told at last, and doesn't answer.
const END: u64 = u64::MAX;

fn info() -> MessageInfo {
    MessageInfoBuilder::default().length(2).build()
}

/// What the witness says to an address: where it has memory besides that page, or, to 0, how many bytes of both have changed.
fn ask_witness(dma_addr: u64) -> [Word; 2] {
    let witness = sel4::cap::Endpoint::from_bits(slot::CALLS);
    let [first, second, ..] = witness.call_with_mrs(info(), [dma_addr, 0]).msg;
    [first, second]
}

/// Keeps memory that a dead driver had; the status to end with.
pub fn witness() -> u8 {
    match serve() {
        Ok(()) => 0,
        Err(error) => {
            kmalloc::println!("{error}");
            1
        }
    }
}

/// The page that a dead driver had, once it is there, as the highest one up to there.
fn inherit(dma_addr: u64) -> Result<DmaMemory, Error> {
    let options = DmaOptions {
        max_addr: dma_addr + PAGE as u64 - 1,
        ..REACHED
    };
    loop {
        let memory = served::kmalloc_dma(PAGE, &options)?;
        if memory.dma_addr == dma_addr {
            return Ok(memory);
        }
        free(memory)?;
        set_alarm(1_000)?;
        kmalloc::wait();
    }
}

/// Takes memory that a dead driver had and some more, fills it, and counts whenever it is asked what has changed.
fn serve() -> Result<(), Error> {
    let endpoint = sel4::cap::Endpoint::from_bits(slot::SERVES);
    let authority = || reply_authority(CPtr::from_bits(slot::REPLY));
    let [dma_addr, ..] = next_message();
    let mut kept = [
        inherit(dma_addr)?,
        served::kmalloc_dma(MORE_PAGES * PAGE, &REACHED)?,
    ];
    for memory in &mut kept {
        bytes(memory).fill(KEPT);
    }
    let mut answer = [kept[1].dma_addr, kept[1].size as u64];
    while reply_recv_with_mrs(endpoint, info(), answer, authority()).msg[0] != END {
        let all = kept.iter_mut().flat_map(bytes);
        let changed = all.filter(|byte| **byte != KEPT).count();
        answer = [changed as u64, 0];
        kmalloc::println!("{changed} bytes have changed");
    }
    Ok(())
}

/// The device, once nothing of its dead driver is left.
fn start() -> Result<Edu, Error> {
    loop {
        match Edu::start() {
            Err(Error::DeviceBusy { .. }) => {
                set_alarm(1_000)?;
                kmalloc::wait();
            }
            other => return other,
        }
    }
}

pub fn others_memory() -> Outcome {
    let [dma_addr, ..] = next_message();
    let [start_addr, size] = ask_witness(dma_addr);
    let edu = ok!(start());
    let mut own = ok!(served::kmalloc_dma(BUFFER_BYTES, &REACHED));
    bytes(&mut own).fill(THROWN);
    ok!(edu.transfer(own.dma_addr, BUFFER_BYTES, Way::ToDevice));
    // Where the dead driver's device did reach, and at both ends of what another has besides.
    let last = start_addr + size - BUFFER_BYTES as u64;
    for target in [dma_addr, start_addr, last] {
        ok!(edu.transfer(target, BUFFER_BYTES, Way::ToMemory));
        check_eq!(ask_witness(0), [0, 0]);
    }
    // What is read comes from nowhere.
    ok!(edu.transfer(start_addr, BUFFER_BYTES, Way::ToDevice));
    ok!(edu.transfer(own.dma_addr, BUFFER_BYTES, Way::ToMemory));
    check!(!bytes(&mut own)[..BUFFER_BYTES].contains(&KEPT));
    ok!(free(own));
    Ok(())
}

pub fn kernel_s_memory() -> Outcome {
    let edu = ok!(Edu::start());
    let mut own = ok!(served::kmalloc_dma(BUFFER_BYTES, &REACHED));
    bytes(&mut own).fill(THROWN);
    ok!(edu.transfer(own.dma_addr, BUFFER_BYTES, Way::ToDevice));
    let highest = ADDRESS_MAX + 1 - PAGE as u64;
    for target in [0, KERNEL, KERNEL + PAGE as u64, 2 * KERNEL, highest] {
        if target != own.dma_addr {
            ok!(edu.transfer(target, BUFFER_BYTES, Way::ToMemory));
        }
    }
    check_eq!(ask_witness(0), [0, 0]);
    ok!(free(own));
    Ok(())
}

/// A transfer that runs over the end of the driver's memory ends there.
pub fn the_end_of_a_buffer() -> Outcome {
    let edu = ok!(Edu::start());
    let mut own = ok!(served::kmalloc_dma(BUFFER_BYTES, &REACHED));
    bytes(&mut own).fill(THROWN);
    ok!(edu.transfer(own.dma_addr, BUFFER_BYTES, Way::ToDevice));
    bytes(&mut own).fill(0);
    let half = PAGE / 2;
    let target = own.dma_addr + half as u64;
    ok!(edu.transfer(target, BUFFER_BYTES, Way::ToMemory));
    for (place, byte) in bytes(&mut own).iter().enumerate() {
        let expected = if place < half { 0 } else { THROWN };
        check_eq!((place, *byte), (place, expected));
    }
    check_eq!(ask_witness(0), [0, 0]);
    ok!(free(own));
    Ok(())
}

/// What was given back is out of reach at once: its bytes are not read any more.
pub fn memory_given_back() -> Outcome {
    let edu = ok!(Edu::start());
    let mut own = ok!(served::kmalloc_dma(BUFFER_BYTES, &REACHED));
    let mut given = ok!(served::kmalloc_dma(BUFFER_BYTES, &REACHED));
    bytes(&mut given).fill(THROWN);
    let target = given.dma_addr;
    ok!(edu.transfer(target, BUFFER_BYTES, Way::ToDevice));
    ok!(edu.transfer(own.dma_addr, BUFFER_BYTES, Way::ToMemory));
    check!(
        bytes(&mut own)[..BUFFER_BYTES]
            .iter()
            .all(|byte| *byte == THROWN)
    );
    ok!(free(given));
    ok!(edu.transfer(target, BUFFER_BYTES, Way::ToDevice));
    ok!(edu.transfer(own.dma_addr, BUFFER_BYTES, Way::ToMemory));
    check!(!bytes(&mut own)[..BUFFER_BYTES].contains(&THROWN));
    ok!(free(own));
    Ok(())
}

/// After all that the device still does what it is there for.
pub fn own_memory() -> Outcome {
    let outcome = round_trip();
    let witness = sel4::cap::Endpoint::from_bits(slot::CALLS);
    witness.send_with_mrs(info(), [END, 0]);
    outcome
}
