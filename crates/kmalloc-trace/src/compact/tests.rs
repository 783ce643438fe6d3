// SPDX-License-Identifier: BSD-2-Clause
extern crate std;

use std::vec::Vec;

use super::*;
use crate::compile;

fn compact() -> Vec<u8> {
    compile(b"a 1 300\nz 2 70000 4\nr 1 600\nf 2\nf 1\n").unwrap()
}

fn with(summary: Summary, operations: &[Operation]) -> Vec<u8> {
    let mut bytes = postcard::to_extend(
        &Header {
            magic: MAGIC,
            summary,
        },
        Vec::new(),
    )
    .unwrap();
    for operation in operations {
        bytes = postcard::to_extend(operation, bytes).unwrap();
    }
    bytes
}

#[test]
fn every_truncation_is_seen() {
    let bytes = compact();
    for length in 0..bytes.len() {
        let cut = Trace::decode(&bytes[..length]);
        let seen = cut.map_or(true, |trace| {
            trace.operations().any(|operation| operation.is_err())
        });
        assert!(seen, "cut at {length}");
    }
}

#[test]
fn the_walk_ends_after_a_malformed_operation() {
    let bytes = compact();
    let mut operations = Trace::decode(&bytes[..bytes.len() - 1])
        .unwrap()
        .operations();
    assert_eq!(operations.by_ref().filter(Result::is_err).count(), 1);
    assert_eq!(operations.next(), None);
}

#[test]
fn slots_and_sizes_out_of_range_are_seen() {
    let summary = Summary {
        operations: 1,
        slots: 2,
        ..Summary::default()
    };
    let walk = |operation| {
        let bytes = with(summary, &[operation]);
        Trace::decode(&bytes).unwrap().operations().next().unwrap()
    };
    assert_eq!(walk(Operation::Free { slot: 2 }), Err(Malformed));
    assert_eq!(
        walk(Operation::Resize {
            slot: 0,
            size: BLOCK_BYTES_MAX + 1
        }),
        Err(Malformed)
    );
    let overflow = Operation::AllocateZeroed {
        slot: 0,
        count: u64::MAX,
        size: 2,
    };
    assert_eq!(walk(overflow), Err(Malformed));
    assert!(
        walk(Operation::Resize {
            slot: 1,
            size: BLOCK_BYTES_MAX
        })
        .is_ok()
    );
}

#[test]
fn other_bytes_are_refused() {
    assert_eq!(Trace::decode(b"").unwrap_err(), Malformed);
    assert_eq!(Trace::decode(&[0; 64]).unwrap_err(), Malformed);
    let many = Summary {
        slots: SLOTS_MAX + 1,
        ..Summary::default()
    };
    assert_eq!(Trace::decode(&with(many, &[])).unwrap_err(), Malformed);
}
