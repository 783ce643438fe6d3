// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use alloc::string::String;

#[test]
fn every_slot_of_the_arena_has_its_number() {
    for number in 0..arena::SLOTS {
        assert_eq!(arena::number(arena::slot(number)), Some(number));
    }
    assert_eq!(arena::number(Slot::Scratch), None);
    assert_eq!(arena::number(Slot::Copy(100)), None);
}

#[test]
fn outcomes_are_read_as_they_were_written() {
    let outcomes = [
        (0, 0),
        (8, 0),
        (0, 0xab),
        (Outcome::FAULT, 7 << 32 | 0x1000),
    ];
    let outcomes = outcomes.map(|(code, value)| Outcome { code, value });
    let mut text = String::new();
    for outcome in outcomes {
        encode(outcome, &mut text).unwrap();
    }
    assert_eq!(text, "aiaABu700001000");
    let mut rest = text.as_str();
    for outcome in outcomes {
        let (read, behind) = decode(rest).unwrap();
        assert_eq!(read, outcome);
        rest = behind;
    }
    assert_eq!(decode(rest), None);
    assert_eq!(decode("7"), None);
    assert_eq!(decode("aFFFFFFFFFFFFFFFFF"), None, "more than a word");
}

#[test]
fn a_digest_of_zeros_is_zero_and_tells_places_apart() {
    assert_eq!(digest([0; 512].into_iter()), 0);
    assert_ne!(digest([1, 0].into_iter()), digest([0, 1].into_iter()));
}
