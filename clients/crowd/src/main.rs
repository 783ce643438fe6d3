// SPDX-License-Identifier: BSD-2-Clause
//! Hundreds of clients at once: all of them live, and one of them is served in time while all others call without pause.
//!
//! Times are processor ticks; they mean something where instructions are counted, and are checked only there.
#![no_std]
#![no_main]

use client_test::{Outcome, Test, check, check_eq, ok};
use core::arch::x86_64::_rdtsc;
use kmalloc::child::{Child, reap_any};
use kmalloc::process::set_alarm;
use kmalloc::{Cause, Error, Events, Flags, event, println, served};

kmalloc::main!(main);

const TESTS: &[Test] = &[
    ("three_hundred_clients_live_at_once", many_live),
    ("a_call_among_a_flood_of_small_requests_is_bounded", || {
        flood("churn")
    }),
    ("a_call_among_a_flood_of_large_requests_is_bounded", || {
        flood("gorge")
    }),
    (
        "a_call_while_others_are_taken_back_is_bounded",
        among_deaths,
    ),
];

/// Clients that live at once, and clients of a flood.
const CROWD: usize = 300;
const FLOOD: usize = 200;
/// Bytes that each of them gets.
const SHARE: u64 = 800 << 10;
/// Calls that are timed.
const CALLS: usize = 300;
/// Ticks of the longest request of a kind: of a block of a bucket, and of 64 KiB in pages of their own, with the tables and
/// books that either may need. The server does one request after the other, in the order in which they came.
const SMALL_TICKS: u64 = 5_300;
const LARGE_TICKS: u64 = 80_000;
/// Ticks of the longest slice of work that the server does between requests.
const SLICE_TICKS: u64 = 100_000;

fn main() -> u8 {
    client_test::run(TESTS)
}

fn ticks() -> u64 {
    // SAFETY: every x86_64 processor has a time-stamp counter, and seL4 lets programs read it.
    unsafe { _rdtsc() }
}

fn sleep(time_us: u64) -> Result<(), Error> {
    set_alarm(time_us)?;
    event::wait_for(Events::ALARM).map(drop)
}

/// Whether the processor's counter counts instructions: then it counts just 1000 in a microsecond, and this loop takes as
/// long each time.
fn is_counted() -> bool {
    let time = || {
        let before = ticks();
        for number in 0..10_000 {
            core::hint::black_box(number);
        }
        ticks() - before
    };
    let first = time();
    (0..5).all(|_| time() == first)
}

fn end_all(children: &[Option<Child>]) -> Outcome {
    for child in children.iter().flatten() {
        ok!(child.kill());
    }
    for _ in children.iter().flatten() {
        let ended = loop {
            match ok!(reap_any()) {
                Some(ended) => break ended,
                None => ok!(event::wait_for(Events::CHILD)),
            };
        };
        check_eq!(ended.cause, Cause::Killed);
    }
    check_eq!(reap_any(), Ok(None));
    Ok(())
}

fn many_live() -> Outcome {
    let before = ok!(served::stats());
    let mut children = [None; CROWD];
    for place in &mut children {
        *place = Some(ok!(Child::start("child", &["hold"], Some(SHARE))));
    }
    // All have been built when there is nothing left to do.
    for _ in 0..200 {
        ok!(sleep(5_000));
    }
    for child in children.iter().flatten() {
        check_eq!(child.reap(), Ok(None));
    }
    println!("# {CROWD} clients live");
    end_all(&children)?;
    let after = ok!(served::stats());
    check_eq!(
        (after.limit, after.committed),
        (before.limit, before.committed)
    );
    Ok(())
}

/// Times calls; the median and the longest.
fn time_calls() -> Result<(u64, u64), Error> {
    let mut times = [0; CALLS];
    for time in &mut times {
        // Not always at the same place in the others' turns.
        sleep(1_000)?;
        let before = ticks();
        let block = served::kmalloc(64, Flags::empty())?;
        *time = ticks() - before;
        // SAFETY: it is this program's, and nobody uses it.
        unsafe { served::kfree(block.as_ptr())? };
    }
    times.sort_unstable();
    Ok((times[CALLS / 2], times[CALLS - 1]))
}

fn flood(how: &'static str) -> Outcome {
    let counted = is_counted();
    let mut children = [None; FLOOD];
    for place in &mut children {
        *place = Some(ok!(Child::start("child", &[how], Some(SHARE))));
    }
    for _ in 0..100 {
        ok!(sleep(5_000));
    }
    let (median, longest) = ok!(time_calls());
    let each = if how == "churn" {
        SMALL_TICKS
    } else {
        LARGE_TICKS
    };
    let bound = (FLOOD as u64 + 1) * each;
    println!("figure flood.{how}.{FLOOD} median {median} max {longest} bound {bound}");
    end_all(&children)?;
    check!(!counted || longest <= bound);
    Ok(())
}

fn among_deaths() -> Outcome {
    let counted = is_counted();
    let mut longest = 0;
    for _ in 0..3 {
        let mut children = [None; 20];
        for place in &mut children {
            *place = Some(ok!(Child::start("child", &["hold"], Some(SHARE))));
        }
        for _ in 0..20 {
            ok!(sleep(2_000));
        }
        for child in children.iter().flatten() {
            ok!(child.kill());
        }
        // They are taken back meanwhile, slice by slice.
        for _ in 0..CALLS {
            let before = ticks();
            let block = ok!(served::kmalloc(64, Flags::empty()));
            longest = longest.max(ticks() - before);
            // SAFETY: it is this program's, and nobody uses it.
            ok!(unsafe { served::kfree(block.as_ptr()) });
        }
        for _ in 0..children.len() {
            while ok!(reap_any()).is_none() {
                ok!(event::wait_for(Events::CHILD));
            }
        }
    }
    println!("figure call.among.deaths max {longest} bound {SLICE_TICKS}");
    check!(!counted || longest <= SLICE_TICKS);
    Ok(())
}
