// SPDX-License-Identifier: BSD-2-Clause
//! Contiguous runs of physical memory: what is found is what trying every place finds.

use kmalloc_server::physical::{Large, LargeForm, Page, Physical, RunRequest, Step};
use kmalloc_simulation::Random;
use std::ops::Range;

/// Pages of 2 MiB.
const LARGE_PAGES: usize = 512;
/// Large pages of the machine; with one more that is no memory behind the fifth.
const LARGES: u32 = 8;
const HOLE: u32 = 5;
/// Neither of these is a multiple of large alignments and boundaries.
const BASES: [u64; 2] = [3 << 21, 13 << 21];

/// Books with large pages of every form: whole, whole and dirty, split with pages taken here and there, taken.
fn books(random: &mut Random, base: u64) -> Physical {
    let mut physical = Physical::new(base, base + (u64::from(LARGES) << 21));
    for large in (0..LARGES).filter(|large| *large != HOLE) {
        physical.add_large(Large(large));
    }
    for _ in 0..random.below(3) {
        let large = physical.next_large().expect("a large page");
        physical.take_large(large);
        if random.one_in(2) {
            physical.give_large(large);
        }
    }
    for _ in 0..random.below(6) {
        let pages = [1, 3, 16, 40, 600][random.below(5) as usize];
        let first = random.below(u64::from(LARGES) * 512) as usize;
        let run = first..first + pages;
        if run
            .clone()
            .all(|page| physical.is_available(Page(page as u32)))
        {
            take(&mut physical, run);
        }
    }
    physical
}

/// Takes pages that are free, as a kernel that refuses nothing would.
fn take(physical: &mut Physical, run: Range<usize>) {
    while let Some(step) = physical.next_step_for_run(run.clone()) {
        match step {
            Step::SplitLarge(large) => physical.large_was_split(large),
            Step::SplitChunk(chunk) => physical.chunk_was_split(chunk),
            Step::Scrub(page) => physical.page_was_scrubbed(page),
            step => panic!("{step:?}"),
        }
    }
    physical.take_run(run);
}

fn request(random: &mut Random, base: u64) -> RunRequest {
    let pages = [1, 2, 5, 16, 100, 512, 515, 1024, 1300][random.below(9) as usize];
    RunRequest {
        pages,
        align_pages: 1 << random.below(11),
        max_addr: match random.below(3) {
            0 => u64::MAX,
            _ => base + random.below(u64::from(LARGES) << 21),
        },
        boundary_pages: match random.below(3) {
            0 => 0,
            _ => 1 << random.below(13),
        },
    }
}

/// All runs that keep the conditions of a request, from high to low.
fn places<'a>(
    physical: &'a Physical,
    request: &'a RunRequest,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let base = physical.address_of(Page(0)) as usize >> 12;
    let starts = 0..(physical.page_capacity() + 1).saturating_sub(request.pages);
    let keeps = move |start: &usize| {
        let (first, last) = (base + start, base + start + request.pages - 1);
        let boundary = request.boundary_pages;
        first.is_multiple_of(request.align_pages)
            && (last as u64) << 12 | 0xfff <= request.max_addr
            && (boundary == 0 || first / boundary == last / boundary)
    };
    let found = starts.rev().filter(keeps);
    found.map(|start| start..start + request.pages)
}

/// Calls `check` with many books and what is asked of them.
fn each_case(mut check: impl FnMut(&Physical, &RunRequest)) {
    let mut random = Random(77);
    for case in 0..200 {
        let base = BASES[case % 2];
        let physical = books(&mut random, base);
        for _ in 0..20 {
            check(&physical, &request(&mut random, base));
        }
    }
}

fn is_available(physical: &Physical) -> impl Fn(usize) -> bool + '_ {
    |page| physical.is_available(Page(page as u32))
}

#[test]
fn the_highest_run_that_will_do_is_found() {
    let mut found = 0;
    each_case(|physical, request| {
        let is_free = |run: &Range<usize>| run.clone().all(is_available(physical));
        let expected = places(physical, request).find(is_free);
        assert_eq!(physical.find_run(request), expected, "{request:?}");
        found += u32::from(expected.is_some());
    });
    assert!(found > 1000, "{found}");
}

#[test]
fn the_highest_run_that_begins_with_whole_large_pages_is_found() {
    let mut found = 0;
    each_case(|physical, request| {
        let larges = request.pages / LARGE_PAGES;
        let is_whole = |page: usize| {
            let large = Large((page / LARGE_PAGES) as u32);
            physical.large_form(large) == LargeForm::Whole && physical.is_clean_large(large)
        };
        let will_do = |run: &Range<usize>| {
            let rest = run.start + larges * LARGE_PAGES..run.end;
            run.start.is_multiple_of(LARGE_PAGES)
                && (run.start..rest.start).all(is_whole)
                && rest.clone().all(is_available(physical))
        };
        let expected = places(physical, request).find(|run| larges > 0 && will_do(run));
        assert_eq!(physical.find_large_run(request), expected, "{request:?}");
        found += u32::from(expected.is_some());
    });
    assert!(found > 100, "{found}");
}

#[test]
fn the_run_that_takes_the_fewest_moves_is_found() {
    let mut found = 0;
    each_case(|physical, request| {
        // One page in nine stays, if somebody has it.
        let is_movable = |page: Page| !page.0.is_multiple_of(9);
        let moves = |run: &Range<usize>| {
            let taken = run.clone().filter(|page| !is_available(physical)(*page));
            taken.count()
        };
        let can_move = |run: &Range<usize>| {
            let mut pages = run.clone();
            pages.all(|page| is_available(physical)(page) || is_movable(Page(page as u32)))
        };
        for moves_max in [0, 5, 64] {
            let will_do = |run: &Range<usize>| can_move(run) && moves(run) <= moves_max;
            let mut best: Option<(usize, Range<usize>)> = None;
            for run in places(physical, request).filter(will_do) {
                let count = moves(&run);
                if best.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
                    best = Some((count, run));
                }
                if count == 0 {
                    break;
                }
            }
            let best = best.map(|(_, run)| run);
            let found_run = physical.find_run_to_clear(request, moves_max, is_movable);
            assert_eq!(found_run, best, "{request:?}, {moves_max} moves");
            found += u32::from(best.is_some());
        }
    });
    assert!(found > 1000, "{found}");
}

#[test]
fn a_run_waits_for_cleaning_where_only_dirty_memory_is_in_its_way() {
    let mut waits = 0;
    each_case(|physical, request| {
        let is_free = |page: usize| physical.is_free(Page(page as u32));
        let some_is_dirty = physical.free_pages() > physical.usable_pages();
        let expected =
            some_is_dirty && places(physical, request).any(|run| run.clone().all(is_free));
        assert_eq!(physical.cleaning_gives(request), expected, "{request:?}");
        waits += u32::from(expected);
    });
    assert!(waits > 100, "{waits}");
}

#[test]
fn the_longest_run_below_an_address_is_known() {
    each_case(|physical, request| {
        let (mut longest, mut length) = (0, 0);
        for page in 0..physical.page_capacity() {
            let last = physical.address_of(Page(page as u32)) | 0xfff;
            let counts = is_available(physical)(page) && last <= request.max_addr;
            length = if counts { length + 1 } else { 0 };
            longest = longest.max(length);
        }
        assert_eq!(physical.largest_run(request.max_addr), longest);
    });
}
