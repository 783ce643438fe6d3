// SPDX-License-Identifier: BSD-2-Clause
//! Conditions of memory at their edges: the last one that is kept, and the first that is refused as such.

use crate::system::{CHUNK, MIB, PAGE, RAM, System, UNLIMITED, program};
use fake_kernel::FakeKernel;
use kmalloc_protocol::{Error, Reply, Request, Response, SIZE_MAX};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::physical::{Page, Physical, Step};
use kmalloc_server::segments::place_of;
use kmalloc_server::spawn::Spawn;

fn one_client() -> (System, ClientIndex) {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    (system, client)
}

fn dma(
    system: &mut System,
    client: ClientIndex,
    (size, max_addr): (u64, u64),
    (align_bits, boundary_bits): (u8, u8),
) -> Response {
    let request = Request::KmallocDma {
        align_bits,
        boundary_bits,
        cache: 0,
        size,
        max_addr,
    };
    system.call(client, request)
}

fn grant_large(system: &mut System, client: ClientIndex, size: u64, align_bits: u8) -> Response {
    system.call(client, Request::GrantLarge { size, align_bits })
}

#[test]
fn an_alignment_is_refused_where_no_window_is_as_large() {
    let (mut system, client) = one_client();
    let refused = Err(Error::BadAlignment { value: 37 });
    let (size, max_addr) = (PAGE, u64::MAX);
    let response = dma(&mut system, client, (size, max_addr), (37, 0));
    assert_eq!(response, refused);
    assert_eq!(grant_large(&mut system, client, size, 37), refused);
    // There is no such memory, but there could be.
    let response = dma(&mut system, client, (size, max_addr), (36, 0));
    assert!(matches!(response, Err(Error::NoContiguousRun { .. })));
    let response = grant_large(&mut system, client, size, 36);
    assert!(!matches!(response, Err(Error::BadAlignment { .. })));
}

#[test]
fn a_boundary_is_refused_below_a_page_and_below_the_size() {
    let (mut system, client) = one_client();
    for (size, bits) in [(1, 1), (1, 11), (17 * PAGE, 16), (PAGE + 1, 12), (1, 64)] {
        let response = dma(&mut system, client, (size, u64::MAX), (0, bits));
        let value = bits.into();
        assert_eq!(response, Err(Error::BadAlignment { value }), "{size}");
    }
    for (size, bits) in [(1, 12), (PAGE, 12), (16 * PAGE, 16), (3 * PAGE, 63)] {
        let response = dma(&mut system, client, (size, u64::MAX), (0, bits));
        assert!(matches!(response, Ok(Reply::Dma { .. })), "{response:?}");
    }
}

#[test]
fn regions_stand_where_their_alignment_says() {
    for align_bits in 0..=23 {
        let (mut system, client) = one_client();
        // Somebody is there already.
        grant_large(&mut system, client, PAGE, 0).expect("memory");
        for size in [PAGE, 3 * PAGE, MIB + PAGE] {
            let reply = grant_large(&mut system, client, size, align_bits);
            let Ok(Reply::Region { address, .. }) = reply else {
                panic!("{reply:?}");
            };
            assert!(address.is_multiple_of(1 << align_bits), "{align_bits}");
        }
    }
}

#[test]
fn buckets_stand_where_their_size_says() {
    for size_bits in 12..=20 {
        let (mut system, client) = one_client();
        system.grant(client, 12, 1).expect("memory");
        // Three have no alignment by their number.
        let address = system.grant(client, size_bits, 3).expect("memory");
        assert!(address.is_multiple_of(1 << size_bits), "{size_bits}");
    }
}

#[test]
fn a_size_that_leaves_no_room_for_a_segment_is_no_region_s() {
    let (mut system, client) = one_client();
    let most = SIZE_MAX - 2 * MIB;
    let size = most + 1;
    let refused = Err(Error::BadSize { size });
    assert_eq!(grant_large(&mut system, client, size, 0), refused);
    let response = grant_large(&mut system, client, most, 0);
    assert!(matches!(response, Err(Error::OutOfMemory { .. })));
}

#[test]
fn all_of_a_limit_can_be_reserved_and_no_more() {
    let mut system = System::new(RAM);
    let reserving = |memory_reserved| Spawn {
        memory_reserved,
        ..program(2 * MIB)
    };
    assert!(system.try_spawn(&reserving(2 * MIB)).is_ok());
    let more = system.try_spawn(&reserving(2 * MIB + PAGE));
    let refused = Error::OverQuota {
        limit: 2 * MIB,
        committed: 0,
        requested: 2 * MIB + PAGE,
    };
    assert_eq!(more, Err(refused));
}

#[test]
fn a_chunk_of_dma_memory_is_a_whole_one_below_its_limit() {
    let (mut system, client) = one_client();
    // The pages above are taken up one by one first.
    system.dma(client, PAGE).expect("memory");
    let place = |response: Response| match response {
        Ok(Reply::Dma { dma_addr, .. }) => dma_addr,
        other => panic!("{other:?}"),
    };
    let first = place(dma(&mut system, client, (CHUNK, u64::MAX), (0, 0)));
    assert!(first.is_multiple_of(CHUNK));
    for (max_addr, last) in [
        (first - 1, first - CHUNK),
        (first - 2, first - CHUNK - PAGE),
        (0x140_0000 - 1, 0x140_0000 - CHUNK),
        (0x140_0000 + PAGE - 1, 0x140_0000 - CHUNK),
    ] {
        let (mut system, client) = one_client();
        let at = place(dma(&mut system, client, (CHUNK, max_addr), (0, 0)));
        assert!(at + CHUNK - 1 <= max_addr, "{max_addr:#x}: {at:#x}");
        assert!(at >= last - CHUNK, "{max_addr:#x}: {at:#x}");
    }
}

#[test]
fn a_page_before_dma_memory_and_a_page_behind_it_are_nobody_s() {
    let (mut system, client) = one_client();
    let mut before = None;
    for pages in [1, 3, 7, 4, 4] {
        let (first, _) = system.dma(client, pages * PAGE).expect("memory");
        let (next, _) = system.dma(client, PAGE).expect("memory");
        assert_eq!(next - first, (pages + 2) * PAGE);
        // There is no room between it and what was mapped before.
        assert!(before.is_none_or(|before| first - before == 3 * PAGE));
        before = Some(next);
        for address in [first - PAGE, first + pages * PAGE, next - PAGE] {
            assert!(!system.is_mapped(client, address));
        }
    }
}

#[test]
fn dma_memory_of_whole_chunks_is_of_whole_chunks_while_there_are_any() {
    let (mut system, client) = one_client();
    system.dma(client, PAGE).expect("memory");
    for chunks in [2, 3, 1] {
        let (_, dma_addr) = system.dma(client, chunks * CHUNK).expect("memory");
        assert!(dma_addr.is_multiple_of(CHUNK), "{chunks}: {dma_addr:#x}");
    }
}

#[test]
fn of_a_large_page_its_memory_is_told_whatever_its_form() {
    // A chunk and two pages; two megabytes of which nothing is memory between them.
    let (_, physical) = FakeKernel::boot(&[(0x100_0000, 16), (0x141_0000, 12), (0x142_0000, 12)]);
    let told = |physical: &Physical, from| {
        let figures = physical.large_figures(from)?;
        Some((figures.next, figures.address, figures.form, figures.free))
    };
    assert_eq!(told(&physical, 0), Some((1, 0x100_0000, 0, 16)));
    assert_eq!(told(&physical, 1), Some((3, 0x140_0000, 0, 2)));
    assert_eq!(told(&physical, 3), None);
    let figures = physical.large_figures(0).expect("memory");
    assert_eq!((figures.objects, figures.dirty), (0, 0));
    assert_eq!(physical.address_of(Page(0)), 0x100_0000);
    // Pages of chunks of objects are nobody's to give.
    let (mut system, client) = one_client();
    let objects = |system: &System| {
        let physical = system.server.physical();
        let larges = 0..physical.large_capacity();
        let figures = larges.filter_map(|large| {
            let figures = physical.large_figures(large)?;
            (figures.next == large as u64 + 1).then_some(figures.objects)
        });
        figures.sum::<u32>()
    };
    let account = system.server.client(client).expect("a place");
    let before = account.counters.object_chunks;
    assert_eq!(u64::from(objects(&system)), 16 * before);
    system.kill(client);
    system.settle();
    assert_eq!(objects(&system), 0);
}

#[test]
fn all_that_is_free_can_be_reserved_and_no_more() {
    let mut system = System::new(RAM);
    let free = system.books().free;
    let reserving = |memory_reserved| Spawn {
        memory_reserved,
        ..program(free + MIB)
    };
    let requested = free + PAGE;
    assert_eq!(
        system.try_spawn(&reserving(requested)),
        Err(Error::OutOfMemory { free, requested })
    );
    assert!(system.try_spawn(&reserving(free)).is_ok());
    assert!(system.try_spawn(&program(UNLIMITED)).is_err());
}

#[test]
fn dma_memory_of_the_largest_size_is_too_much_and_no_wrong_size() {
    let (mut system, client) = one_client();
    let free = system.books().free;
    let response = dma(&mut system, client, (SIZE_MAX, u64::MAX), (0, 0));
    let requested = SIZE_MAX;
    assert_eq!(response, Err(Error::OutOfMemory { free, requested }));
    let size = SIZE_MAX + 1;
    let response = dma(&mut system, client, (size, u64::MAX), (0, 0));
    assert_eq!(response, Err(Error::BadSize { size }));
}

#[test]
fn a_chunk_of_dma_memory_is_a_clean_one_where_a_higher_one_is_dirty() {
    let (mut system, client) = one_client();
    let (address, highest) = system.dma(client, CHUNK).expect("memory");
    system.fill(client, address, CHUNK, 0xd1a7);
    assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
    let physical = system.server.physical();
    let Some(Step::Take(chunk)) = physical.next_chunk() else {
        panic!("a chunk is whole");
    };
    assert!(physical.is_clean_chunk(chunk));
    let clean = physical.address_of(chunk.first_page());
    assert!(clean < highest);
    let (_, dma_addr) = system.dma(client, CHUNK).expect("memory");
    assert_eq!(dma_addr, clean);
}

#[test]
fn a_run_that_is_long_enough_and_not_aligned_is_no_matter_of_the_limit() {
    let (mut system, client) = one_client();
    let largest = system.server.physical().largest_run(u64::MAX) as u64 * PAGE;
    let response = dma(&mut system, client, (largest, u64::MAX), (36, 0));
    let requested = largest;
    let refused = Error::NoContiguousRun { largest, requested };
    assert_eq!(response, Err(refused));
}

#[test]
fn dma_memory_of_large_pages_and_a_few_more_overlaps_nothing() {
    for pages in [512, 513, 600, 1023, 1024] {
        let (mut system, client) = one_client();
        let size = pages * PAGE;
        let other = system.spawn(UNLIMITED);
        let first = system.dma(client, size).expect("memory");
        // A segment is one client's in every window.
        let theirs = system.grant_large(other, PAGE).expect("memory");
        let segment = |address| place_of(address as usize).0;
        let own = segment(first.0)..=segment(first.0 + size - 1);
        assert!(!own.contains(&segment(theirs)), "{pages} pages");
        let second = system.dma(client, size).expect("memory");
        assert!(second.0 - first.0 > size, "{pages} pages");
        for (address, dma_addr) in [first, second] {
            for offset in (0..size).step_by(PAGE as usize) {
                let mapped = system.translate(client, address + offset).expect("mapped");
                assert_eq!(mapped.0, dma_addr + offset, "{pages} pages");
            }
            for address in [address - PAGE, address + size] {
                assert!(!system.is_mapped(client, address), "{pages} pages");
            }
        }
        for (address, _) in [first, second] {
            assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
        }
        assert_eq!(system.stats(client).dma_bytes, 0);
    }
}
