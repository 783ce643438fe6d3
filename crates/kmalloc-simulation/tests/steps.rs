// SPDX-License-Identifier: BSD-2-Clause
//! A million steps, each with a scan behind it, in many small runs, in none of which the server allocates. `KMALLOC_SEED=n` runs
//! that seed alone.

mod allocator;

use kmalloc_simulation::{Campaign, Counts, Failed, narrate};
use std::fmt::Write;

/// Steps of one test; there are four.
const STEPS: u64 = 250_000;
/// The seeds of a test are its own.
const SEEDS_OF_A_TEST: u64 = 1 << 32;

/// What there is to say of a seed that failed.
fn told(failed: &Failed) -> String {
    let mut text = format!(
        "seed {}: {} ({}); what is left of it:\n{}",
        failed.seed, failed.failure.message, failed.failure.place, failed.scenario
    );
    for line in narrate(&failed.scenario) {
        let _ = writeln!(text, "# {line}");
    }
    text
}

fn run(number: u64) {
    let only = std::env::var("KMALLOC_SEED").ok();
    let only = only.map(|seed| seed.parse::<u64>().expect("KMALLOC_SEED is a number"));
    let mut campaign = Campaign::new(only.unwrap_or(number * SEEDS_OF_A_TEST));
    while campaign.counts.steps < STEPS {
        if let Err(failed) = campaign.run(|| ()) {
            panic!("{}", told(&failed));
        }
        if only.is_some() {
            return;
        }
    }
    check_variety(&campaign.counts);
}

/// Enough of everything has happened.
fn check_variety(counts: &Counts) {
    for (name, count) in counts.rows() {
        assert!(count > counts.steps / 4000, "{name}: {count}; {counts:?}");
    }
}

#[test]
fn the_first_quarter_of_a_million_steps_agrees_with_the_model() {
    run(0);
}

#[test]
fn the_second_quarter_of_a_million_steps_agrees_with_the_model() {
    run(1);
}

#[test]
fn the_third_quarter_of_a_million_steps_agrees_with_the_model() {
    run(2);
}

#[test]
fn the_fourth_quarter_of_a_million_steps_agrees_with_the_model() {
    run(3);
}
