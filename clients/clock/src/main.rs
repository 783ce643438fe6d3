// SPDX-License-Identifier: BSD-2-Clause
//! Alarms: they come, not before their time, once; one that is set anew or forgotten does not.
//!
//! How late one comes is checked only where time is counted in instructions: elsewhere the host may be away at any time.
//! With the argument `sleeper` it does not spin, so that another one's alarms are not late.
#![no_std]
#![no_main]

use client_test::{Outcome, Test, check, ok};
use kmalloc::Error;
use kmalloc::process::set_alarm;

kmalloc::main!(main);

const TESTS: &[Test] = &[
    ("time_goes_on", time_goes_on),
    ("an_alarm_comes_and_not_too_early", short_alarm),
    ("a_long_alarm_takes_several_turns", long_alarm),
    ("an_alarm_set_anew_replaces_the_first", set_anew),
    ("a_forgotten_alarm_wakes_nobody", forgotten),
];

/// Turns of the waiting loop that no test needs: signals left over from before, and the one that is waited for.
const WAKINGS_MAX: usize = 2;

const SLEEPER_TESTS: &[Test] = &[("alarms_by_turns_with_another_client", by_turns)];

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some(_) => client_test::run(SLEEPER_TESTS),
        None => client_test::run(TESTS),
    }
}

fn ticks() -> u64 {
    // SAFETY: every x86_64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether the processor's counter counts instructions: then it counts just 1000 in a microsecond.
fn is_counted() -> Result<bool, Error> {
    let (now_us, now) = (set_alarm(0)?, ticks());
    while ticks() < now + 4_000_000 {}
    let passed_us = set_alarm(0)? - now_us;
    Ok((3_990..=4_020).contains(&passed_us))
}

/// Waits until it is `due_us`, however often it is woken; the time then.
fn wait_until(due_us: u64) -> Result<u64, Error> {
    for _ in 0..WAKINGS_MAX {
        kmalloc::wait();
        let now_us = set_alarm(0)?;
        if now_us >= due_us {
            return Ok(now_us);
        }
        set_alarm(due_us - now_us)?;
    }
    set_alarm(0)
}

/// An alarm after `delay_us`, which may be `late_us` late where that means something.
fn ring(delay_us: u64, late_us: u64) -> Outcome {
    let due_us = ok!(set_alarm(delay_us)) + delay_us;
    let now_us = ok!(wait_until(due_us));
    check!(now_us >= due_us);
    if ok!(is_counted()) {
        check!(now_us - due_us <= late_us);
    }
    Ok(())
}

fn time_goes_on() -> Outcome {
    let mut before = ok!(set_alarm(0));
    for _ in 0..100 {
        let now = ok!(set_alarm(0));
        check!(now >= before);
        before = now;
    }
    Ok(())
}

fn short_alarm() -> Outcome {
    for delay_us in [1, 50, 1_000, 20_000] {
        ring(delay_us, 200)?;
    }
    Ok(())
}

fn long_alarm() -> Outcome {
    // The timer's 16 bits last 55 ms.
    ring(300_000, 200)
}

fn by_turns() -> Outcome {
    for turn in 0..40 {
        let delay_us = 700 * (turn % 13) + 1;
        let due_us = ok!(set_alarm(delay_us)) + delay_us;
        check!(ok!(wait_until(due_us)) >= due_us);
    }
    Ok(())
}

fn set_anew() -> Outcome {
    ok!(set_alarm(u64::MAX));
    ok!(set_alarm(10_000_000));
    ring(5_000, 200)
}

fn forgotten() -> Outcome {
    let first_us = ok!(set_alarm(50_000)) + 50_000;
    let forgotten_us = ok!(set_alarm(0));
    let due_us = ok!(set_alarm(150_000)) + 150_000;
    kmalloc::wait();
    let now_us = ok!(set_alarm(0));
    // Where the machine was away for so long, the first alarm came before it was forgotten.
    check!(forgotten_us >= first_us || now_us >= due_us);
    Ok(())
}
