// SPDX-License-Identifier: BSD-2-Clause
//! Which pages of a client that allows it are moved, and where to.

use crate::system::{PAGE, RAM, System, UNLIMITED};
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_simulation::scan;

const fn dma(pages: u64) -> Request<'static> {
    Request::KmallocDma {
        align_bits: 0,
        boundary_bits: 0,
        cache: 0,
        size: pages * PAGE,
        max_addr: u64::MAX,
    }
}

/// All memory in blocks of so many pages, but for every eighth of them.
fn clutter(system: &mut System, client: ClientIndex, pages: u64) -> Vec<u64> {
    system.scan_every = u64::MAX;
    let mut blocks = Vec::new();
    while let Ok(address) = system.kmalloc(client, pages * PAGE) {
        for page in (address..address + pages * PAGE).step_by(PAGE as usize) {
            system.fill(client, page, PAGE, page);
        }
        blocks.push(address);
    }
    // What is left where no block fits any more.
    for pages in [16, 1] {
        while system.call(client, dma(pages)).is_ok() {}
    }
    for index in (0..blocks.len() / 8).rev() {
        let address = blocks.swap_remove(index * 8);
        assert_eq!(system.kfree(client, address), Ok(Reply::Done));
    }
    blocks
}

#[test]
fn pages_of_a_run_are_moved_each_to_its_own_place() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    system.dma(client, PAGE).expect("memory");
    system.server.allow_moving(client);
    let blocks = clutter(&mut system, client, 4);
    let pages = blocks
        .iter()
        .flat_map(|block| (0..4).map(move |page| block + page * PAGE))
        .collect::<Vec<_>>();
    let before = pages
        .iter()
        .map(|page| system.translate(client, *page))
        .collect::<Vec<_>>();
    assert!(system.call(client, dma(16)).is_ok());
    scan(&system.server);
    let mut moved = [0; 4];
    for (number, (page, was)) in pages.iter().zip(before).enumerate() {
        assert_eq!(system.read_word(client, *page), *page);
        moved[number % 4] += u32::from(system.translate(client, *page) != was);
    }
    assert!(moved.iter().all(|count| *count > 0), "{moved:?}");
    for block in blocks {
        assert_eq!(system.kfree(client, block), Ok(Reply::Done));
    }
    scan(&system.server);
}

#[test]
fn pages_of_a_run_that_was_resized_are_moved_to_where_it_is_now() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    system.server.allow_moving(client);
    let first = system.kmalloc(client, 12 * PAGE).expect("memory");
    for page in 0..12 {
        system.fill(client, first + page * PAGE, PAGE, 7 + page);
    }
    // Somebody is behind it.
    system.kmalloc(client, 5 * PAGE).expect("memory");
    let resized = system.krealloc(client, first, 14 * PAGE);
    let Ok(Reply::Block { address }) = resized else {
        panic!("no block but {resized:?}");
    };
    assert_ne!(address, first);
    // What others have stays.
    let other = system.spawn(UNLIMITED);
    system.dma(other, PAGE).expect("memory");
    clutter(&mut system, other, 1);
    let places = |system: &System| {
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
            .map(|page| system.translate(client, address + page * PAGE))
    };
    let before = places(&system);
    assert!(system.call(other, dma(8)).is_ok());
    assert_ne!(places(&system), before);
    for page in 0..12 {
        assert_eq!(system.read_word(client, address + page * PAGE), 7 + page);
    }
    scan(&system.server);
}

#[test]
fn pages_of_a_program_and_of_its_threads_stay() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    system.server.allow_moving(client);
    for _ in 0..4 {
        assert_eq!(system.start_thread(client), Ok(Reply::Done));
    }
    let pages = (0x20_0000..0x40_3000).step_by(PAGE as usize);
    let places = |system: &System| {
        pages
            .clone()
            .map(|page| system.translate(client, page))
            .collect::<Vec<_>>()
    };
    let before = places(&system);
    assert!(before.iter().flatten().count() > 8);
    // All other pages are of somebody who allows nothing; those that are free lie alone.
    let other = system.spawn(UNLIMITED);
    system.dma(other, PAGE).expect("memory");
    clutter(&mut system, other, 1);
    let refused = Error::NoContiguousRun {
        largest: PAGE,
        requested: 2 * PAGE,
    };
    assert_eq!(system.call(other, dma(2)), Err(refused));
    assert_eq!(places(&system), before);
    scan(&system.server);
}
