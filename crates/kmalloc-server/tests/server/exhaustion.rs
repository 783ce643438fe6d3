// SPDX-License-Identifier: BSD-2-Clause
//! What ends: quotas, memory, address space, places in the registry. The refusal has figures and changes nothing, and
//! what is given back can be had again.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED, program};
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::client::CLIENTS_MAX;
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::spawn::Spawn;

type Take = fn(&mut System, ClientIndex, u64) -> Result<u64, Error>;
type Give = fn(&mut System, ClientIndex, u64) -> Result<Reply, Error>;

/// How to take and give bytes, for every kind of memory that a client can have.
const KINDS: [(&str, Take, Give); 4] = [
    ("served", System::kmalloc, System::kfree),
    (
        "bucket",
        |system, client, bytes| system.grant(client, 12, (bytes / PAGE) as u32),
        |system, client, address| system.release(client, address),
    ),
    ("large", System::grant_large, System::release),
    (
        "dma",
        |system, client, bytes| system.dma(client, bytes).map(|(address, _)| address),
        System::kfree_dma,
    ),
];

/// Takes and gives once, so that tables and ledgers for it are there already.
fn warm_up(system: &mut System, client: ClientIndex, take: Take, give: Give, bytes: u64) {
    let address = take(system, client, bytes).expect("memory");
    // A row of buckets goes back bucket by bucket.
    for page in 0..bytes / PAGE {
        if give(system, client, address + page * PAGE).is_err() {
            break;
        }
    }
}

#[test]
fn the_last_byte_of_a_quota_can_be_had_one_more_not_and_a_free_restores_it() {
    for (name, take, give) in KINDS {
        let mut system = System::new(RAM);
        // What a client costs that has had 20 pages once.
        let probe = system.spawn(UNLIMITED);
        warm_up(&mut system, probe, take, give, 20 * PAGE);
        let limit = system.committed(probe) + 20 * PAGE;
        system.kill(probe);

        let client = system.spawn(limit);
        warm_up(&mut system, client, take, give, 16 * PAGE);
        let committed = system.committed(client);
        let rest = limit - committed;
        assert!(rest >= 20 * PAGE, "{name}");
        let over = take(&mut system, client, rest + PAGE);
        let requested = rest + PAGE;
        assert_eq!(
            over,
            Err(Error::OverQuota {
                limit,
                committed,
                requested
            }),
            "{name}"
        );
        let mut last = Vec::new();
        for _ in 0..20 {
            last.push(take(&mut system, client, PAGE).unwrap_or_else(|error| {
                panic!("{name}: page {} of the last 20: {error}", last.len())
            }));
        }
        while system.committed(client) < limit {
            last.push(take(&mut system, client, PAGE).expect("the last pages"));
        }
        let requested = PAGE;
        let committed = limit;
        let over = Err(Error::OverQuota {
            limit,
            committed,
            requested,
        });
        assert_eq!(take(&mut system, client, PAGE), over, "{name}");
        let address = last.pop().expect("pages");
        assert_eq!(give(&mut system, client, address), Ok(Reply::Done));
        assert!(take(&mut system, client, PAGE).is_ok(), "{name}");
        assert_eq!(take(&mut system, client, PAGE), over, "{name}");
    }
}

#[test]
fn a_request_for_all_that_is_left_of_a_quota_succeeds() {
    for (name, take, give) in KINDS {
        let mut system = System::new(RAM);
        let probe = system.spawn(UNLIMITED);
        let before = system.committed(probe);
        let address = take(&mut system, probe, 40 * PAGE).expect("memory");
        let cost = system.committed(probe) - before;
        assert!((40 * PAGE..60 * PAGE).contains(&cost), "{name}");
        system.kill(probe);
        for (short, fits) in [(0, true), (PAGE, false)] {
            let client = system.spawn(before + cost - short);
            let taken = take(&mut system, client, 40 * PAGE);
            assert_eq!(taken.is_ok(), fits, "{name}: {taken:?}");
            if fits {
                assert_eq!(system.committed(client), before + cost);
                assert_eq!(give(&mut system, client, address), Ok(Reply::Done));
            } else {
                assert!(matches!(taken, Err(Error::OverQuota { .. })), "{name}");
            }
            system.kill(client);
        }
    }
}

#[test]
fn a_machine_without_memory_says_so_and_recovers() {
    for (name, take, give) in KINDS {
        let mut system = System::new(RAM);
        system.scan_every = 16;
        let other = system.spawn(UNLIMITED);
        let hog = system.spawn(UNLIMITED);
        let before = system.books();
        let mut taken = Vec::new();
        let error = loop {
            match take(&mut system, hog, PAGE) {
                Ok(address) => taken.push(address),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(
                error,
                Error::OutOfMemory { .. } | Error::NoContiguousRun { .. }
            ),
            "{name}: {error}"
        );
        assert!(
            system.books().free <= 16 * PAGE,
            "{name}: {}",
            system.books().free
        );
        let refused = take(&mut system, other, MIB);
        assert!(
            matches!(
                refused,
                Err(Error::OutOfMemory { .. } | Error::NoContiguousRun { .. })
            ),
            "{name}: {refused:?}"
        );
        for address in taken.drain(..) {
            assert_eq!(give(&mut system, hog, address), Ok(Reply::Done), "{name}");
        }
        let address = take(&mut system, other, MIB).expect("there is memory again");
        // Dirty pages are zeroed before anybody has them again.
        assert!(system.is_zero(other, address, MIB));
        system.kill(other);
        system.kill(hog);
        assert!(system.books().free > before.free, "{name}");
    }
}

#[test]
fn address_space_runs_out_with_a_typed_error_and_comes_back() {
    // A region of 129 pages takes whole segments, and keeps them when it shrinks.
    let mut system = System::new(&[(0x1000_0000, 26)]);
    system.scan_every = 64;
    let client = system.spawn(32 * MIB);
    let mut regions = Vec::new();
    let error = loop {
        match system.grant_large(client, 129 * PAGE) {
            Ok(address) => {
                assert!(system.resize(client, address, PAGE).is_ok());
                regions.push(address);
            }
            Err(error) => break error,
        }
    };
    // Address space for four times its memory, and 16 segments.
    let limit = 16 + 4 * 32 / 2;
    assert_eq!(error, Error::OutOfSlots { limit });
    // What one client takes is no other's loss.
    let other = system.spawn(UNLIMITED);
    assert!(system.kmalloc(other, 16).is_ok());
    let address = regions.pop().expect("regions");
    assert_eq!(system.release(client, address), Ok(Reply::Done));
    assert!(system.grant_large(client, 129 * PAGE).is_ok());
    system.kill(client);
    let address = system.grant_large(other, 8 * MIB);
    assert!(address.is_ok(), "{address:?}");
}

#[test]
fn places_in_the_registry_run_out_with_a_typed_error_and_come_back() {
    let mut system = System::new(&[(0x1000_0000, 27)]);
    let free = system.books().free;
    let clients = (0..CLIENTS_MAX)
        .map(|_| system.spawn(MIB))
        .collect::<Vec<_>>();
    let limit = CLIENTS_MAX as u64;
    assert_eq!(
        system.try_spawn(&program(MIB)),
        Err(Error::OutOfSlots { limit })
    );
    system.kill(clients[100]);
    assert_eq!(system.try_spawn(&program(MIB)), Ok(clients[100]));
    for client in clients {
        system.kill(client);
    }
    assert_eq!(system.books().free, free);
}

#[test]
fn address_space_identifiers_outlast_many_generations() {
    let mut system = System::new(RAM);
    let free = system.books().free;
    for _ in 0..2 * fake_kernel::ASID_POOL_SIZE {
        let client = system.spawn(UNLIMITED);
        system.kill(client);
    }
    assert_eq!(system.books().free, free);
}

#[test]
fn a_client_starts_with_just_the_pages_that_it_has_and_not_with_one_fewer() {
    let mut system = System::new(RAM);
    let free = system.books().free;
    let client = system.spawn(UNLIMITED);
    let committed = system.committed(client);
    system.kill(client);
    let client = system.spawn(committed);
    system.kill(client);
    for short in (PAGE..=committed).step_by(PAGE as usize) {
        let spawned = system.try_spawn(&program(committed - short));
        assert!(
            matches!(spawned, Err(Error::OverQuota { .. })),
            "{short} bytes too few: {spawned:?}"
        );
        assert_eq!(system.books().free, free);
    }
}

#[test]
fn an_alignment_without_a_free_place_is_refused_with_how_many_segments_there_are() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    // It has the first segment, which alone begins at a multiple of a whole window.
    system.kmalloc(client, PAGE).expect("memory");
    let request = Request::GrantLarge {
        size: PAGE,
        align_bits: 36,
    };
    // As many as the smallest machine has.
    let limit = 4096;
    let refused = system.call(client, request);
    assert_eq!(refused, Err(Error::OutOfSlots { limit }));
}

#[test]
fn a_run_for_which_there_are_too_few_slots_is_refused_and_takes_none() {
    let mut system = System::new(RAM);
    // Tables and a ledger for it are there already.
    let warm_up = |system: &mut System, client| {
        let region = system.grant_large(client, 40 * PAGE).expect("memory");
        assert_eq!(system.release(client, region), Ok(Reply::Done));
        system.stats(client).slots
    };
    let probe = system.spawn(UNLIMITED);
    let slots = warm_up(&mut system, probe);
    system.kill(probe);
    let client = system.try_spawn(&Spawn {
        slot_limit: Some(slots as u32 + 50),
        ..program(UNLIMITED)
    });
    let client = client.expect("a client");
    assert_eq!(warm_up(&mut system, client), slots);
    let limit = slots + 50;
    for pages in 51..=64 {
        let refused = system.grant_large(client, pages * PAGE);
        assert_eq!(refused, Err(Error::OutOfSlots { limit }), "{pages} pages");
        assert_eq!(system.stats(client).slots, slots, "{pages} pages");
    }
    assert!(system.grant_large(client, 50 * PAGE).is_ok());
    assert_eq!(system.stats(client).slots, limit);
}
