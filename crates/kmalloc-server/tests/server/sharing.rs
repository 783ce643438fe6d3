// SPDX-License-Identifier: BSD-2-Clause
//! Dataspaces: who sees what, who may, who pays, and when the memory comes back.

use crate::system::{PAGE, RAM, System, UNLIMITED, filled};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::copy_count;
use kmalloc_server::dataspace::{DATASPACES_MAX, DATASPACES_OF_CLIENT_MAX, RECIPIENTS_MAX};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_simulation::scan;

/// A machine with three clients, the first of which has made a dataspace of so many bytes.
pub fn with_dataspace(bytes: u64) -> (System, [ClientIndex; 3], u64) {
    let mut system = System::new(RAM);
    let clients = [UNLIMITED; 3].map(|limit| system.spawn(limit));
    let token = system.make_dataspace(clients[0], bytes).expect("memory");
    (system, clients, token)
}

#[test]
fn what_one_writes_the_other_reads_at_the_same_offset() {
    for pages in [1, 5, 512, 700] {
        let (mut system, [maker, other, _], token) = with_dataspace(pages * PAGE);
        assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
        let here = system.attach(maker, token, true).expect("attached");
        let there = system.attach(other, token, true).expect("attached");
        assert_ne!(here, there, "no two clients have the same segment");
        assert!(system.is_zero(maker, here, pages * PAGE));
        for page in 0..pages {
            system.write(maker, here + page * PAGE, &(page + 1).to_le_bytes());
            assert_eq!(system.read_word(other, there + page * PAGE), page + 1);
            system.write(other, there + page * PAGE + 8, &(page + 2).to_le_bytes());
            assert_eq!(system.read_word(maker, here + page * PAGE + 8), page + 2);
        }
        // A page behind it is mapped in neither.
        assert!(!system.is_mapped(maker, here + pages * PAGE));
        assert!(!system.is_mapped(other, there + pages * PAGE));
    }
}

#[test]
fn read_only_is_read_only_and_asking_for_more_is_refused() {
    let (mut system, [maker, other, _], token) = with_dataspace(3 * PAGE);
    assert_eq!(system.share(maker, token, other, false), Ok(Reply::Done));
    assert_eq!(
        system.attach(other, token, true),
        Err(Error::NotPermitted),
        "it was given to read"
    );
    let here = system.attach(maker, token, true).expect("attached");
    let there = system.attach(other, token, false).expect("attached");
    system.fill(maker, here, 3 * PAGE, 0xabcd);
    assert!(filled(&system, other, there, 3 * PAGE, 0xabcd));
    for page in 0..3 {
        let (_, how) = system
            .translate(other, there + page * PAGE)
            .expect("it is mapped");
        assert!(!how.writable);
    }
    // To be given more is possible, to be given less is not: it may be in use.
    assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
    assert_eq!(system.share(maker, token, other, false), Ok(Reply::Done));
    assert!(system.attach(other, token, true).is_ok());
}

#[test]
fn a_token_is_good_for_its_recipients_alone_and_for_as_long_as_it_is_held() {
    let (mut system, [maker, other, thief], token) = with_dataspace(PAGE);
    assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
    let not_permitted = Err(Error::NotPermitted);
    assert_eq!(
        system.attach(thief, token, false).map(|_| ()),
        Err(Error::NotPermitted)
    );
    assert_eq!(system.close(thief, token), not_permitted);
    assert_eq!(system.share(thief, token, thief, true), not_permitted);
    assert_eq!(system.share(other, token, thief, true), not_permitted);
    assert_eq!(system.close(other, token), not_permitted);
    for handle in [0, 1, token + 1, token + 1024, u64::MAX] {
        let stale = Error::Stale { handle };
        assert_eq!(system.attach(maker, handle, false), Err(stale));
        assert_eq!(system.close(maker, handle), Err(stale));
        assert_eq!(system.share(maker, handle, other, false), Err(stale));
    }
    for writable in [2, 3, 255] {
        let unknown = u32::from(writable) & !1;
        let request = Request::Attach { writable, token };
        assert_eq!(
            system.call(maker, request),
            Err(Error::BadFlags { unknown })
        );
        let handle = system.handle(other);
        let request = Request::ShareDataspace {
            writable,
            token,
            handle,
        };
        assert_eq!(
            system.call(maker, request),
            Err(Error::BadFlags { unknown })
        );
    }
    assert_eq!(system.close(maker, token), Ok(Reply::Done));
    let stale = Err(Error::Stale { handle: token });
    assert_eq!(system.close(maker, token), stale);
    assert_eq!(
        system.attach(other, token, true).map(|_| ()),
        Err(Error::Stale { handle: token })
    );
    // The place is used again, the token is not.
    let next = system.make_dataspace(maker, PAGE).expect("memory");
    assert_eq!(next & 1023, token & 1023);
    assert_ne!(next, token);
    assert_eq!(system.share(maker, token, other, false), stale);
}

#[test]
fn a_handle_of_the_dead_is_stale_and_the_next_life_has_another() {
    let (mut system, [maker, other, _], token) = with_dataspace(PAGE);
    let handle = system.handle(other);
    assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
    system.kill(other);
    let again = system.spawn(UNLIMITED);
    assert_eq!(again, other, "the place is the same");
    assert_ne!(system.handle(again), handle);
    // What was shared with the one before is not shared with this one.
    assert_eq!(system.attach(again, token, false), Err(Error::NotPermitted));
    let request = Request::ShareDataspace {
        writable: 0,
        token,
        handle,
    };
    assert_eq!(system.call(maker, request), Err(Error::Stale { handle }));
    for handle in [0, 1, 511, handle + 1, u64::MAX] {
        assert!(system.server.client_of(handle).is_err());
    }
    let handle = system.handle(again);
    assert_eq!(system.server.client_of(handle), Ok(again));
}

#[test]
fn recipients_are_bounded_and_those_who_ended_make_room() {
    let (mut system, [maker, ..], token) = with_dataspace(PAGE);
    let recipients = [UNLIMITED; RECIPIENTS_MAX].map(|limit| system.spawn(limit));
    for recipient in recipients {
        assert_eq!(
            system.share(maker, token, recipient, false),
            Ok(Reply::Done)
        );
    }
    let one_more = system.spawn(UNLIMITED);
    let limit = RECIPIENTS_MAX as u64;
    assert_eq!(
        system.share(maker, token, one_more, false),
        Err(Error::OutOfSlots { limit })
    );
    assert_eq!(
        system.share(maker, token, recipients[3], true),
        Ok(Reply::Done),
        "one that is known already"
    );
    system.kill(recipients[5]);
    assert_eq!(system.share(maker, token, one_more, false), Ok(Reply::Done));
    assert!(system.attach(one_more, token, false).is_ok());
}

#[test]
fn dataspaces_are_bounded_per_client_and_in_all() {
    let mut system = System::new(RAM);
    system.scan_every = 100;
    let mut made = 0;
    let mut clients = Vec::new();
    while made < DATASPACES_MAX {
        let client = system.spawn(UNLIMITED);
        let of_client = usize::from(DATASPACES_OF_CLIENT_MAX).min(DATASPACES_MAX - made);
        for _ in 0..of_client {
            system.make_dataspace(client, PAGE).expect("memory");
        }
        made += of_client;
        if of_client == usize::from(DATASPACES_OF_CLIENT_MAX) {
            let limit = u64::from(DATASPACES_OF_CLIENT_MAX);
            let over = system.make_dataspace(client, PAGE);
            assert_eq!(over, Err(Error::OutOfSlots { limit }));
        }
        clients.push(client);
    }
    let late = system.spawn(UNLIMITED);
    let limit = DATASPACES_MAX as u64;
    let over = system.make_dataspace(late, PAGE);
    assert_eq!(over, Err(Error::OutOfSlots { limit }));
    system.kill(clients[2]);
    assert!(system.make_dataspace(late, PAGE).is_ok());
    for client in clients {
        if client != ClientIndex(2) {
            system.kill(client);
        }
    }
}

#[test]
fn the_maker_pays_for_the_pages_and_who_attaches_for_its_tables() {
    let (mut system, [maker, other, _], token) = with_dataspace(PAGE);
    assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
    let address = system.attach(other, token, true).expect("attached");
    assert_eq!(system.detach(other, address), Ok(Reply::Done));
    let before = (system.committed(maker), system.committed(other));
    let large = system.make_dataspace(maker, 40 * PAGE).expect("memory");
    assert_eq!(system.committed(maker), before.0 + 40 * PAGE);
    assert_eq!(system.share(maker, large, other, true), Ok(Reply::Done));
    let address = system.attach(other, large, true).expect("attached");
    assert_eq!(
        system.committed(other),
        before.1,
        "its table is there already"
    );
    assert_eq!(system.committed(maker), before.0 + 40 * PAGE);
    assert_eq!(system.close(maker, large), Ok(Reply::Done));
    assert_eq!(
        system.committed(maker),
        before.0 + 40 * PAGE,
        "still attached"
    );
    assert_eq!(system.detach(other, address), Ok(Reply::Done));
    assert_eq!(system.committed(maker), before.0);
    // Over quota: nothing is made.
    let limit = system.committed(maker) + 5 * PAGE;
    let poor = system.spawn(limit);
    let committed = system.committed(poor);
    let size = limit - committed + PAGE;
    assert_eq!(
        system.make_dataspace(poor, size),
        Err(Error::OverQuota {
            limit,
            committed,
            requested: size
        })
    );
    assert_eq!(system.committed(poor), committed);
    for size in [0, u64::MAX, 1 << 36] {
        let bad = Err(Error::BadSize { size });
        assert_eq!(system.make_dataspace(maker, size), bad);
    }
}

#[test]
fn other_calls_refuse_what_is_attached_and_detach_refuses_all_else() {
    let (mut system, [maker, other, _], token) = with_dataspace(3 * PAGE);
    let attached = system.attach(maker, token, true).expect("attached");
    for address in [attached, attached + 8, attached + PAGE, attached + 9 * PAGE] {
        let wrong_kind = Err(Error::WrongKind { address });
        let (size, flags) = (PAGE, 0);
        for request in [
            Request::Kfree { address },
            Request::Ksize { address },
            Request::Krealloc {
                address,
                size,
                flags,
            },
            Request::KfreeDma { address },
            Request::Release { address },
            Request::Resize { address, size },
            Request::Map { address, size },
            Request::Unmap { address, size },
        ] {
            assert_eq!(system.call(maker, request), wrong_kind, "{request:x?}");
            let not_owner = Err(Error::NotOwner { address });
            assert_eq!(system.call(other, request), not_owner, "{request:x?}");
        }
    }
    let not_owner = Err(Error::NotOwner { address: attached });
    assert_eq!(system.detach(other, attached), not_owner);
    let block = system.kmalloc(maker, 64).expect("memory");
    let region = system.grant_large(maker, PAGE).expect("memory");
    let bucket = system.grant(maker, 12, 1).expect("memory");
    let (dma, _) = system.dma(maker, PAGE).expect("memory");
    for address in [block, region, bucket, dma] {
        let wrong_kind = Err(Error::WrongKind { address });
        assert_eq!(system.detach(maker, address), wrong_kind);
    }
    for address in [0, 1, 0x40_0000, attached + 1, attached + PAGE, u64::MAX] {
        let bad = Err(Error::BadPointer { address });
        assert_eq!(system.detach(maker, address), bad);
    }
    assert_eq!(system.detach(maker, attached), Ok(Reply::Done));
    let double = Err(Error::DoubleFree { address: attached });
    assert_eq!(system.detach(maker, attached), double);
}

#[test]
fn slots_for_copies_run_out_with_a_reason_and_come_back() {
    let mut system = System::new(RAM);
    system.scan_every = u64::MAX;
    let client = system.spawn(UNLIMITED);
    let token = system.make_dataspace(client, 300 * PAGE).expect("memory");
    let mut addresses = Vec::new();
    let limit = loop {
        match system.attach(client, token, true) {
            Ok(address) => addresses.push(address),
            Err(Error::OutOfSlots { limit }) => break limit,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(addresses.len() as u64, limit / 300);
    scan(&system.server);
    // What is left of them still serves.
    let small = system.make_dataspace(client, PAGE).expect("memory");
    assert!(system.attach(client, small, true).is_ok());
    let address = addresses[0];
    assert_eq!(system.detach(client, address), Ok(Reply::Done));
    assert!(system.attach(client, token, false).is_ok());
    system.kill(client);
    assert_eq!(system.books().committed, 0);
}

#[test]
fn a_client_is_found_by_its_name_while_it_lives() {
    let mut system = System::new(RAM);
    let clients = [UNLIMITED; 2].map(|limit| system.spawn(limit));
    system.names.insert("worker".into(), clients[1]);
    let find = |system: &mut System, name| system.call(clients[0], Request::Find { name });
    let handle = system.handle(clients[1]);
    assert_eq!(find(&mut system, "worker"), Ok(Reply::Client { handle }));
    let nobody = Err(Error::Stale { handle: 0 });
    assert_eq!(find(&mut system, "work"), nobody);
    assert_eq!(find(&mut system, ""), nobody);
    system.kill(clients[1]);
    assert_eq!(find(&mut system, "worker"), nobody);
    assert_eq!(system.stats(clients[0]).failures, 3);
    assert_eq!(Window::of(handle as usize), None, "a handle is no address");
}

#[test]
fn an_eighth_of_a_machine_s_pages_can_be_mapped_twice_within_bounds() {
    for (pages, copies) in [
        (0, 4096),
        (32_775, 4096),
        (32_776, 4097),
        (80_007, 10_000),
        (524_287, 65_535),
        (524_288, 65_536),
        (524_296, 65_536),
        (1 << 24, 65_536),
    ] {
        assert_eq!(copy_count(pages), copies, "{pages} pages");
    }
}

#[test]
fn a_page_behind_what_is_attached_stays_nobody_s() {
    let (mut system, [maker, ..], token) = with_dataspace(4 * PAGE);
    let first = system.attach(maker, token, true).expect("attached");
    let second = system.attach(maker, token, true).expect("attached");
    assert_eq!(second - first, 5 * PAGE);
    for page in 0..5 {
        let mapped = system.is_mapped(maker, first + page * PAGE);
        assert_eq!(mapped, page < 4, "page {page}");
    }
}

#[test]
fn what_fills_a_segment_with_the_page_behind_it_is_attached_in_the_one_that_was_kept() {
    let (mut system, [maker, ..], token) = with_dataspace(511 * PAGE);
    let first = system.attach(maker, token, true).expect("attached");
    let (segments, committed) = (system.mapped_segments(), system.committed(maker));
    for _ in 0..2 {
        assert_eq!(system.detach(maker, first), Ok(Reply::Done));
        assert_eq!(system.attach(maker, token, true), Ok(first));
        assert_eq!(system.mapped_segments(), segments);
        assert_eq!(system.committed(maker), committed);
    }
}
