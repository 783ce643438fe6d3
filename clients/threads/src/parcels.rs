// SPDX-License-Identifier: BSD-2-Clause
//! Blocks and collections on their way around: each member frees what the one before it allocated.

use crate::HEAP;
use crate::team::{self, Lock, MEMBERS};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use client_test::{Outcome, check, check_eq, ok};
use core::sync::atomic::{AtomicUsize, Ordering};
use kmalloc::{Flags, served};

const PARCELS: usize = 1500;
/// Parcels on their way to one member, beyond which its neighbour waits.
const IN_FLIGHT_MAX: usize = 64;

/// What one member allocates and another one frees.
struct Parcel {
    number: usize,
    bytes: Vec<u8>,
    boxed: Box<[u64; 9]>,
    names: BTreeMap<usize, String>,
}

static MAIL: [Lock<VecDeque<Parcel>>; MEMBERS] = [const { Lock::new(VecDeque::new()) }; MEMBERS];
static SENT: AtomicUsize = AtomicUsize::new(0);
static RECEIVED: AtomicUsize = AtomicUsize::new(0);
static INTACT: AtomicUsize = AtomicUsize::new(0);
static BYTES_SENT: AtomicUsize = AtomicUsize::new(0);
static BYTES_RECEIVED: AtomicUsize = AtomicUsize::new(0);
static SERVED: AtomicUsize = AtomicUsize::new(0);

/// Small blocks mostly, some runs of pages, now and then a large block.
fn size_of_parcel(member: usize, number: usize) -> usize {
    let random = (number * MEMBERS + member).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    match number % 100 {
        99 => 600 << 10,
        90.. => 20_000 + random % 50_000,
        _ => 1 + random % 2000,
    }
}

fn pattern(member: usize, number: usize, offset: usize) -> u8 {
    (member * 97 + number * 31 + offset * 7) as u8
}

fn pack(member: usize, number: usize) -> Parcel {
    let size = size_of_parcel(member, number);
    let names = 0..number % 12;
    Parcel {
        number,
        bytes: (0..size)
            .map(|offset| pattern(member, number, offset))
            .collect(),
        boxed: Box::new([(member << 32 | number) as u64; 9]),
        names: names
            .map(|name| (name, format!("{member} {number} {name}")))
            .collect(),
    }
}

fn is_intact(parcel: &Parcel, member: usize) -> bool {
    let number = parcel.number;
    let mut bytes = parcel.bytes.iter().enumerate();
    parcel.bytes.len() == size_of_parcel(member, number)
        && bytes.all(|(offset, byte)| *byte == pattern(member, number, offset))
        && *parcel.boxed == [(member << 32 | number) as u64; 9]
        && parcel.names.len() == number % 12
        && parcel
            .names
            .iter()
            .all(|(name, text)| *text == format!("{member} {number} {name}"))
}

/// Takes the next parcel from the neighbour, checks it and frees it.
fn receive(member: usize) -> bool {
    let Some(parcel) = MAIL[member].lock().pop_front() else {
        return false;
    };
    BYTES_RECEIVED.fetch_add(parcel.bytes.len(), Ordering::Relaxed);
    let from = (member + MEMBERS - 1) % MEMBERS;
    INTACT.fetch_add(usize::from(is_intact(&parcel, from)), Ordering::Relaxed);
    RECEIVED.fetch_add(1, Ordering::Release);
    true
}

/// A served block of this thread's own, between the calls of the others.
fn serve(member: usize) -> Result<(), kmalloc::Error> {
    let block = served::kmalloc(256, Flags::ZERO)?;
    // SAFETY: the block is this thread's, has 256 bytes, all zero at first, and is freed once.
    unsafe {
        let bytes = core::slice::from_raw_parts_mut(block.as_ptr(), 256);
        let zero = bytes.iter().all(|byte| *byte == 0);
        bytes.fill(member as u8);
        sel4::r#yield();
        let kept = bytes.iter().all(|byte| *byte == member as u8);
        SERVED.fetch_add(usize::from(zero && kept), Ordering::Relaxed);
        served::kfree(block.as_ptr())
    }
}

fn work(member: usize) {
    let next = &MAIL[(member + 1) % MEMBERS];
    for number in 0..PARCELS {
        let parcel = pack(member, number);
        BYTES_SENT.fetch_add(parcel.bytes.len(), Ordering::Relaxed);
        while next.lock().len() >= IN_FLIGHT_MAX {
            if !receive(member) {
                sel4::r#yield();
            }
        }
        next.lock().push_back(parcel);
        SENT.fetch_add(1, Ordering::Relaxed);
        if number % 3 != 0 {
            receive(member);
        }
        if number % 50 == 0 && serve(member).is_err() {
            return;
        }
    }
    while RECEIVED.load(Ordering::Acquire) < MEMBERS * PARCELS {
        if !receive(member) {
            sel4::r#yield();
        }
    }
}

pub fn passed_around() -> Outcome {
    team::run(work)?;
    check_eq!(SENT.load(Ordering::Relaxed), MEMBERS * PARCELS);
    check_eq!(RECEIVED.load(Ordering::Relaxed), MEMBERS * PARCELS);
    check_eq!(INTACT.load(Ordering::Relaxed), MEMBERS * PARCELS);
    check_eq!(
        BYTES_RECEIVED.load(Ordering::Relaxed),
        BYTES_SENT.load(Ordering::Relaxed)
    );
    check_eq!(SERVED.load(Ordering::Relaxed), MEMBERS * PARCELS / 50);
    let expected: usize = (0..MEMBERS)
        .flat_map(|member| (0..PARCELS).map(move |number| size_of_parcel(member, number)))
        .sum();
    check_eq!(BYTES_SENT.load(Ordering::Relaxed), expected);
    Ok(())
}

static AUDITED: AtomicUsize = AtomicUsize::new(0);

/// Each thread's books, then memory: what the members leave behind goes back.
pub fn books_agree() -> Outcome {
    for mail in &MAIL {
        *mail.lock() = VecDeque::new();
    }
    team::run(|_| {
        AUDITED.fetch_add(usize::from(HEAP.audit().is_ok()), Ordering::Relaxed);
    })?;
    check_eq!(AUDITED.load(Ordering::Relaxed), MEMBERS);
    let before = ok!(served::stats());
    team::dismiss()?;
    HEAP.trim();
    ok!(HEAP.audit());
    let after = ok!(served::stats());
    kmalloc::println!(
        "# regions: {} bytes, {} after the threads left",
        before.region_bytes,
        after.region_bytes
    );
    // Stacks, a header for each segment, and the parts that the next threads will take.
    check!(after.region_bytes <= 1 << 20);
    check!(after.region_bytes < before.region_bytes);
    Ok(())
}
