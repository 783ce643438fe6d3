// SPDX-License-Identifier: BSD-2-Clause
use super::*;

/// The same set as a slice of booleans, and the same questions answered without any cleverness.
fn find_run_slowly(model: &[bool], pages: usize, align: usize) -> Option<usize> {
    (0..=SEGMENT_PAGES - pages)
        .step_by(align)
        .find(|&first| model[first..first + pages].iter().all(|&member| member))
}

#[test]
fn a_set_answers_as_its_model_does() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut set = PageSet::new();
    assert!(set.is_empty());
    let mut model = [false; SEGMENT_PAGES];
    for _ in 0..if cfg!(miri) { 20 } else { 2000 } {
        let first = random(SEGMENT_PAGES);
        let pages = random(SEGMENT_PAGES - first + 1).min(100);
        let insert = random(2) == 0;
        if insert {
            set.insert(first, pages);
        } else {
            set.remove(first, pages);
        }
        model[first..first + pages].fill(insert);

        assert_eq!(set.len(), model.iter().filter(|&&member| member).count());
        assert_eq!(set.is_empty(), !model.contains(&true));
        let from = random(SEGMENT_PAGES);
        let count = random(SEGMENT_PAGES - from + 1);
        let members = model[from..from + count].iter().filter(|&&m| m).count();
        assert_eq!(set.count_in(from, count), members);
        assert_eq!(set.contains(from, count), members == count);
        assert_eq!(
            set.next_member(from),
            (from..SEGMENT_PAGES).find(|&page| model[page])
        );
        let pages = 1 + random(64);
        let align = 1 << random(6);
        assert_eq!(
            set.find_run(pages, align),
            find_run_slowly(&model, pages, align)
        );
    }
}

#[test]
fn difference_and_intersection() {
    let (mut left, mut right) = (PageSet::new(), PageSet::new());
    left.insert(60, 10);
    right.insert(65, 10);
    assert_eq!(left.and(&right).next_run(0), Some((65, 5)));
    assert_eq!(left.without(&right).next_run(0), Some((60, 5)));
    left.insert(0, SEGMENT_PAGES);
    assert_eq!(left.next_run(0), Some((0, SEGMENT_PAGES)));
    assert_eq!(left.find_run(SEGMENT_PAGES, SEGMENT_PAGES), Some(0));
}

#[test]
fn pages_are_taken_if_both_sets_have_them() {
    for first in [0, 3, 60, 64, 500, 511, 512] {
        for pages in 0..20 {
            let (mut free, mut mapped) = (PageSet::new(), PageSet::new());
            free.insert(0, SEGMENT_PAGES);
            mapped.insert(0, 510);
            let before = free;
            if free.take_if_in(&mapped, first, pages) {
                assert!(before.contains(first, pages) && mapped.contains(first, pages));
                assert_eq!(free.count_in(first, pages), 0);
                assert!(free.insert_in_word(first, pages));
            } else {
                let crosses = first % 64 + pages > 64;
                let word_left = before.count_in(first / 64 % 8 * 64, 64) - pages.min(64);
                assert!(pages == 0 || crosses || first + pages > 510 || word_left == 0);
                assert_eq!(
                    free.insert_in_word(first, pages),
                    pages > 0 && !crosses && first < SEGMENT_PAGES
                );
            }
            assert_eq!(free, before);
        }
    }
}
