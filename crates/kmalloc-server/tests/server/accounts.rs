// SPDX-License-Identifier: BSD-2-Clause
//! Accounts: what is reserved can't fail later, whatever others do; slots are counted and limited.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED, program};
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::spawn::Spawn;
use kmalloc_simulation::scan;

/// A client with memory set aside for it.
fn reserving(memory_limit: u64, memory_reserved: u64) -> Spawn<'static> {
    Spawn {
        memory_reserved,
        ..program(memory_limit)
    }
}

/// Takes all that others can have, until no chunk is free as a whole, if that can be done in a few rounds: every second page goes back, and
/// as many are taken again, which are not the same.
fn fragment(system: &mut System) -> [ClientIndex; 2] {
    let hogs = [UNLIMITED; 2].map(|limit| system.spawn(limit));
    let mut blocks = Vec::new();
    for round in 0..6 {
        let hog = hogs[round % 2];
        while let Ok(block) = system.kmalloc(hog, PAGE) {
            system.fill(hog, block, PAGE, 0xdead);
            blocks.push((hog, block));
        }
        let physical = system.server.physical();
        if physical.next_large().is_none() && physical.next_chunk().is_none() {
            break;
        }
        let mut number = 0;
        blocks.retain(|(hog, block)| {
            number += 1;
            if number % 2 == 0 {
                assert_eq!(system.kfree(*hog, *block), Ok(Reply::Done));
            }
            number % 2 != 0
        });
    }
    hogs
}

/// A page at a time by every way there is, until the reservation is used up; how many requests that took.
fn take_reserved(system: &mut System, client: ClientIndex, reserved: u64) -> u64 {
    let mut requests = 0;
    // A request may need a page for the ledger besides; the last page alone may be too little for both.
    while system.committed(client) + 2 * PAGE <= reserved {
        let taken = match requests % 5 {
            0 => system.kmalloc(client, PAGE).map(|_| ()),
            1 => system.grant(client, 12, 1).map(|_| ()),
            2 => system.grant_large(client, PAGE).map(|_| ()),
            3 => system.dma(client, PAGE).map(|_| ()),
            _ => make_and_attach(system, client),
        };
        assert_eq!(taken, Ok(()), "request {requests}");
        requests += 1;
    }
    while system.committed(client) < reserved {
        let last = system.kmalloc(client, PAGE).map(|_| ());
        assert_eq!(last, Ok(()), "the last page");
    }
    requests
}

/// A dataspace of a page, which is attached if that costs no page more; else another page.
fn make_and_attach(system: &mut System, client: ClientIndex) -> Result<(), Error> {
    match system.make_dataspace(client, PAGE) {
        Ok(token) => system.attach(client, token, true).map(|_| ()),
        Err(Error::OutOfSlots { .. }) => system.kmalloc(client, PAGE).map(|_| ()),
        Err(error) => Err(error),
    }
}

#[test]
fn what_is_reserved_can_be_had_to_the_last_byte_when_others_have_all_else_in_pieces() {
    for mcs in [false, true] {
        let mut system = if mcs {
            System::new_mcs(RAM)
        } else {
            System::new(RAM)
        };
        system.scan_every = 61;
        let reserved = 6 * MIB;
        let client = system
            .try_spawn(&reserving(8 * MIB, reserved))
            .expect("a client starts");
        assert_eq!(system.stats(client).reserved, reserved);
        let hogs = fragment(&mut system);
        let physical = system.server.physical();
        assert_eq!((physical.next_large(), physical.next_chunk()), (None, None));
        for _ in 0..7 {
            assert_eq!(system.start_thread(client), Ok(Reply::Done));
        }
        let requests = take_reserved(&mut system, client, reserved);
        assert!(requests > 900, "{requests} requests");
        assert_eq!(system.committed(client), reserved);
        scan(&system.server);
        // Beyond it, it is like the others.
        let beyond = system.kmalloc(client, 5 * PAGE);
        assert!(
            matches!(beyond, Err(Error::OutOfMemory { .. })),
            "{beyond:?}"
        );
        for client in [client, hogs[0], hogs[1]] {
            system.kill(client);
        }
        assert_eq!(system.books().committed, 0);
        assert_eq!(system.server.set_aside(), 0);
    }
}

#[test]
fn what_goes_back_is_set_aside_again() {
    let mut system = System::new(RAM);
    system.scan_every = 97;
    let client = system
        .try_spawn(&reserving(8 * MIB, 4 * MIB))
        .expect("a client starts");
    for round in 0..3 {
        let committed = system.committed(client);
        let rest = 4 * MIB - committed;
        // With its table and ledger; 2 MiB at once are no frame of 2 MiB, which could not be had again at once.
        let region = system.grant_large(client, rest / 2).expect("reserved");
        let block = system.kmalloc(client, rest / 4).expect("reserved");
        let hogs = fragment(&mut system);
        assert_eq!(system.release(client, region), Ok(Reply::Done), "{round}");
        assert_eq!(system.kfree(client, block), Ok(Reply::Done));
        for hog in hogs {
            while system.kmalloc(hog, PAGE).is_ok() {}
        }
        let region = system.grant_large(client, rest / 2).expect("reserved");
        let block = system.kmalloc(client, rest / 4).expect("reserved");
        assert!(system.is_zero(client, region, PAGE));
        for hog in hogs {
            system.kill(hog);
        }
        assert_eq!(system.release(client, region), Ok(Reply::Done));
        assert_eq!(system.kfree(client, block), Ok(Reply::Done));
    }
}

#[test]
fn a_reservation_that_can_t_be_kept_is_refused_at_the_start() {
    let mut system = System::new(RAM);
    let first = system.try_spawn(&reserving(UNLIMITED, 10 * MIB));
    let first = first.expect("a client starts");
    let books = system.books();
    let free = books.free - system.server.set_aside() as u64 * PAGE;
    let requested = 10 * MIB;
    assert_eq!(
        system.try_spawn(&reserving(UNLIMITED, requested)),
        Err(Error::OutOfMemory { free, requested })
    );
    assert_eq!(system.books(), books);
    let limit = MIB;
    assert_eq!(
        system.try_spawn(&reserving(limit, limit + PAGE)),
        Err(Error::OverQuota {
            limit,
            committed: 0,
            requested: limit + PAGE
        })
    );
    // What is left without it can be had, by one who reserves it or by one who does not.
    let second = system.try_spawn(&reserving(UNLIMITED, 2 * MIB));
    assert!(second.is_ok());
    let third = system.spawn(UNLIMITED);
    while system.kmalloc(third, PAGE).is_ok() {}
    // The end of a client ends its reservation.
    system.kill(first);
    assert!(system.kmalloc(third, 9 * MIB).is_ok());
}

#[test]
fn a_kernel_call_that_fails_leaves_the_sums_right() {
    for nth in 1..200 {
        let mut system = System::new(RAM);
        system.server.kernel_mut().fail_at(nth, 77);
        let client = system.try_spawn(&reserving(4 * MIB, 2 * MIB));
        let failed = system.server.kernel_mut().stop_failing();
        if let Some(call) = failed {
            assert_eq!(
                client,
                Err(Error::Refused { code: 77 }),
                "call {nth} ({call})"
            );
            assert_eq!(system.server.set_aside(), 0);
            assert_eq!(system.books().committed, 0);
        } else {
            assert!(nth > 20, "a spawn has more calls than {nth}");
            return;
        }
    }
}

#[test]
fn memory_that_is_set_aside_is_not_cleaned_away() {
    let mut system = System::new(RAM);
    system.scan_every = 97;
    let client = system
        .try_spawn(&reserving(8 * MIB, 6 * MIB))
        .expect("a client starts");
    let hogs = fragment(&mut system);
    // Whatever the cleaner has under its hands, the reserved pages can be had.
    while let Some(cleaning) = system.server.next_cleaning() {
        scan(&system.server);
        let block = system.kmalloc(client, 16 * PAGE).expect("reserved");
        assert_eq!(system.kfree(client, block), Ok(Reply::Done));
        system.server.cleaned(false);
        if !matches!(cleaning, kmalloc_server::physical::Cleaning::Large(_)) {
            break;
        }
    }
    take_reserved(&mut system, client, 6 * MIB);
    for client in [client, hogs[0], hogs[1]] {
        system.kill(client);
    }
}

#[test]
fn slots_are_limited_and_come_back() {
    let mut system = System::new(RAM);
    let probe = system.spawn(UNLIMITED);
    let address = system.kmalloc(probe, PAGE).expect("memory");
    assert_eq!(system.kfree(probe, address), Ok(Reply::Done));
    let least = system.stats(probe).slots;
    system.kill(probe);
    let slot_limit = least as u32 + 20;
    let client = system
        .try_spawn(&Spawn {
            slot_limit: Some(slot_limit),
            ..program(UNLIMITED)
        })
        .expect("a client starts");
    assert_eq!(system.stats(client).slot_limit, u64::from(slot_limit));
    let limit = u64::from(slot_limit);
    let mut blocks = Vec::new();
    let over = loop {
        match system.kmalloc(client, PAGE) {
            Ok(block) => blocks.push(block),
            Err(error) => break error,
        }
    };
    assert_eq!(over, Error::OutOfSlots { limit });
    assert!((18..=21).contains(&blocks.len()), "{} pages", blocks.len());
    let stats = system.stats(client);
    assert_eq!((stats.slots, stats.slots_peak), (limit, limit));
    let committed = stats.committed;
    // Every way to take anything is refused now, and changes nothing.
    for request in [
        Request::Kmalloc {
            size: 10 * PAGE,
            flags: 0,
        },
        Request::Grant {
            size_bits: 16,
            count: 1,
        },
        Request::GrantLarge {
            size: PAGE,
            align_bits: 0,
        },
        Request::OpenSegment { size: PAGE },
        Request::MakeDataspace { size: PAGE },
        Request::StartThread {
            entry: 0x40_0000,
            stack: 0x41_0000,
            argument: 0,
        },
    ] {
        let refused = system.call(client, request);
        assert_eq!(refused, Err(Error::OutOfSlots { limit }), "{request:?}");
        assert_eq!(system.committed(client), committed, "{request:?}");
        assert_eq!(system.stats(client).slots, limit, "{request:?}");
    }
    let block = blocks.pop().expect("a block");
    assert_eq!(system.kfree(client, block), Ok(Reply::Done));
    assert_eq!(system.stats(client).slots, limit - 1);
    assert!(system.kmalloc(client, PAGE).is_ok());
    let small = system.try_spawn(&Spawn {
        slot_limit: Some(10),
        ..program(UNLIMITED)
    });
    assert_eq!(small, Err(Error::OutOfSlots { limit: 10 }));
}

#[test]
fn attached_pages_are_charged_as_slots_to_who_attaches() {
    let mut system = System::new(RAM);
    let maker = system.spawn(UNLIMITED);
    let other = system.spawn(MIB);
    // A window's last segment stays, with its table.
    let token = system.make_dataspace(maker, PAGE).expect("memory");
    assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
    let address = system.attach(other, token, true).expect("attached");
    let large = system.make_dataspace(maker, 40 * PAGE).expect("memory");
    let slots = |system: &mut System| (system.stats(maker).slots, system.stats(other).slots);
    let before = slots(&mut system);
    assert_eq!(system.share(maker, large, other, true), Ok(Reply::Done));
    system.attach(other, large, false).expect("attached");
    assert_eq!(slots(&mut system), (before.0, before.1 + 40));
    assert_eq!(system.detach(other, address), Ok(Reply::Done));
    assert_eq!(slots(&mut system), (before.0, before.1 + 39));
    // The default: twice the pages of its limit, and 64.
    let limit = 2 * 256 + 64;
    assert_eq!(system.stats(other).slot_limit, limit);
    let over = loop {
        match system.attach(other, large, false) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(over, Error::OutOfSlots { limit });
    assert!(system.stats(other).slots > limit - 50);
    system.kill(maker);
    // The dead maker's pages are its slots too.
    let account = system.server.client(maker).expect("a place");
    assert_eq!(account.slots.committed, 40);
    system.kill(other);
    assert_eq!(system.books().committed, 0);
}

#[test]
fn a_parent_gives_nothing_away_that_is_reserved_for_it() {
    let mut system = System::new(RAM);
    let parent = system
        .try_spawn(&reserving(4 * MIB, 3 * MIB))
        .expect("a client starts");
    let memory = MIB + PAGE;
    let text = "child";
    let start = Request::Start { memory, text };
    assert!(system.committed(parent) < 3 * MIB);
    assert_eq!(
        system.call(parent, start),
        Err(Error::OverQuota {
            limit: 4 * MIB,
            committed: 3 * MIB,
            requested: memory
        })
    );
    assert!(system.start(parent, MIB).is_ok());
}

#[test]
fn what_is_set_aside_is_free_for_its_owner_alone() {
    let mut system = System::new(RAM);
    let owner = system
        .try_spawn(&reserving(32 * MIB, 4 * MIB))
        .expect("a client starts");
    let other = system.spawn(UNLIMITED);
    assert!(system.server.set_aside() > 0);
    let requested = 20 * MIB;
    let free = system.books().free;
    let refused = system.kmalloc(owner, requested);
    assert_eq!(refused, Err(Error::OutOfMemory { free, requested }));
    let free = free - system.server.set_aside() as u64 * PAGE;
    let refused = system.kmalloc(other, requested);
    assert_eq!(refused, Err(Error::OutOfMemory { free, requested }));
}
