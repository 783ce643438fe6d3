// SPDX-License-Identifier: BSD-2-Clause
//! Uses up all memory, and looks at what it gets when that has been given back: whether it is zero, and what it costs.
//!
//! Four clients are of this program: the one under test, one that takes all memory and dies, one that answers when nobody
//! has anything to do, and one that has the run end while frames are being made ahead. Under `--icount` the costs are instructions.
#![no_std]
#![no_main]

mod idle;
mod regions;

use client_test::{Outcome, Test, check, ok};
use core::sync::atomic::{AtomicU64, Ordering};
use kmalloc::{Error, Events, Flags, println};
use regions::{Region, Regions};

kmalloc::main!(main);

/// A size of regions.
struct Kind {
    name: &'static str,
    bytes: usize,
    /// What a region of fresh memory costs.
    fresh: AtomicU64,
}

impl Kind {
    const fn new(name: &'static str, bytes: usize) -> Kind {
        Kind {
            name,
            bytes,
            fresh: AtomicU64::new(0),
        }
    }

    /// Whether a region costs what a fresh one does. Where instructions are not counted, nobody can say.
    fn costs_no_zeroing(&self, cost: u64) -> bool {
        let fresh = self.fresh.load(Ordering::Relaxed);
        !regions::are_instructions_counted() || cost * 100 <= fresh * (100 + DEARER_MAX)
    }
}

/// A large page, which is a frame of its own; 16 pages; a page.
static KINDS: [Kind; 3] = [
    Kind::new("2m", 2 << 20),
    Kind::new("64k", 64 << 10),
    Kind::new("4k", 4 << 10),
];

/// Regions that are taken to know what one costs. The first of them may need tables.
const SAMPLES: usize = 9;
/// How much dearer than fresh memory what has been cleaned may be, in percent. Zeroing 2 MiB is 80 times dearer.
const DEARER_MAX: u64 = 10;
/// Large pages that the server gathers when it has none.
const GATHERED: usize = 4;
static TESTS: &[Test] = &[
    ("fresh_memory_is_zero", fresh),
    ("memory_of_the_dead_is_zero_and_clean", clean),
    ("memory_of_the_living_is_zero_and_clean", clean),
    (
        "dirty_memory_is_zero_too_but_large_pages_are_waited_for",
        dirty,
    ),
    ("large_pages_are_gathered_from_small_ones", gathered),
];

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some("idle") => idle::serve(),
        Some("leave") => return u8::from(leave().is_err()),
        Some("hoard") => match take_all(&mut Regions::new()) {
            Ok(()) => return 0,
            Err(_) => return 1,
        },
        _ => {}
    }
    let failed = client_test::run(TESTS);
    idle::stop();
    failed
}

/// Blocks of as many frames are no longer ready that the server has more made while nobody has anything to do.
const LEAVE_BLOCKS: usize = 80;
const LEAVE_BLOCK_BYTES: usize = 16 << 10;
/// Microseconds after which some of those are made, and some are not.
const LEAVE_US: u64 = 60;

/// Ends in the midst of that. What was made without the server having heard of it must not be missing in the end.
fn leave() -> Result<(), Error> {
    for _ in 0..LEAVE_BLOCKS {
        kmalloc::served::kmalloc(LEAVE_BLOCK_BYTES, Flags::empty())?;
    }
    kmalloc::process::set_alarm(LEAVE_US)?;
    kmalloc::event::wait_for(Events::ALARM)?;
    Ok(())
}

/// Prints what regions of a kind cost; the median.
fn report(kind: &Kind, state: &str, regions: &mut [Region]) -> u64 {
    regions.sort_unstable_by_key(|region| region.cost);
    let cost = |index: usize| regions.get(index).map_or(0, |region| region.cost);
    let median = cost(regions.len() / 2);
    println!(
        "figure grant.{}.{state} count {} min {} median {median} max {}",
        kind.name,
        regions.len(),
        cost(0),
        cost(regions.len().saturating_sub(1))
    );
    median
}

/// Some of each kind, before anybody has given memory back.
fn fresh() -> Outcome {
    for kind in &KINDS {
        let mut regions = Regions::new();
        for _ in 0..SAMPLES {
            ok!(regions.take(kind.bytes));
        }
        check!(regions.are_zero());
        regions.fill();
        kind.fresh
            .store(report(kind, "fresh", regions.all()), Ordering::Relaxed);
        regions.give_all();
    }
    Ok(())
}

/// Takes all memory there is, in large regions as long as there are any. All of it has to be zero.
fn take_all(regions: &mut Regions) -> Outcome {
    while KINDS.iter().any(|kind| regions.take(kind.bytes).is_ok()) {}
    check!(!regions.is_full());
    check!(regions.are_zero());
    regions.fill();
    Ok(())
}

/// Takes all memory there is when nobody has had anything to do for a while; first some of each small kind.
fn clean() -> Outcome {
    idle::wait();
    let mut regions = Regions::new();
    for kind in KINDS.iter().rev() {
        let from = regions.all().len();
        let is_large = kind.bytes == KINDS[0].bytes;
        for _ in 0..if is_large { usize::MAX } else { SAMPLES } {
            if regions.take(kind.bytes).is_err() {
                break;
            }
        }
        let taken = &mut regions.all()[from..];
        check!(taken.len() >= SAMPLES);
        let median = report(kind, "cleaned", taken);
        check!(kind.costs_no_zeroing(median));
    }
    take_all(&mut regions)?;
    regions.give_all();
    Ok(())
}

/// Takes again what was given back just now, while there is nothing else.
fn dirty() -> Outcome {
    idle::wait();
    let mut regions = Regions::new();
    ok!(take_all(&mut regions));
    for kind in &KINDS {
        let given = regions.give_of_size(kind.bytes, SAMPLES);
        let kept = regions.all().len();
        if kind.bytes == KINDS[0].bytes {
            // 2 MiB are zeroed in nobody's call.
            let before = ok!(kmalloc::served::stats());
            ok!(regions.take(kind.bytes));
            // It was refused, waited for, and asked for again: the library does that.
            let after = ok!(kmalloc::served::stats());
            check!(after.failures > before.failures);
            check!(after.calls > before.calls + 3);
            idle::wait();
        }
        while regions.all().len() < kept + given {
            // Books of the regions may take a little of what was given back.
            if regions.take(kind.bytes).is_err() {
                break;
            }
        }
        let again = &mut regions.all()[kept..];
        check!(again.len() + 2 >= given);
        report(kind, "again", again);
        check!(again.iter().all(Region::is_zero));
        regions.fill();
    }
    regions.give_all();
    Ok(())
}

/// Uses all memory in pieces that are no large pages; some large pages are made of that again.
fn gathered() -> Outcome {
    idle::wait();
    let mut regions = Regions::new();
    while regions.take(KINDS[0].bytes / 2).is_ok() {}
    take_all(&mut regions)?;
    regions.give_all();
    idle::wait();
    for _ in 0..GATHERED {
        ok!(regions.take(KINDS[0].bytes));
    }
    let median = report(&KINDS[0], "gathered", regions.all());
    check!(KINDS[0].costs_no_zeroing(median));
    check!(regions.are_zero());
    regions.give_all();
    Ok(())
}
