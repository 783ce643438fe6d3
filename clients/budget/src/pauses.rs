// SPDX-License-Identifier: BSD-2-Clause
//! Keeping to a budget. The manifest gives 250 ms in 300 ms, so there is all of it again after a pause of 50 ms. The
//! margins are wide: the guest's clock goes on while QEMU itself waits for a processor.

use crate::pace;
use client_test::{Outcome, Test, check, ok};
use core::sync::atomic::{AtomicU64, Ordering};
use kmalloc::{Flags, served};

const TESTS: &[Test] = &[
    ("a_budget_is_whole_again_after_a_pause", whole_again),
    ("a_yield_lasts_until_the_next_period", until_the_next_period),
];

/// Ticks of the counter in a period.
static PERIOD: AtomicU64 = AtomicU64::new(0);

pub fn run() -> u8 {
    // Before any call: after calls what is left of a budget comes back in two parts, and a yield ends at the first.
    PERIOD.store(measure_period(), Ordering::Relaxed);
    let failed = client_test::run(TESTS);
    pace::stop();
    failed
}

/// The time between two ends of yields: each of them gives up what is left of the period.
fn measure_period() -> u64 {
    let mut longest = 0;
    sel4::r#yield();
    let mut last = pace::now();
    // One may come late and make the next interval short.
    for _ in 0..2 {
        sel4::r#yield();
        let now = pace::now();
        longest = longest.max(now - last);
        last = now;
    }
    longest
}

/// Runs for longer than the budget in all, with pauses.
fn whole_again() -> Outcome {
    let period = PERIOD.load(Ordering::Relaxed);
    for _ in 0..5 {
        let block = ok!(served::kmalloc(64, Flags::ZERO));
        pace::run(period / 5);
        // SAFETY: the block is ours, and used no more.
        ok!(unsafe { served::kfree(block.as_ptr()) });
        pace::wait(period / 4);
    }
    Ok(())
}

fn until_the_next_period() -> Outcome {
    let period = PERIOD.load(Ordering::Relaxed);
    pace::wait(period / 4);
    let start = pace::now();
    sel4::r#yield();
    check!(pace::now() - start > period / 2);
    Ok(())
}
