// SPDX-License-Identifier: BSD-2-Clause
//! What programs had in use by tag when they were ended, and did not come to print it.

use crate::HEAP;
use alloc::string::ToString;
use client_test::{Outcome, Test, check, check_eq, ok};
use kmalloc::child::Child;
use kmalloc::tags::{self, Table};
use kmalloc::{Cause, Error, Events, Flags, Tag, arguments, event, process};

pub const TESTS: &[Test] = &[
    ("a_fault_leaves_what_was_held_by_tag", || {
        ended("fault", Cause::VmFault)
    }),
    ("a_kill_leaves_what_was_held_by_tag", || {
        ended("wait", Cause::Killed)
    }),
    ("a_table_is_for_whom_it_is_shared_with", not_shared),
];

const NOWHERE: usize = 0x7000_0000;
const SHARE: u64 = 2 << 20;
const POLL_US: u64 = 1000;
/// Attempts to publish: more than fit into the time until the parent has shared its table.
const ATTEMPTS: usize = 100_000;
/// What a program ends with whose table nobody shared.
const NOT_PERMITTED: u8 = 16;

fn start(how: &str, table: &Table) -> Result<Child, Error> {
    Child::start("leaky", &[how, &table.token().to_string()], Some(SHARE))
}

/// Blocks and bytes in a table of those with this in their name.
fn held(table: &Table, name: &str) -> (u64, u64) {
    let held = table.held();
    let chosen = held.filter(|held| held.name.as_str().contains(name));
    chosen.fold((0, 0), |sum, held| {
        (sum.0 + held.blocks, sum.1 + held.bytes)
    })
}

fn ended(how: &str, cause: Cause) -> Outcome {
    let table = ok!(Table::new());
    check_eq!(table.held().count(), 0);
    let child = ok!(start(how, &table));
    ok!(table.share_with(child.handle()));
    if cause == Cause::Killed {
        // It tells nobody that it is ready but by what it has.
        while held(&table, "packets") != (2, 400) || held(&table, "done").0 == 0 {
            ok!(process::set_alarm(POLL_US));
            ok!(event::wait_for(Events::ALARM));
        }
        ok!(child.kill());
    }
    check_eq!(ok!(child.wait()).cause, cause);
    check_eq!(held(&table, "packets"), (2, 400));
    // One block from before the table was there, and one from after.
    check_eq!(held(&table, "leaks.rs:"), (2, 12));
    check!(held(&table, "the global allocator").0 == 0);
    Ok(())
}

fn not_shared() -> Outcome {
    let table = ok!(Table::new());
    let ended = ok!(ok!(start("alone", &table)).wait());
    check_eq!(
        (ended.cause, ended.value),
        (Cause::Exit, NOT_PERMITTED.into())
    );
    check_eq!(table.held().count(), 0);
    Ok(())
}

/// The other program: leaks, and does not end by itself.
pub fn leak() -> u8 {
    let token = arguments().nth(2).and_then(|text| text.parse().ok());
    match leak_by(token.unwrap_or_default()) {
        Ok(never) => match never {},
        Err(error) => error.number() as u8,
    }
}

/// Publishes what is held, as soon as the parent has shared the table; "alone" does not wait for that.
fn publish(token: u64) -> Result<(), Error> {
    let attempts = match arguments().nth(1) {
        Some("alone") => 1,
        _ => ATTEMPTS,
    };
    for _ in 1..attempts {
        match tags::publish(token) {
            Err(Error::NotPermitted) => {}
            other => return other,
        }
    }
    tags::publish(token)
}

fn leak_by(token: u64) -> Result<core::convert::Infallible, Error> {
    static PACKETS: Tag = Tag::new("packets");
    static DONE: Tag = Tag::new("done");
    HEAP.kmalloc(5, Flags::empty())?;
    publish(token)?;
    HEAP.kmalloc(7, Flags::empty())?;
    for size in [100, 50, 300] {
        let block = HEAP.kmalloc_tagged(size, Flags::empty(), &PACKETS)?;
        if size == 50 {
            // SAFETY: the block is this program's.
            unsafe { HEAP.kfree(block)? };
        }
    }
    HEAP.kmalloc_tagged(1, Flags::empty(), &DONE)?;
    if arguments().nth(1) == Some("fault") {
        // SAFETY: it is not safe, and what this program is for: the read faults.
        unsafe { core::ptr::with_exposed_provenance::<u8>(NOWHERE).read_volatile() };
    }
    loop {
        process::wait();
    }
}
