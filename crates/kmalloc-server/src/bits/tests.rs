// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn an_empty_set_finds_nothing() {
    let set = BitSet::new(5000);
    assert_eq!(set.last(), None);
    assert_eq!(set.first(), None);
    assert_eq!(set.first_absent_below(77, 5000), 77);
    assert_eq!(set.run_start_above(4000, 0), 4000);
}

#[test]
fn the_ends_of_the_capacity_are_members_like_any_other() {
    for capacity in [1, 63, 64, 65, 4095, 4096, 4097, 262_145] {
        let mut set = BitSet::new(capacity);
        assert!(set.insert(capacity - 1));
        assert!(!set.insert(capacity), "outside the capacity");
        assert_eq!(set.last(), Some(capacity - 1));
        assert_eq!(set.first(), Some(capacity - 1));
        assert!(set.remove(capacity - 1));
        assert!(set.is_empty());
        assert_eq!(set.last(), None);
    }
}

#[test]
fn a_range_lies_in_one_word_or_in_none() {
    for (range, place) in [
        (0..1, Some((0, 1))),
        (65..70, Some((1, 0b11_1110))),
        (64..128, Some((1, u64::MAX))),
        (447..448, Some((6, 1 << 63))),
        (66..128, Some((1, u64::MAX << 2))),
        (66..129, None),
        (63..65, None),
        (1..65, None),
        (64..129, None),
        (7..7, None),
    ] {
        assert_eq!(in_one_word(&range), place, "{range:?}");
    }
}

#[test]
fn what_is_left_of_a_word_is_found_when_a_range_of_more_words_has_gone() {
    let mut set = BitSet::new(20_000);
    set.insert_range(0..20_000);
    assert_eq!(set.remove_range(70..19_900), 19_900 - 70);
    assert_eq!(set.last_below(19_900), Some(69));
    assert_eq!(set.first_from(70), Some(19_900));
    assert_eq!(set.remove_range(60..69), 9);
    assert_eq!(set.last_below(19_900), Some(69));
    assert_eq!(set.remove_range(69..19_999), 1 + 99);
    assert_eq!(set.last(), Some(19_999));
    assert_eq!(set.last_below(19_999), Some(59));
}

proptest! {
    #[test]
    fn agrees_with_a_btree_set(steps in prop::collection::vec((any::<bool>(), 0usize..20_000), 1..300),
                               probes in prop::collection::vec(0usize..21_000, 1..40)) {
        let capacity = 20_000;
        let mut set = BitSet::new(capacity);
        let mut model = BTreeSet::new();
        for (insert, member) in steps {
            // Crowd the members together so that runs come about.
            let member = member % 3000 * 7 % 20_000;
            if insert {
                prop_assert_eq!(set.insert(member), model.insert(member));
                let range = member..member + 9 + member % 130;
                let absent = range.clone().filter(|m| *m < capacity && !model.contains(m)).count();
                prop_assert_eq!(set.insert_range(range.clone()), absent);
                model.extend(range.start..range.end.min(capacity));
            } else {
                prop_assert_eq!(set.remove(member), model.remove(&member));
                let range = member + 3..member + 3 + member % 150;
                let there = model.range(range.clone()).count();
                prop_assert_eq!(set.remove_range(range.clone()), there);
                model.retain(|other| !range.contains(other));
            }
            prop_assert_eq!(set.len(), model.len());
        }
        prop_assert_eq!(set.last(), model.last().copied());
        prop_assert_eq!(set.first(), model.first().copied());
        for probe in probes {
            prop_assert_eq!(set.contains(probe), model.contains(&probe));
            prop_assert_eq!(set.last_below(probe), model.range(..probe).next_back().copied());
            prop_assert_eq!(set.first_from(probe), model.range(probe..).next().copied());
            if probe <= capacity {
                let absent = (probe..capacity).find(|m| !model.contains(m)).unwrap_or(capacity);
                prop_assert_eq!(set.first_absent_below(probe, usize::MAX), absent);
                let ceiling = probe + probe % 100;
                prop_assert_eq!(set.first_absent_below(probe, ceiling), absent.min(ceiling));
                let start = (0..probe).rev().find(|m| !model.contains(m)).map_or(0, |m| m + 1);
                prop_assert_eq!(set.run_start_above(probe, 0), start);
                let floor = probe / 3 * 2;
                prop_assert_eq!(set.run_start_above(probe, floor), start.max(floor));
            }
        }
    }
}
