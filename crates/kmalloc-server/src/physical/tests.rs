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

proptest! {
    /// Pages, runs and chunks in random order: what is free is what the model says, and no page is out twice.
    #[test]
    fn what_is_free_agrees_with_a_model(steps in prop::collection::vec((0u8..6, any::<u16>()), 1..200)) {
        let mut physical = with_larges(2);
        let total = physical.free_pages();
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut chunks: Vec<Chunk> = Vec::new();
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
        }
    }
}
