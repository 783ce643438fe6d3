// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const BASE: u64 = 0x20_0000;

fn with_larges(count: u32) -> Physical {
    let mut physical = Physical::new(BASE, BASE + (u64::from(count + 1) << 21));
    for large in 0..count {
        physical.add_large(Large(large));
    }
    physical
}

/// Does what the steps ask for, as a kernel that refuses nothing would.
fn page(physical: &mut Physical) -> Option<Page> {
    loop {
        match physical.next_page()? {
            Step::Take(page) => {
                physical.take_pages(page.index()..page.index() + 1);
                return Some(page);
            }
            step => carry_out(physical, step),
        }
    }
}

fn carry_out<T>(physical: &mut Physical, step: Step<T>) {
    match step {
        Step::SplitLarge(large) => physical.large_was_split(large),
        Step::SplitChunk(chunk) => physical.chunk_was_split(chunk),
        Step::GatherChunk(chunk) => physical.chunk_was_gathered(chunk),
        Step::Scrub(page) => physical.page_was_scrubbed(page),
        Step::Take(_) => unreachable!("nothing to carry out"),
    }
}

fn run(pages: usize) -> RunRequest {
    RunRequest {
        pages,
        align_pages: 1,
        max_addr: u64::MAX,
        boundary_pages: 0,
    }
}

#[test]
fn every_page_comes_out_once_from_high_to_low() {
    let mut physical = with_larges(2);
    let pages: Vec<Page> = core::iter::from_fn(|| page(&mut physical)).collect();
    assert_eq!(pages.len(), 2 * LARGE_PAGES);
    assert_eq!(physical.free_pages(), 0);
    assert_eq!(pages.iter().collect::<BTreeSet<_>>().len(), pages.len());
    assert_eq!(
        pages[0],
        Page(2 * LARGE_PAGES as u32 - 1),
        "high addresses first"
    );
}

#[test]
fn a_page_that_came_back_is_scrubbed_before_it_goes_out() {
    let mut physical = with_larges(1);
    while page(&mut physical).is_some() {}
    physical.give_page(Page(5));
    assert_eq!(physical.next_page(), Some(Step::Scrub(Page(5))));
    physical.page_was_scrubbed(Page(5));
    assert_eq!(physical.next_page(), Some(Step::Take(Page(5))));
}

#[test]
fn five_pages_cost_five_pages() {
    let mut physical = with_larges(1);
    let found = physical
        .find_run(&RunRequest {
            align_pages: 8,
            ..run(5)
        })
        .unwrap();
    while let Some(step) = physical.next_step_for_run(found.clone()) {
        carry_out(&mut physical, step);
    }
    physical.take_run(found.clone());
    assert_eq!(physical.free_pages(), LARGE_PAGES - 5);
    assert_eq!(
        physical.address_of(Page(found.start as u32)) % (8 << PAGE_BITS),
        0
    );
}

#[test]
fn a_run_crosses_untypeds_of_any_form() {
    let mut physical = with_larges(2);
    physical.large_was_split(Large(1));
    physical.chunk_was_split(Chunk(32));
    let found = physical.find_run(&run(2 * LARGE_PAGES)).unwrap();
    assert_eq!(found, 0..2 * LARGE_PAGES);
    while let Some(step) = physical.next_step_for_run(found.clone()) {
        carry_out(&mut physical, step);
    }
    physical.take_run(found);
    assert_eq!(physical.free_pages(), 0);
}

#[test]
fn a_run_keeps_its_address_limit_and_its_boundary() {
    let physical = with_larges(4);
    let max_addr = BASE + (3 << 20) - 1;
    let found = physical
        .find_run(&RunRequest { max_addr, ..run(3) })
        .unwrap();
    assert!(physical.address_of(Page(found.end as u32)) <= max_addr + 1);
    let request = RunRequest {
        pages: 12,
        align_pages: 1,
        max_addr,
        boundary_pages: 16,
    };
    let found = physical.find_run(&request).unwrap();
    let first = physical.address_of(Page(found.start as u32)) >> PAGE_BITS;
    assert_eq!(first / 16, (first + 11) / 16);
    assert_eq!(
        physical.find_run(&RunRequest {
            pages: 17,
            ..request
        }),
        None,
        "longer than the boundary"
    );
    assert_eq!(
        physical.find_run(&RunRequest {
            max_addr: 0xfff,
            ..run(1)
        }),
        None,
        "below all memory"
    );
    assert_eq!(physical.largest_run(u64::MAX), 4 * LARGE_PAGES);
}

#[test]
fn chunks_of_objects_and_gathered_chunks() {
    let mut physical = with_larges(1);
    assert_eq!(physical.next_chunk(), Some(Step::SplitLarge(Large(0))));
    physical.large_was_split(Large(0));
    let Some(Step::Take(chunk)) = physical.next_chunk() else {
        panic!("a whole chunk")
    };
    physical.take_chunk(chunk);
    assert_eq!(physical.free_pages(), LARGE_PAGES - CHUNK_PAGES);
    let taken: Vec<Page> = core::iter::from_fn(|| page(&mut physical)).collect();
    assert_eq!(taken.len(), LARGE_PAGES - CHUNK_PAGES);
    assert_eq!(physical.next_chunk(), None);
    for page in taken {
        physical.give_page(page);
    }
    let Some(Step::GatherChunk(gathered)) = physical.next_chunk() else {
        panic!("a chunk to gather")
    };
    physical.chunk_was_gathered(gathered);
    assert_eq!(physical.next_chunk(), Some(Step::Take(gathered)));
    physical.give_chunk(chunk);
    assert_eq!(physical.free_pages(), LARGE_PAGES);
}

/// Cleans all there is to clean, as a kernel that refuses nothing would.
fn clean(physical: &mut Physical) -> usize {
    let mut jobs = 0;
    while physical.begin_cleaning().is_some() {
        physical.end_cleaning(true);
        jobs += 1;
    }
    jobs
}

#[test]
fn dirty_memory_comes_out_last_and_cheapest_first() {
    let mut physical = with_larges(3);
    physical.take_large(Large(2));
    physical.large_was_split(Large(1));
    let objects = Chunk(63);
    physical.take_chunk(objects);
    physical.chunk_was_split(Chunk(62));
    let frame = page(&mut physical).unwrap();
    physical.give_large(Large(2));
    physical.give_chunk(objects);
    physical.give_page(frame);
    assert_eq!(physical.free_pages(), 3 * LARGE_PAGES);
    assert_eq!(physical.usable_pages(), 2 * LARGE_PAGES);
    let mut dirty: Vec<Step<()>> = Vec::new();
    while let Some(step) = physical.next_page() {
        match step {
            Step::Take(page) => physical.take_pages(page.index()..page.index() + 1),
            Step::SplitLarge(large) => {
                assert_eq!((large, dirty.len()), (Large(0), 0));
                physical.large_was_split(large);
            }
            Step::SplitChunk(chunk) if !physical.is_clean_chunk(chunk) => {
                dirty.push(Step::SplitChunk(chunk));
                carry_out(&mut physical, step);
            }
            Step::Scrub(page) => {
                dirty.push(Step::Scrub(page));
                carry_out(&mut physical, step);
            }
            step => {
                assert_eq!(dirty, [], "{step:?} comes before what is dirty");
                carry_out(&mut physical, step);
            }
        }
    }
    assert_eq!(dirty, [Step::Scrub(frame), Step::SplitChunk(objects)]);
    // A dirty large page is nobody's, and for nobody.
    assert_eq!(physical.usable_pages(), 0);
    assert_eq!(physical.free_pages(), LARGE_PAGES);
    assert_eq!(physical.next_large(), None);
    assert_eq!(physical.next_chunk(), None);
    assert_eq!(physical.find_run(&run(1)), None);
    assert_eq!(physical.largest_run(u64::MAX), 0);
    assert_eq!(physical.begin_cleaning(), Some(Cleaning::Large(Large(2))));
    assert_eq!(
        (physical.usable_pages(), physical.free_pages()),
        (0, LARGE_PAGES)
    );
    physical.end_cleaning(true);
    assert_eq!(physical.usable_pages(), LARGE_PAGES);
    assert_eq!(physical.next_large(), Some(Large(2)));
}

#[test]
fn large_pages_are_cleaned_first_while_there_are_few() {
    let mut physical = with_larges(7);
    for large in [4, 5, 6] {
        physical.take_large(Large(large));
    }
    let frame = page(&mut physical).unwrap();
    physical.give_page(frame);
    for large in [4, 5, 6] {
        physical.give_large(Large(large));
    }
    // Three are left clean, so one is cleaned at once, then what is quick.
    let mut order = Vec::new();
    while let Some(cleaning) = physical.begin_cleaning() {
        order.push(cleaning);
        physical.end_cleaning(true);
    }
    let bit = 1 << (frame.index() % CHUNK_PAGES);
    let pages = Cleaning::Pages {
        chunk: frame.chunk(),
        mask: bit,
    };
    let large = |index| Cleaning::Large(Large(index));
    // Frames are made ahead when all is clean: as many whole chunks as are missing, the highest first.
    let frames = order.split_off(4);
    assert_eq!(order, [large(6), pages, large(5), large(4)]);
    let wanted = physical.ready_wanted();
    let highest = frame.chunk().0 - 1;
    let chunks = (0..frames.len() as u32).map(|below| Cleaning::Frames(Chunk(highest - below)));
    assert_eq!(frames, chunks.collect::<Vec<_>>());
    assert!((wanted - CHUNK_PAGES + 1..=wanted).contains(&physical.ready_pages()));
    assert_eq!(pages.pages().collect::<Vec<_>>(), [frame]);
    assert_eq!(physical.usable_pages(), physical.free_pages());
}

#[test]
fn frames_are_made_ahead_and_what_the_kernel_refuses_is_as_it_was() {
    let mut physical = with_larges(6);
    let wanted = physical.ready_wanted();
    assert!(physical.is_short_of_frames());
    // No chunk is whole yet, so a large page goes first.
    assert_eq!(physical.begin_cleaning(), Some(Cleaning::Chunks(Large(5))));
    assert_eq!(physical.usable_pages(), 5 * LARGE_PAGES);
    assert_eq!(physical.free_pages(), 6 * LARGE_PAGES);
    physical.end_cleaning(false);
    assert!(physical.is_clean_large(Large(5)));
    assert_eq!(physical.begin_cleaning(), Some(Cleaning::Chunks(Large(5))));
    physical.end_cleaning(true);
    assert_eq!(physical.large_form(Large(5)), LargeForm::Split);
    let highest = Large(5).chunks().end as u32 - 1;
    let frames = Cleaning::Frames(Chunk(highest));
    assert_eq!(physical.begin_cleaning(), Some(frames));
    assert_eq!(physical.ready_chunk(), None);
    physical.end_cleaning(false);
    assert!(physical.is_clean_chunk(Chunk(highest)));
    clean(&mut physical);
    assert!(physical.ready_pages() <= wanted && physical.ready_pages() + CHUNK_PAGES > wanted);
    assert!(!physical.is_short_of_frames());
    assert_eq!(physical.usable_pages(), 6 * LARGE_PAGES);
    let chunk = physical.ready_chunk().unwrap();
    physical.take_pages(chunk.pages());
    assert!(!physical.is_ready_chunk(chunk));
    // Large pages that are wanted whole stay so.
    let mut few = with_larges(4);
    assert!(!few.is_short_of_frames());
    assert_eq!(few.begin_cleaning(), None);
}

#[test]
fn split_large_pages_are_gathered_when_nobody_has_any_of_them() {
    let mut physical = with_larges(4);
    let taken: Vec<Page> = core::iter::from_fn(|| page(&mut physical)).collect();
    let kept = taken[0];
    for page in &taken[1..] {
        physical.give_page(*page);
    }
    // 3 are free as a whole; of these 2 large pages are left in small ones.
    assert_eq!(physical.begin_cleaning(), Some(Cleaning::Gather(Large(0))));
    assert_eq!(physical.free_pages(), 4 * LARGE_PAGES - 1);
    assert_eq!(physical.usable_pages(), 3 * LARGE_PAGES - 1);
    // Refused: revoked, but not clean.
    physical.end_cleaning(false);
    assert_eq!(physical.large_form(Large(0)), LargeForm::Whole);
    assert!(!physical.is_clean_large(Large(0)));
    assert_eq!(physical.begin_cleaning(), Some(Cleaning::Large(Large(0))));
    physical.end_cleaning(true);
    assert!(physical.is_clean_large(Large(0)));
    clean(&mut physical);
    assert_eq!(physical.large_form(kept.chunk().large()), LargeForm::Split);
    assert_eq!(physical.usable_pages(), 4 * LARGE_PAGES - 1);
    assert_eq!(physical.dirty_pages(), 0);
}

proptest! {
    /// Pages, runs and chunks in random order: what is free is what the model says, and no page is out twice.
    #[test]
    fn what_is_free_agrees_with_a_model(steps in prop::collection::vec((0u8..10, any::<u16>()), 1..300)) {
        let mut physical = with_larges(4);
        let total = physical.free_pages();
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut larges: Vec<Large> = Vec::new();
        for (kind, value) in steps {
            match kind {
                0 | 1 => if let Some(page) = page(&mut physical) {
                    prop_assert!(taken.insert(page.index()));
                },
                2 => {
                    let request = RunRequest {
                        pages: usize::from(value % 40) + 1,
                        align_pages: 1 << (value % 5),
                        max_addr: BASE + (u64::from(value) << 8),
                        boundary_pages: if value % 3 == 0 { 64 } else { 0 },
                    };
                    if let Some(found) = physical.find_run(&request) {
                        while let Some(step) = physical.next_step_for_run(found.clone()) {
                            carry_out(&mut physical, step);
                        }
                        physical.take_run(found.clone());
                        for index in found {
                            prop_assert!(taken.insert(index));
                            prop_assert!(physical.address_of(Page(index as u32)) + 4095 <= request.max_addr);
                        }
                    } else {
                        prop_assert!(physical.largest_run(request.max_addr) < request.pages
                            || request.align_pages > 1 || request.boundary_pages != 0);
                    }
                }
                3 => match physical.next_chunk() {
                    Some(Step::Take(chunk)) => {
                        physical.take_chunk(chunk);
                        chunks.push(chunk);
                        for index in chunk.pages() {
                            prop_assert!(taken.insert(index));
                        }
                    }
                    Some(step) => carry_out(&mut physical, step),
                    None => {}
                },
                4 => if let Some(chunk) = chunks.pop() {
                    physical.give_chunk(chunk);
                    for index in chunk.pages() {
                        taken.remove(&index);
                    }
                },
                5 => if let Some(large) = physical.next_large() {
                    physical.take_large(large);
                    larges.push(large);
                    taken.extend(large.pages());
                },
                6 => if let Some(large) = larges.pop() {
                    physical.give_large(large);
                    taken.retain(|index| !large.pages().contains(index));
                },
                7 => match physical.cleaning() {
                    // Between beginning and end anything else may happen.
                    Some(_) => physical.end_cleaning(value % 4 != 0),
                    None => if let Some(cleaning) = physical.begin_cleaning() {
                        prop_assert!(taken.iter().all(|index| !cleaning.contains(Page(*index as u32))));
                    },
                },
                _ => {
                    let frames = taken.iter().copied().filter(|index| {
                        physical.chunk_form(Page(*index as u32).chunk()) == ChunkForm::Frames
                    }).nth(usize::from(value) % 64);
                    if let Some(index) = frames {
                        taken.remove(&index);
                        physical.give_page(Page(index as u32));
                    }
                }
            }
            prop_assert_eq!(physical.free_pages() + taken.len(), total);
            prop_assert!(physical.usable_pages() <= physical.free_pages());
            prop_assert!(taken.iter().all(|index| !physical.is_free(Page(*index as u32))));
        }
        // In the end all of it is clean and can be had.
        for large in larges {
            physical.give_large(large);
            taken.retain(|index| !large.pages().contains(index));
        }
        physical.end_cleaning(false);
        clean(&mut physical);
        prop_assert_eq!(physical.usable_pages() + taken.len(), total);
        prop_assert_eq!(physical.dirty_pages(), 0);
    }
}
