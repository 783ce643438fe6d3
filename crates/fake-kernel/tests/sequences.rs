// SPDX-License-Identifier: BSD-2-Clause
//! The sequences that are compared with seL4, on the model alone: they reach what they are meant to reach.

use fake_kernel::{FakeKernel, Release, code};
use kernel_sequences::{Generator, Outcome, SEEDS_DEFAULT};
use std::collections::BTreeMap;

/// The arena, and nothing else.
const RAM: [(u64, u32); 1] = [(0x100_0000, 23)];
/// Operations of the default sequences at the least.
const OPERATIONS_MIN: u32 = 100_000;
/// Times that each outcome has to come at the least.
const TIMES_MIN: u32 = 5;

const DONE: u32 = 0;

/// What each operation gives in some sequence.
const REACHED: [(&str, &[u32]); 21] = [
    (
        "AssignAsid",
        &[DONE, code::INVALID_CAPABILITY, code::DELETE_FIRST],
    ),
    ("Census", &[DONE]),
    ("Copy", &[DONE, code::FAILED_LOOKUP, code::DELETE_FIRST]),
    (
        "CopyPage",
        &[DONE, code::INVALID_CAPABILITY, code::ILLEGAL_OPERATION],
    ),
    ("Delete", &[DONE]),
    (
        "Digest",
        &[DONE, code::INVALID_CAPABILITY, code::ILLEGAL_OPERATION],
    ),
    (
        "FrameAddress",
        &[DONE, code::INVALID_CAPABILITY, code::ILLEGAL_OPERATION],
    ),
    ("LedgerLength", &[DONE]),
    (
        "MapPage",
        &[
            DONE,
            code::INVALID_ARGUMENT,
            code::INVALID_CAPABILITY,
            code::ILLEGAL_OPERATION,
            code::ALIGNMENT_ERROR,
            code::FAILED_LOOKUP,
            code::DELETE_FIRST,
        ],
    ),
    (
        "MapPages",
        &[
            DONE,
            code::INVALID_ARGUMENT,
            code::INVALID_CAPABILITY,
            code::ILLEGAL_OPERATION,
            code::ALIGNMENT_ERROR,
            code::FAILED_LOOKUP,
        ],
    ),
    (
        "MapTable",
        &[
            DONE,
            code::INVALID_ARGUMENT,
            code::INVALID_CAPABILITY,
            code::ILLEGAL_OPERATION,
            code::FAILED_LOOKUP,
            code::DELETE_FIRST,
        ],
    ),
    ("PopLedger", &[DONE]),
    ("PushLedger", &[DONE, code::RANGE_ERROR]),
    (
        "Retype",
        &[
            DONE,
            code::INVALID_ARGUMENT,
            code::INVALID_CAPABILITY,
            code::ILLEGAL_OPERATION,
            code::RANGE_ERROR,
            code::DELETE_FIRST,
            code::NOT_ENOUGH_MEMORY,
        ],
    ),
    ("Revoke", &[DONE]),
    (
        "Scrub",
        &[DONE, code::INVALID_CAPABILITY, code::ILLEGAL_OPERATION],
    ),
    ("SizeOf", &[DONE]),
    ("Touch", &[DONE, Outcome::FAULT]),
    (
        "UnmapPage",
        &[DONE, code::INVALID_CAPABILITY, code::ILLEGAL_OPERATION],
    ),
    (
        "UnmapPageTable",
        &[DONE, code::INVALID_CAPABILITY, code::ILLEGAL_OPERATION],
    ),
    (
        "WritePage",
        &[DONE, code::INVALID_CAPABILITY, code::ILLEGAL_OPERATION],
    ),
];

/// Runs the default sequences: how often each operation gave each code.
fn reached(release: Release) -> BTreeMap<(String, u32), u32> {
    let mut reached = BTreeMap::new();
    let mut generator = Generator::new(release);
    for seed in 0..SEEDS_DEFAULT {
        let (mut kernel, _) = FakeKernel::boot_bare(&RAM, release);
        kernel_sequences::run(
            &mut generator,
            &mut kernel,
            seed,
            |_, operation, outcome| {
                let shown = format!("{operation:?}");
                let name = shown.split([' ', '(']).next().unwrap_or_default();
                *reached.entry((name.to_string(), outcome.code)).or_default() += 1;
            },
        );
    }
    reached
}

fn check(release: Release) {
    let reached = reached(release);
    let operations: u32 = reached.values().sum();
    assert!(operations >= OPERATIONS_MIN, "{operations}");
    for (name, codes) in REACHED {
        for code in codes {
            let times = reached.get(&(name.to_string(), *code)).copied();
            let times = times.unwrap_or_default();
            assert!(
                times >= TIMES_MIN,
                "{name} gave {code} {times} times: {reached:#?}"
            );
        }
    }
}

#[test]
fn sequences_reach_every_outcome_on_5_0_0() {
    check(Release::Five);
}

#[test]
fn sequences_reach_every_outcome_on_later_releases() {
    check(Release::Thirteen);
    check(Release::ThirteenMcs);
}
