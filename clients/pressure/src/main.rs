// SPDX-License-Identifier: BSD-2-Clause
//! Memory that runs short: who watches is told, gives back what it can spare, and who waits gets it or hears that its time
//! is over.
//!
//! With the argument `hoard` it is the one that has too much: it keeps a heap full of free blocks until memory is short.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use client_test::{Outcome, Test, check, check_eq, ok};
use core::ptr::NonNull;
use kmalloc::child::Child;
use kmalloc::event::{events, wait_for, wait_for_memory, watch};
use kmalloc::process::set_alarm;
use kmalloc::{Cause, Error, Events, Flags, Heap, ServerSource, SingleThread, served};

#[global_allocator]
static HEAP: Heap<ServerSource, SingleThread> =
    // SAFETY: nothing in this program starts a thread, so no two calls of the heap overlap.
    unsafe { Heap::single_threaded(ServerSource::new()) };

kmalloc::main!(main);

const TESTS: &[Test] = &[
    ("who_watches_is_told_when_memory_runs_short", told),
    (
        "who_watches_while_memory_is_short_is_told_at_once",
        told_at_once,
    ),
    ("who_does_not_watch_is_not_told", not_told),
    ("only_pressure_has_to_be_asked_for", unknown_events),
    ("waiting_for_memory_that_is_there_ends_at_once", is_there),
    ("waiting_for_memory_ends_when_the_time_is_over", time_over),
    ("waiting_for_more_than_the_quota_is_refused", beyond_quota),
    (
        "a_hoard_goes_back_when_memory_runs_short_and_who_waits_gets_it",
        hoard_goes_back,
    ),
];

const MIB: u64 = 1 << 20;
/// Memory that is short when less is free, as the manifest says; the machine has a good 480 MiB.
const MARK: u64 = 200 * MIB;
/// Bytes that make memory short, and bytes that don't.
const MUCH: usize = 320 << 20;
const LITTLE: usize = 100 << 20;
/// Microseconds in which all memory is clean again, with time to spare.
const CLEANING_US: u64 = 10_000_000;
/// What the hoarder keeps, in blocks that its heap takes whole segments for.
const HOARD_BYTES: usize = 160 << 20;
const HOARD_BLOCK_BYTES: usize = 64 << 10;

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some("hoard") => u8::from(hoard().is_err()),
        _ => client_test::run(TESTS),
    }
}

fn take(size: usize) -> Result<NonNull<u8>, Error> {
    served::kmalloc(size, Flags::empty())
}

fn give(block: NonNull<u8>) -> Result<(), Error> {
    // SAFETY: the tests give back what they took, and use it no more.
    unsafe { served::kfree(block.as_ptr()) }
}

/// Sleeps, so that the server has time to tell what there is to tell.
fn sleep() -> Result<(), Error> {
    set_alarm(10_000)?;
    wait_for(Events::ALARM).map(drop)
}

fn told() -> Outcome {
    ok!(watch(Events::PRESSURE));
    let little = ok!(take(LITTLE));
    ok!(sleep());
    check!(!ok!(events()).contains(Events::PRESSURE));
    let much = ok!(take(MUCH - LITTLE));
    check_eq!(ok!(wait_for(Events::PRESSURE)), Events::PRESSURE);
    // Once, as long as memory stays short.
    let more = ok!(take(4096));
    ok!(sleep());
    check!(!ok!(events()).contains(Events::PRESSURE));
    for block in [more, much, little] {
        ok!(give(block));
    }
    // And again, when it becomes short again.
    let much = ok!(take(MUCH));
    check_eq!(ok!(wait_for(Events::PRESSURE)), Events::PRESSURE);
    ok!(give(much));
    ok!(watch(Events::empty()));
    Ok(())
}

fn told_at_once() -> Outcome {
    let much = ok!(take(MUCH));
    ok!(sleep());
    check!(!ok!(events()).contains(Events::PRESSURE));
    ok!(watch(Events::PRESSURE));
    check!(ok!(events()).contains(Events::PRESSURE));
    ok!(give(much));
    ok!(watch(Events::empty()));
    Ok(())
}

fn not_told() -> Outcome {
    let much = ok!(take(MUCH));
    ok!(sleep());
    check!(!ok!(events()).contains(Events::PRESSURE));
    ok!(give(much));
    Ok(())
}

fn unknown_events() -> Outcome {
    let unknown = Events::CHILD.bits() | Events::CLOSING.bits();
    let refused = Error::BadFlags { unknown };
    check_eq!(
        watch(Events::PRESSURE | Events::CHILD | Events::CLOSING),
        Err(refused)
    );
    Ok(())
}

fn is_there() -> Outcome {
    check!(ok!(wait_for_memory(MARK, CLEANING_US)));
    check!(ok!(wait_for_memory(1, u64::MAX)));
    Ok(())
}

fn time_over() -> Outcome {
    let much = ok!(take(MUCH));
    let before_us = ok!(set_alarm(0));
    check!(!ok!(wait_for_memory(2 * MARK, 30_000)));
    check!(ok!(set_alarm(0)) >= before_us + 30_000);
    ok!(give(much));
    check!(ok!(wait_for_memory(2 * MARK, CLEANING_US)));
    Ok(())
}

fn beyond_quota() -> Outcome {
    let stats = ok!(served::stats());
    let requested = stats.limit - stats.committed + 4096;
    let refused = Error::OverQuota {
        limit: stats.limit,
        committed: stats.committed,
        requested,
    };
    check_eq!(wait_for_memory(requested, 1000), Err(refused));
    Ok(())
}

/// Another program hoards; when memory runs short, it gives back, and this program's waiting ends by that.
fn hoard_goes_back() -> Outcome {
    check!(ok!(wait_for_memory(470 * MIB, CLEANING_US)));
    let hoarder = ok!(Child::start("hoarder", &[], None));
    // Until it has its hoard.
    for _ in 0..200 {
        ok!(sleep());
        let free = ok!(wait_for_memory(480 * MIB - HOARD_BYTES as u64, 0));
        if !free {
            break;
        }
    }
    let much = ok!(take(MUCH - (60 << 20)));
    check!(ok!(wait_for_memory(170 * MIB, 3_000_000)));
    let ended = ok!(hoarder.wait());
    check_eq!((ended.cause, ended.value), (Cause::Exit, 0));
    ok!(give(much));
    Ok(())
}

/// Fills the heap, frees all of it, and keeps what is free until memory runs short.
fn hoard() -> Outcome {
    ok!(watch(Events::PRESSURE));
    let blocks: Vec<Vec<u8>> = (0..HOARD_BYTES / HOARD_BLOCK_BYTES)
        .map(|_| Vec::with_capacity(HOARD_BLOCK_BYTES))
        .collect();
    let full = ok!(served::stats()).committed;
    check!(full > HOARD_BYTES as u64);
    ok!(wait_for(Events::PRESSURE));
    drop(blocks);
    HEAP.trim();
    check!(ok!(served::stats()).committed < full - HOARD_BYTES as u64);
    Ok(())
}
