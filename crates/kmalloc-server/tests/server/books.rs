// SPDX-License-Identifier: BSD-2-Clause
//! The books of memory by themselves: which pages come next, what is cleaned, and what is told.

use kmalloc_server::Books;
use kmalloc_server::physical::{Chunk, Cleaning, Large, Page, Physical, Step};
use kmalloc_simulation::system::PAGE;

/// A split large page, of which the last two chunks are frames.
fn split() -> Physical {
    let mut physical = Physical::new(0, 1 << 21);
    physical.add_large(Large(0));
    physical.large_was_split(Large(0));
    for chunk in [30, 31] {
        physical.chunk_was_split(Chunk(chunk));
    }
    physical
}

#[test]
fn pages_side_by_side_are_of_one_chunk() {
    let mut physical = split();
    assert_eq!(physical.next_pages(3), Some(509..512));
    assert_eq!(physical.next_pages(16), Some(496..512));
    assert_eq!(physical.next_pages(40), Some(496..512));
    physical.take_pages(505..512);
    assert_eq!(physical.next_pages(40), Some(496..505));
    physical.take_pages(496..505);
    assert_eq!(physical.next_pages(40), Some(480..496));
}

#[test]
fn what_is_dirty_behind_a_run_is_no_matter_of_the_run_s() {
    let mut physical = split();
    physical.take_pages(496..497);
    physical.give_page(Page(496));
    assert_eq!(physical.next_step_for_run(480..496), None);
    let scrub = Some(Step::Scrub(Page(496)));
    assert_eq!(physical.next_step_for_run(480..497), scrub);
}

#[test]
fn pages_are_cleaned_while_enough_others_can_be_had() {
    let mut physical = split();
    physical.take_pages(496..512);
    (496..512).for_each(|page| physical.give_page(Page(page)));
    let (chunk, mask) = (Chunk(31), u16::MAX);
    for (kept, cleaning) in [
        (0, Some(Cleaning::Pages { chunk, mask })),
        (512 - 16, Some(Cleaning::Pages { chunk, mask })),
        (512 - 15, None),
    ] {
        physical.keep_usable(kept);
        assert_eq!(physical.begin_cleaning(), cleaning, "{kept} are kept");
        physical.end_cleaning(false);
    }
}

#[test]
fn frames_are_made_when_less_than_half_of_the_stock_is_left() {
    let mut physical = Physical::new(0, 8 << 21);
    (0..8).for_each(|large| physical.add_large(Large(large)));
    while physical.begin_cleaning().is_some() {
        physical.end_cleaning(true);
    }
    let half = physical.ready_wanted() / 2;
    while physical.ready_pages() > half {
        let pages = physical.next_pages(1).expect("a page");
        physical.take_pages(pages);
    }
    assert!(!physical.is_short_of_frames());
    let pages = physical.next_pages(1).expect("a page");
    physical.take_pages(pages);
    assert!(physical.is_short_of_frames());
}

#[test]
fn of_a_large_page_its_form_and_what_is_dirty_are_told() {
    let mut physical = Physical::new(0, 3 << 21);
    (0..3).for_each(|large| physical.add_large(Large(large)));
    physical.large_was_split(Large(1));
    physical.take_large(Large(2));
    let told = |physical: &Physical, from| {
        let figures = physical.large_figures(from).expect("memory");
        (figures.form, figures.free, figures.dirty, figures.address)
    };
    assert_eq!(told(&physical, 0), (1, 512, 0, 0));
    assert_eq!(told(&physical, 1), (2, 512, 0, 512 * PAGE));
    assert_eq!(told(&physical, 2), (3, 0, 0, 1024 * PAGE));
    physical.give_large(Large(2));
    assert_eq!(told(&physical, 2), (1, 512, 512, 1024 * PAGE));
}

#[test]
fn books_balance_when_nothing_is_missing_and_nothing_twice() {
    for (free, committed, total, balance) in [
        (3, 4, 7, true),
        (3, 4, 8, false),
        (3, 4, 6, false),
        (0, 0, 0, true),
    ] {
        let books = Books {
            free,
            committed,
            total,
        };
        assert_eq!(books.balance(), balance);
    }
}

#[test]
fn a_large_page_is_gathered_while_two_others_can_be_had() {
    for taken in [0, 1] {
        let mut physical = Physical::new(0, 3 << 21);
        for large in (0..3).map(Large) {
            physical.add_large(large);
            physical.large_was_split(large);
        }
        physical.chunk_was_split(Chunk(95));
        physical.take_pages(1536 - taken..1536);
        let gathering = Some(Cleaning::Gather(Large(0)));
        let next = physical.begin_cleaning();
        assert_eq!(next == gathering, taken == 0, "{next:?}");
    }
}

#[test]
fn frames_are_ready_for_a_64th_of_the_pages_and_no_more_than_1024() {
    for (mib, frames) in [(2, 8), (64, 256), (256, 1024), (4096, 1024)] {
        let physical = Physical::new(0, mib << 20);
        assert_eq!(physical.ready_wanted(), frames, "{mib} MiB");
    }
}
