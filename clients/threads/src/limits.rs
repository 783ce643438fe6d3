// SPDX-License-Identifier: BSD-2-Clause
//! Threads that can't be, and threads that end all others.

use crate::team::{self, MEMBERS};
use client_test::{Outcome, check, check_eq, ok};
use core::sync::atomic::{AtomicUsize, Ordering};
use kmalloc::{Error, served, thread, transport};
use kmalloc_protocol::Request;

/// An address that is never mapped. Below 4 GiB: release 5.0.0 reports only the low 32 bits of an address.
const UNMAPPED: usize = 0x7000_0000;
/// Threads beside the first.
const THREADS_MAX: usize = 7;

static RAN: AtomicUsize = AtomicUsize::new(0);

pub fn bad_places() -> Outcome {
    let before = ok!(served::stats());
    let good = 0x40_0000;
    let kernel = 0xffff_8000_0000_0000;
    for (entry, stack, bad) in [
        (kernel, good, kernel),
        (1 << 47, good, 1 << 47),
        (1 << 39, good, 1 << 39),
        (good, 0, 0),
        (good, kernel, kernel),
        (good, good + 8, good + 8),
    ] {
        let refused = transport::call_done(&Request::StartThread {
            entry,
            stack,
            argument: 0,
        });
        check_eq!(refused, Err(Error::BadPointer { address: bad }));
    }
    let after = ok!(served::stats());
    check_eq!(after.committed, before.committed);
    Ok(())
}

pub fn the_eighth() -> Outcome {
    for _ in MEMBERS..THREADS_MAX {
        ok!(team::start(
            |argument| {
                RAN.fetch_add(argument, Ordering::Release);
            },
            5
        ));
    }
    check!(team::wait_until(
        || RAN.load(Ordering::Acquire) == 5 * (THREADS_MAX - MEMBERS)
    ));
    let before = ok!(served::stats());
    let refused = team::start(|_| (), 0);
    check_eq!(refused, Err(Error::OutOfSlots { limit: 8 }));
    let after = ok!(served::stats());
    check_eq!(after.failures, before.failures + 1);
    Ok(())
}

/// Ends the client by one of two threads, while the other one and the main thread are busy or wait.
pub fn end_by_a_thread(how: &str) -> u8 {
    kmalloc::println!("a thread will end it: {how}");
    let end: fn(usize) = match how {
        "fault" => |_| {
            // SAFETY: not an access but a fault: nothing is mapped there.
            unsafe { core::ptr::without_provenance::<u8>(UNMAPPED).read_volatile() };
        },
        "exit" => |_| kmalloc::process::exit(7),
        _ => return 1,
    };
    let busy: fn(usize) = |_| {
        loop {
            // Mostly inside a call, so that the end comes while it waits for a response.
            if served::stats().is_err() {
                return;
            }
            RAN.fetch_add(1, Ordering::Release);
        }
    };
    let started = team::start(busy, 0).is_ok() && team::start(busy, 0).is_ok();
    if !started || !team::wait_until(|| RAN.load(Ordering::Acquire) > 100) {
        return 2;
    }
    if team::start(end, 0).is_err() {
        return 3;
    }
    thread::park()
}
