// SPDX-License-Identifier: BSD-2-Clause
//! Memory given back is cleaned while nobody asks for any: what it costs afterwards, what of it can be had before, and
//! what happens when the kernel refuses.

use crate::system::{CHUNK, MIB, PAGE, RAM, System, UNLIMITED, filled, program};
use fake_kernel::RESET_GRANULE;
use kmalloc_protocol::{AWAIT_ALL, Error, Events, Reply, Request};
use kmalloc_server::kernel::{ClientIndex, Worker};
use kmalloc_server::physical::{Cleaning, LARGE_PAGES, Large, Physical};
use kmalloc_server::spawn::Spawn;
use kmalloc_simulation::scan;

const CODE: u32 = 77;
const LARGE: u64 = 2 * MIB;

/// Takes all there is in pieces of `size` bytes, and writes to all of it.
fn take_all(system: &mut System, client: ClientIndex, size: u64) -> Vec<u64> {
    let mut taken = Vec::new();
    while let Ok(address) = system.grant_large(client, size) {
        assert!(
            system.is_zero(client, address, size),
            "piece {}",
            taken.len()
        );
        system.fill(client, address, size, 0x5ec2e7);
        taken.push(address);
    }
    taken
}

/// A machine whose memory has all been used in pieces of `size` bytes, and given back by a client that lives or by one
/// that has died.
fn used(size: u64, by_the_dead: bool) -> System {
    let mut system = System::new(RAM);
    system.scan_every = 100;
    let client = system.spawn(UNLIMITED);
    let pieces = take_all(&mut system, client, size);
    assert!(pieces.len() > 4, "{} pieces", pieces.len());
    if by_the_dead {
        system.kill(client);
    } else {
        for address in pieces {
            assert_eq!(system.release(client, address), Ok(Reply::Done));
        }
    }
    assert!(system.server.kernel_mut().take_wake(Worker::Cleaner));
    system
}

#[test]
fn memory_given_back_is_zero_and_costs_no_zeroing_after_cleaning() {
    for size in [PAGE, CHUNK, LARGE] {
        for by_the_dead in [false, true] {
            let mut system = used(size, by_the_dead);
            system.clean();
            assert_eq!(system.server.physical().dirty_pages(), 0);
            let physical = system.server.physical();
            assert_eq!(physical.usable_pages(), physical.free_pages());
            let client = system.spawn(UNLIMITED);
            let mut pieces = 0;
            while let Ok(address) = system.grant_large(client, size) {
                assert!(system.is_zero(client, address, size));
                let zeroed = system.last_zeroed;
                assert!(zeroed <= RESET_GRANULE, "{zeroed} bytes for {size}");
                pieces += 1;
            }
            assert!(pieces > 4, "{pieces} pieces of {size} bytes");
        }
    }
}

#[test]
fn a_dirty_large_page_is_free_but_not_to_be_had_before_it_is_clean() {
    let mut system = used(LARGE, false);
    let client = ClientIndex(0);
    let free = system.books().free;
    let mut blocks = Vec::new();
    while let Ok(block) = system.kmalloc(client, PAGE) {
        blocks.push(block);
    }
    let error = system.grant_large(client, LARGE);
    let left = system.books().free;
    let soon = Error::BeingCleaned {
        usable: 0,
        free: left,
        requested: LARGE,
    };
    assert_eq!(error, Err(soon));
    assert!(left >= 4 * LARGE && left < free, "{left} bytes are free");
    assert_eq!(system.server.physical().usable_pages(), 0);
    // For the ledger of a new segment.
    for block in blocks.drain(..10) {
        assert_eq!(system.kfree(client, block), Ok(Reply::Done));
    }
    assert!(matches!(system.clean_next(), Some(Ok(Cleaning::Large(_)))));
    let address = system.grant_large(client, LARGE).expect("a clean one");
    assert!(system.is_zero(client, address, LARGE));
    assert!(system.grant_large(client, LARGE).is_err());
}

#[test]
fn what_is_being_cleaned_is_nobody_s_and_counts_as_free() {
    for size in [PAGE, CHUNK, LARGE] {
        let mut system = used(size, true);
        let free = system.books().free;
        let cleaning = system.server.next_cleaning().expect("something dirty");
        assert_eq!(system.server.next_cleaning(), None, "one at a time");
        scan(&system.server);
        assert_eq!(system.books().free, free);
        let client = system.spawn(UNLIMITED);
        take_all(&mut system, client, PAGE);
        scan(&system.server);
        let physical = system.server.physical();
        assert_eq!(physical.usable_pages(), 0);
        assert!(physical.free_pages() >= cleaning.page_count());
        // The cleaner was not done; what it cleans is as dirty as before.
        system.give_up_cleaning();
        scan(&system.server);
        system.clean();
        let address = system.grant_large(client, PAGE).expect("what was cleaned");
        assert!(system.is_zero(client, address, PAGE));
        system.kill(client);
        assert_eq!(system.books().free, free);
    }
}

#[test]
fn large_pages_come_back_after_all_memory_was_used_in_small_pages() {
    let mut system = System::new(RAM);
    let whole = system.whole_larges();
    system.scan_every = 100;
    let keeper = system.spawn(UNLIMITED);
    let kept = system.kmalloc(keeper, 3 * PAGE).expect("memory");
    system.fill(keeper, kept, 3 * PAGE, 0x0cee);
    let client = system.spawn(UNLIMITED);
    take_all(&mut system, client, PAGE);
    system.kill(client);
    assert_eq!(system.whole_larges(), 0);
    system.clean();
    // As many as are wanted; the others stay split, for small pages.
    assert_eq!(system.whole_larges(), 4);
    assert!(whole > 4);
    let client = system.spawn(UNLIMITED);
    for _ in 0..4 {
        let address = system.grant_large(client, LARGE).expect("memory");
        assert!(system.is_zero(client, address, LARGE));
        assert!(system.last_zeroed <= RESET_GRANULE);
    }
    assert_eq!(system.whole_larges(), 0);
    system.clean();
    assert!(system.whole_larges() > 0, "from what is left");
    assert!(filled(&system, keeper, kept, 3 * PAGE, 0x0cee));
}

#[test]
fn little_memory_is_not_gathered_away_from_those_who_need_it() {
    let mut system = System::new(&[(0x100_0000, 22), (0x180_0000, 20)]);
    let client = system.spawn(UNLIMITED);
    let pieces = take_all(&mut system, client, PAGE);
    for address in pieces {
        assert_eq!(system.release(client, address), Ok(Reply::Done));
    }
    system.clean();
    assert_eq!(system.whole_larges(), 0);
}

#[test]
fn a_refused_cleaning_leaves_all_as_it_was_and_is_done_the_next_time() {
    for size in [PAGE, CHUNK, LARGE] {
        let mut nth = 1;
        loop {
            let mut system = used(size, true);
            let free = system.books().free;
            system.server.kernel_mut().fail_at(nth, CODE);
            let mut jobs = 0;
            while let Some(Ok(_)) = system.clean_next() {
                jobs += 1;
            }
            scan(&system.server);
            assert_eq!(system.books().free, free);
            if system.server.kernel_mut().stop_failing().is_none() {
                assert!(jobs > 0);
                break;
            }
            system.clean();
            let physical = system.server.physical();
            assert_eq!(physical.usable_pages(), physical.free_pages());
            // Each page of a long row of them is like the next.
            nth += if nth > 40 { 97 } else { 1 };
        }
    }
}

#[test]
fn the_cleaner_is_told_once_and_told_again_when_it_waits() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let clean = system.kmalloc(client, 16).expect("memory");
    let run = system.grant_large(client, PAGE).expect("memory");
    // Few frames are ready.
    assert!(system.server.kernel_mut().take_wake(Worker::Cleaner));
    system.clean();
    assert_eq!(system.kmalloc(client, PAGE).map(|_| ()), Ok(()));
    assert!(!system.server.kernel_mut().take_wake(Worker::Cleaner));
    assert_eq!(system.release(client, run), Ok(Reply::Done));
    assert!(system.server.kernel_mut().take_wake(Worker::Cleaner));
    system.clean();
    assert_eq!(system.kfree(client, clean), Ok(Reply::Done));
    system.kill(client);
    assert!(system.server.kernel_mut().take_wake(Worker::Cleaner));
}

#[test]
fn the_cleaner_hurries_when_dirty_large_pages_are_why_memory_is_refused() {
    let mut system = used(LARGE, true);
    let hurried = |system: &System| system.server.kernel().is_cleaner_hurried();
    let client = system.spawn(UNLIMITED);
    assert!(!hurried(&system));
    assert!(system.grant_large(client, 6 * LARGE).is_err());
    assert!(hurried(&system));
    // Until as much can be had, and no longer.
    while hurried(&system) {
        assert!(matches!(system.clean_next(), Some(Ok(_))));
    }
    assert!(system.grant_large(client, 6 * LARGE).is_ok());
    // Where nothing is dirty, hurry is of no use.
    system.clean();
    while system.kmalloc(client, PAGE).is_ok() {}
    assert!(!hurried(&system));
}

#[test]
fn who_waits_for_memory_is_told_when_as_much_is_clean() {
    let mut system = used(LARGE, true);
    let client = system.spawn(UNLIMITED);
    let size = 6 * LARGE;
    let timeout_us = 1000;
    let request = Request::AwaitMemory { size, timeout_us };
    assert_eq!(system.call(client, request), Ok(Reply::Done));
    assert!(system.server.kernel().is_cleaner_hurried());
    assert_eq!(system.server.kernel_mut().take_signals(), []);
    while system.server.kernel_mut().take_signals().is_empty() {
        assert!(matches!(system.clean_next(), Some(Ok(_))));
        system.settle();
    }
    assert!(system.grant_large(client, size).is_ok());
}

#[test]
fn who_needs_a_run_that_cleaning_gives_waits_for_all_whatever_its_limit() {
    let mut system = used(LARGE, true);
    let size = MIB / 2;
    let [hog, client] = [UNLIMITED, 2 * size].map(|limit| system.spawn(limit));
    let mut pages = Vec::new();
    while let Ok(address) = system.grant_large(hog, PAGE) {
        pages.push(address);
    }
    for address in pages.into_iter().step_by(2) {
        assert_eq!(system.release(hog, address), Ok(Reply::Done));
    }
    let Err(Error::BeingCleaned {
        usable,
        free,
        requested,
    }) = system.dma(client, size)
    else {
        panic!("there is no run yet");
    };
    assert_eq!(requested, size);
    assert!(size <= usable && usable < free, "{usable} of {free}");
    let timeout_us = 1000;
    let as_much = Request::AwaitMemory {
        size: free,
        timeout_us,
    };
    let refused = system.call(client, as_much);
    assert!(
        matches!(refused, Err(Error::OverQuota { .. })),
        "{refused:?}"
    );
    let all = Request::AwaitMemory {
        size: AWAIT_ALL,
        timeout_us,
    };
    assert_eq!(system.call(client, all), Ok(Reply::Done));
    system.settle();
    assert!(system.server.kernel().is_cleaner_hurried());
    // Cleaning gives to one what another waits for, and somebody takes pages meanwhile: neither ends the waiting.
    assert!(matches!(system.clean_next(), Some(Ok(_))));
    system.grant_large(hog, 8 * PAGE).expect("some of it");
    while system.server.kernel_mut().take_signals().is_empty() {
        let physical = system.server.physical();
        assert!(physical.usable_pages() < physical.free_pages());
        assert!(matches!(system.clean_next(), Some(Ok(_))));
        system.settle();
    }
    assert_eq!(system.events(client), Events::MEMORY);
    let physical = system.server.physical();
    assert_eq!(physical.usable_pages(), physical.free_pages());
    assert!(system.dma(client, size).is_ok());
    system.clean();
    assert!(!system.server.kernel().is_cleaner_hurried());
}

#[test]
fn who_waits_for_all_that_is_free_hears_at_once_where_all_is_clean_and_not_after_its_time() {
    let mut system = used(LARGE, true);
    let client = system.spawn(MIB);
    let all = Request::AwaitMemory {
        size: AWAIT_ALL,
        timeout_us: 1000,
    };
    assert_eq!(system.call(client, all), Ok(Reply::Done));
    system.server.kernel_mut().pass(1000);
    let now_us = system.now_us();
    system.server.alarm(now_us);
    system.settle();
    assert_eq!(system.events(client), Events::TIMEOUT);
    system.clean();
    system.settle();
    assert_eq!(system.events(client), Events::empty());
    assert_eq!(system.call(client, all), Ok(Reply::Done));
    system.settle();
    assert_eq!(system.events(client), Events::MEMORY);
}

#[test]
fn what_is_set_aside_for_who_needs_a_run_counts_for_it() {
    let mut system = used(LARGE, true);
    let size = MIB / 2;
    let hog = system.spawn(UNLIMITED);
    let client = system.try_spawn(&Spawn {
        memory_reserved: MIB,
        ..program(2 * MIB)
    });
    let client = client.expect("a client");
    let mut pages = Vec::new();
    while let Ok(address) = system.grant_large(hog, PAGE) {
        pages.push(address);
    }
    for address in pages.into_iter().step_by(2) {
        assert_eq!(system.release(hog, address), Ok(Reply::Done));
    }
    // What nobody but the client could have lies side by side yet.
    while system.dma(client, CHUNK).is_ok() {}
    assert!(system.server.set_aside() > 0);
    let waits = Error::BeingCleaned {
        usable: system.server.physical().usable_pages() as u64 * PAGE,
        free: system.books().free,
        requested: size,
    };
    assert_eq!(system.dma(client, size), Err(waits));
}

#[test]
fn who_wants_a_little_has_four_large_pages_cleaned_and_no_more() {
    const LARGES: usize = 6;
    let bytes = LARGE * LARGES as u64;
    let mut physical = Physical::new(0, bytes);
    for large in (0..LARGES as u32).map(Large) {
        physical.add_large(large);
        physical.take_large(large);
        physical.give_large(large);
    }
    assert!(physical.want(1));
    for cleaned in 1..=LARGES {
        assert!(matches!(
            physical.begin_cleaning(),
            Some(Cleaning::Large(_))
        ));
        physical.end_cleaning(true);
        assert_eq!(physical.usable_pages(), cleaned * LARGE_PAGES);
        assert_eq!(physical.is_wanting(), cleaned < 4, "{cleaned} are clean");
    }
    assert!(!physical.want(1));
}

#[test]
fn who_waits_for_memory_is_told_when_what_comes_with_it_can_be_had_too() {
    let mut system = used(LARGE, true);
    let [hog, client] = [(); 2].map(|()| system.spawn(UNLIMITED));
    // Nothing is left but large pages that are dirty.
    while system.grant_large(hog, PAGE).is_ok() {}
    let size = 3 * LARGE;
    let refused = system.grant_large(client, size);
    assert!(
        matches!(refused, Err(Error::BeingCleaned { requested, .. }) if requested == size),
        "{refused:?}"
    );
    let timeout_us = 1000;
    let request = Request::AwaitMemory { size, timeout_us };
    assert_eq!(system.call(client, request), Ok(Reply::Done));
    system.settle();
    while system.server.kernel_mut().take_signals().is_empty() {
        assert!(matches!(system.clean_next(), Some(Ok(_))));
        system.settle();
    }
    // For a table and a ledger a large page goes that is none of the three.
    let address = system.grant_large(client, size).expect("what was told");
    assert!(system.is_zero(client, address, size));
    // Where all is clean there is nothing to wait for, and what was asked for has to do.
    system.clean();
    let size = system.books().free;
    let request = Request::AwaitMemory { size, timeout_us };
    assert_eq!(system.call(client, request), Ok(Reply::Done));
    system.settle();
    assert_eq!(system.events(client), Events::MEMORY);
}
