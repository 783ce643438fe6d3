// SPDX-License-Identifier: BSD-2-Clause
//! Runs and regions that grow: where they stand then, and what they are mapped by. And pages at the edges of segments.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED, program};
use kmalloc_protocol::{Error, Reply, Request, Response};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::physical::{Large, LargeForm};
use kmalloc_server::spawn::Spawn;

fn one_client() -> (System, ClientIndex) {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    (system, client)
}

/// Frames of 2 MiB that somebody has.
fn large_frames(system: &System) -> usize {
    let physical = system.server.physical();
    let larges = (0..physical.large_capacity() as u32).map(Large);
    let frames = larges.filter(|large| physical.large_form(*large) == LargeForm::Frame);
    frames.count()
}

/// Where a region is after a resize.
fn resized(system: &mut System, client: ClientIndex, address: u64, pages: u64) -> u64 {
    match system.resize(client, address, pages * PAGE) {
        Ok(Reply::Region { address, size }) if size == pages * PAGE => address,
        other => panic!("{other:?}"),
    }
}

fn open(system: &mut System, client: ClientIndex, pages: u64) -> u64 {
    let size = pages * PAGE;
    match system.call(client, Request::OpenSegment { size }) {
        Ok(Reply::Region { address, .. }) => address,
        other => panic!("{other:?}"),
    }
}

fn map(system: &mut System, client: ClientIndex, address: u64, pages: u64) -> Response {
    let size = pages * PAGE;
    system.call(client, Request::Map { address, size })
}

#[test]
fn a_run_grows_in_place_where_nobody_is_behind_it_and_moves_where_somebody_is() {
    let (mut system, client) = one_client();
    let run = system.kmalloc(client, 5 * PAGE).expect("memory");
    system.fill(client, run, 5 * PAGE, 3);
    let grown = system.krealloc(client, run, 7 * PAGE);
    assert_eq!(grown, Ok(Reply::Block { address: run }));
    let behind = system.kmalloc(client, 5 * PAGE).expect("memory");
    assert_eq!(behind, run + 7 * PAGE);
    let Ok(Reply::Block { address }) = system.krealloc(client, run, 9 * PAGE) else {
        panic!("no block");
    };
    assert_ne!(address, run);
    assert_eq!(system.read_word(client, address + 4 * PAGE), 3);
    assert!(!system.is_mapped(client, run));
    // The place that it left is free for others.
    assert_eq!(system.kmalloc(client, 7 * PAGE), Ok(run));
}

#[test]
fn a_region_has_room_for_twice_its_pages_wherever_it_stands() {
    // Up to a quarter of a segment a power of two, then whole segments.
    for (pages, room) in [
        (1, 2),
        (5, 16),
        (128, 256),
        (129, 512),
        (300, 1024),
        (600, 1536),
    ] {
        let (mut system, client) = one_client();
        let region = system.grant_large(client, pages * PAGE).expect("memory");
        // Somebody else where it would go on.
        let others = [1, 128, 600].map(|other| system.grant_large(client, other * PAGE));
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(resized(&mut system, client, region, room), region);
        let moved = resized(&mut system, client, region, room + 1);
        assert_ne!(moved, region, "{pages} pages");
        // There it has room again.
        let more = 2 * (room + 1);
        assert_eq!(resized(&mut system, client, moved, more), moved);
    }
}

#[test]
fn a_region_of_some_segments_has_room_for_twice_its_pages_too() {
    let (mut system, client) = one_client();
    let region = system.grant_large(client, 1000 * PAGE).expect("memory");
    let other = system.grant_large(client, 129 * PAGE);
    assert_eq!(other, Ok(region + 2048 * PAGE));
    assert_eq!(resized(&mut system, client, region, 2048), region);
}

#[test]
fn a_region_of_whole_segments_grows_by_large_frames() {
    let (mut system, client) = one_client();
    let region = system.grant_large(client, 2 * MIB).expect("memory");
    assert_eq!(large_frames(&system), 1);
    assert_eq!(resized(&mut system, client, region, 1024), region);
    assert_eq!(large_frames(&system), 2);
    // A small one never does: it would have to be as long first.
    let small = system.grant_large(client, PAGE).expect("memory");
    resized(&mut system, client, small, 500);
    assert_eq!(large_frames(&system), 2);
    // A frame stays whole until its edge.
    let shrunk = system.resize(client, region, 700 * PAGE);
    let size = 4 * MIB;
    let address = region;
    assert_eq!(shrunk, Ok(Reply::Region { address, size }));
    let shrunk = system.resize(client, region, 512 * PAGE);
    let size = 2 * MIB;
    assert_eq!(shrunk, Ok(Reply::Region { address, size }));
    // Until the next edge, and no further.
    let longer = system.grant_large(client, 6 * MIB).expect("memory");
    let shrunk = system.resize(client, longer, 700 * PAGE);
    let (address, size) = (longer, 4 * MIB);
    assert_eq!(shrunk, Ok(Reply::Region { address, size }));
    assert!(system.is_mapped(client, longer + size - PAGE));
    assert!(!system.is_mapped(client, longer + size));
}

#[test]
fn pages_of_a_segment_end_with_it() {
    let (mut system, client) = one_client();
    let segment = open(&mut system, client, 1);
    for (first, pages) in [(1, 512), (500, 13), (511, 2), (511, 512)] {
        let response = map(&mut system, client, segment + first * PAGE, pages);
        let size = pages * PAGE;
        assert_eq!(
            response,
            Err(Error::BadSize { size }),
            "{pages} from {first}"
        );
    }
    let last = segment + 511 * PAGE;
    assert_eq!(map(&mut system, client, last, 1), Ok(Reply::Done));
    assert!(system.is_mapped(client, last));
    assert!(!system.is_mapped(client, segment + 510 * PAGE));
}

#[test]
fn what_is_no_open_segment_is_told_apart() {
    let (mut system, client) = one_client();
    let bucket = system.grant(client, 12, 3).expect("memory");
    let address = bucket;
    let refused = Err(Error::WrongKind { address });
    assert_eq!(map(&mut system, client, address, 1), refused);
    let whole = open(&mut system, client, 512);
    assert_eq!(large_frames(&system), 1);
    let address = whole + PAGE;
    let request = Request::Unmap {
        address,
        size: PAGE,
    };
    // Mapped as one frame, of which nothing can be taken out.
    assert_eq!(
        system.call(client, request),
        Err(Error::WrongKind { address })
    );
    assert_eq!(system.release(client, whole), Ok(Reply::Done));
    assert_eq!(
        system.call(client, request),
        Err(Error::BadPointer { address })
    );
}

#[test]
fn a_whole_segment_that_is_mapped_later_is_mapped_by_pages() {
    let (mut system, client) = one_client();
    let segment = open(&mut system, client, 1);
    let unmap = |address, pages| Request::Unmap {
        address,
        size: pages * PAGE,
    };
    assert_eq!(
        map(&mut system, client, segment + PAGE, 511),
        Ok(Reply::Done)
    );
    assert_eq!(large_frames(&system), 0);
    let page = segment + 77 * PAGE;
    assert_eq!(system.call(client, unmap(page, 1)), Ok(Reply::Done));
    assert!(!system.is_mapped(client, page));
    assert!(system.is_mapped(client, page + PAGE));
}

#[test]
fn a_run_grows_in_place_whichever_segment_it_stands_in() {
    let (mut system, client) = one_client();
    let mut segments = Vec::new();
    for _ in 0..3 {
        // Two of them do not fit one segment.
        system.kmalloc(client, 448 * PAGE).expect("memory");
        let run = system.kmalloc(client, 5 * PAGE).expect("memory");
        let grown = system.krealloc(client, run, 7 * PAGE);
        assert_eq!(grown, Ok(Reply::Block { address: run }));
        segments.push(run / (2 * MIB));
    }
    segments.dedup();
    assert_eq!(segments.len(), 3);
}

#[test]
fn a_run_is_put_in_the_lowest_gap_that_it_just_fits() {
    for pages in [5, 6, 7, 10, 12, 14, 20, 24, 28, 40, 48, 56] {
        let (mut system, client) = one_client();
        // A gap that is too small, and one that is not, each with somebody behind it.
        let blocks =
            [4, 5, pages, 5].map(|pages| system.kmalloc(client, pages * PAGE).expect("memory"));
        for gap in [blocks[0], blocks[2]] {
            assert_eq!(system.kfree(client, gap), Ok(Reply::Done));
        }
        let again = system.kmalloc(client, pages * PAGE);
        assert_eq!(again, Ok(blocks[2]), "{pages} pages");
    }
}

#[test]
fn a_run_of_several_segments_moves_page_by_page_where_it_has_no_large_frames() {
    let mut system = System::new(RAM);
    let free = system.books().free;
    // What goes back to a reservation can be had at once, which a frame of 2 MiB can't.
    let client = system.try_spawn(&Spawn {
        memory_reserved: PAGE,
        ..program(UNLIMITED)
    });
    let client = client.expect("a client");
    let run = system.kmalloc(client, 640 * PAGE).expect("memory");
    for page in 0..640 {
        system.fill(client, run + page * PAGE, PAGE, 7 + page);
    }
    // Two segments are its own.
    let Ok(Reply::Block { address }) = system.krealloc(client, run, 1280 * PAGE) else {
        panic!("no block");
    };
    assert_ne!(address, run);
    assert_eq!(large_frames(&system), 0);
    for page in 0..640 {
        assert_eq!(system.read_word(client, address + page * PAGE), 7 + page);
    }
    assert!(system.is_zero(client, address + 640 * PAGE, 640 * PAGE));
    assert_eq!(system.ksize(client, address), Ok(1280 * PAGE));
    assert_eq!(system.kfree(client, address), Ok(Reply::Done));
    assert!((0..1280).all(|page| !system.is_mapped(client, address + page * PAGE)));
    system.kill(client);
    assert_eq!(system.books().free, free);
}

#[test]
fn a_block_that_grows_to_a_power_of_two_stands_at_a_multiple_of_it_and_a_region_need_not() {
    let (mut system, client) = one_client();
    system.kmalloc(client, 5 * PAGE).expect("memory");
    let block = system.kmalloc(client, 7 * PAGE).expect("memory");
    assert_eq!(block % (8 * PAGE), 5 * PAGE);
    let grown = system.krealloc(client, block, 8 * PAGE);
    let Ok(Reply::Block { address }) = grown else {
        panic!("no block but {grown:?}");
    };
    assert_eq!(address % (8 * PAGE), 0);
    // Two pages, then one with room for two more.
    system.grant_large(client, PAGE).expect("memory");
    let region = system.grant_large(client, 3 * PAGE).expect("memory");
    assert_eq!(region % (8 * PAGE), 2 * PAGE);
    assert_eq!(resized(&mut system, client, region, 8), region);
}

#[test]
fn a_run_grows_up_to_the_end_of_its_segment_in_place() {
    let (mut system, client) = one_client();
    system.kmalloc(client, 448 * PAGE).expect("memory");
    let run = system.kmalloc(client, 56 * PAGE).expect("memory");
    let grown = system.krealloc(client, run, 64 * PAGE);
    assert_eq!(grown, Ok(Reply::Block { address: run }));
    assert_eq!((run + 64 * PAGE) % (2 * MIB), 0);
}

#[test]
fn a_run_grows_by_the_last_pages_of_a_limit_and_by_no_more() {
    let mut system = System::new(RAM);
    let limit = 4 * MIB;
    let client = system.spawn(limit);
    let region = system.grant_large(client, 40 * PAGE).expect("memory");
    // The region has address space, table and ledger for 24 more pages; others take all but 20.
    while system.committed(client) < limit - 20 * PAGE {
        system.kmalloc(client, PAGE).expect("memory");
    }
    let committed = limit - 20 * PAGE;
    let requested = 21 * PAGE;
    let over = Error::OverQuota {
        limit,
        committed,
        requested,
    };
    assert_eq!(system.resize(client, region, 61 * PAGE), Err(over));
    assert_eq!(resized(&mut system, client, region, 60), region);
    assert_eq!(system.committed(client), limit);
}

#[test]
fn a_segment_of_a_region_that_had_pages_once_is_filled_by_pages() {
    let (mut system, client) = one_client();
    let region = system.grant_large(client, 2 * MIB).expect("memory");
    for pages in [600, 512, 1024] {
        assert_eq!(resized(&mut system, client, region, pages), region);
    }
    // Its table stands where a second frame would be mapped.
    assert_eq!(large_frames(&system), 1);
    assert!(system.is_zero(client, region, 1024 * PAGE));
}
