// SPDX-License-Identifier: BSD-2-Clause
use alloc::vec::Vec;

use super::*;
use crate::Trace;

fn operations(bytes: &[u8]) -> Vec<Operation> {
    Trace::decode(bytes)
        .unwrap()
        .operations()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn ids_become_dense_slots_that_are_used_again() {
    let text =
        b"# head\na 900 10\nz 7 2 30\n\nf 900\na 12345678901234567890 5 # third\nr 7 90\nf 7\n";
    let compact = compile(text).unwrap();
    assert_eq!(
        operations(&compact),
        [
            Operation::Allocate { slot: 0, size: 10 },
            Operation::AllocateZeroed {
                slot: 1,
                count: 2,
                size: 30
            },
            Operation::Free { slot: 0 },
            Operation::Allocate { slot: 0, size: 5 },
            Operation::Resize { slot: 1, size: 90 },
            Operation::Free { slot: 1 },
        ]
    );
    assert_eq!(
        Trace::decode(&compact).unwrap().summary(),
        Summary {
            operations: 6,
            slots: 2,
            block_bytes_max: 90,
            live_bytes_max: 95,
            live_at_end: 1
        }
    );
}

#[test]
fn an_id_may_be_used_again_once_freed() {
    assert!(compile(b"a 1 1\nf 1\na 1 2\nf 1").is_ok());
}

#[test]
fn errors_name_their_line() {
    let refused = |text: &[u8], error| assert_eq!(compile(text), Err(error));
    refused(b"a 1 1\na 1 2\n", TraceError::IdInUse(2, 1));
    refused(b"a 1 1\nz 1 2 2\n", TraceError::IdInUse(2, 1));
    refused(b"# nothing yet\nf 3\n", TraceError::UnknownId(2, 3));
    refused(b"a 1 1\nf 1\nf 1\n", TraceError::UnknownId(3, 1));
    refused(b"a 1 1\nr 2 5\n", TraceError::UnknownId(2, 2));
    refused(
        b"a 1 1\n\nm 2\n",
        TraceError::Line(3, LineError::UnknownOperation),
    );
    refused(
        b"a 1 1\nz 2 99999999999 99999999999\n",
        TraceError::Line(2, LineError::TooLarge),
    );
    refused(b"a 1 1\nf \xff\n", TraceError::NotText(2));
    refused(b"", TraceError::Empty);
    refused(b"# only words\n\n", TraceError::Empty);
}

#[test]
fn messages_name_the_ids() {
    use alloc::string::ToString;
    assert_eq!(
        TraceError::IdInUse(2, 77).to_string(),
        "id 77 is still live"
    );
    assert_eq!(
        TraceError::UnknownId(2, 78).to_string(),
        "id 78 has no live block"
    );
    assert_eq!(TraceError::IdInUse(2, 77).line(), Some(2));
    assert_eq!(TraceError::Empty.line(), None);
}

#[test]
fn size_0_is_a_block_and_another_size_of_0_frees_it() {
    let compact = compile(b"a 1 0\nz 2 0 8\nr 1 0\na 1 5\nf 2\n").unwrap();
    assert_eq!(
        operations(&compact),
        [
            Operation::Allocate { slot: 0, size: 0 },
            Operation::AllocateZeroed {
                slot: 1,
                count: 0,
                size: 8
            },
            Operation::Free { slot: 0 },
            Operation::Allocate { slot: 0, size: 5 },
            Operation::Free { slot: 1 },
        ]
    );
    assert_eq!(
        compile(b"a 1 5\nr 1 0\nf 1\n"),
        Err(TraceError::UnknownId(3, 1))
    );
}
