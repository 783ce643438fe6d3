// SPDX-License-Identifier: BSD-2-Clause
//! Ends of dataspaces: who lets go in which order, who dies on the way, and that nothing is left.

use crate::sharing::with_dataspace;
use crate::system::{MIB, PAGE, RAM, System, UNLIMITED, filled};
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::client::{End, Life};

#[test]
fn the_last_one_to_let_go_frees_it_in_whatever_order_they_do() {
    for order in 0..6 {
        let (mut system, [maker, other, third], token) = with_dataspace(20 * PAGE);
        for client in [other, third] {
            assert_eq!(system.share(maker, token, client, true), Ok(Reply::Done));
        }
        let addresses =
            [other, third].map(|client| system.attach(client, token, true).expect("attached"));
        system.fill(other, addresses[0], 20 * PAGE, 0x5ec2e7);
        let held = system.committed(maker);
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        for (place, step) in orders[order].into_iter().enumerate() {
            assert_eq!(
                system.committed(maker),
                held,
                "step {place} of order {order}"
            );
            let done = match step {
                0 => system.close(maker, token),
                1 => system.detach(other, addresses[0]),
                _ => system.detach(third, addresses[1]),
            };
            assert_eq!(done, Ok(Reply::Done));
        }
        assert_eq!(system.committed(maker), held - 20 * PAGE, "order {order}");
        // What was in it is nobody's to read.
        let next = system.kmalloc(third, 4 * MIB).expect("memory");
        assert!(system.is_zero(third, next, 4 * MIB));
        let again = system.make_dataspace(other, MIB).expect("memory");
        let again = system.attach(other, again, false).expect("attached");
        assert!(system.is_zero(other, again, MIB));
    }
}

#[test]
fn a_token_is_stale_from_the_moment_its_maker_ends() {
    let (mut system, [maker, other, third], token) = with_dataspace(20 * PAGE);
    for client in [other, third] {
        assert_eq!(system.share(maker, token, client, true), Ok(Reply::Done));
    }
    let address = system.attach(other, token, true).expect("attached");
    // Nothing is taken back yet.
    system.settles = false;
    system.kill(maker);
    let stale = Error::Stale { handle: token };
    for client in [other, third] {
        assert_eq!(system.attach(client, token, false), Err(stale));
    }
    assert_eq!(system.close(other, token), Err(stale));
    assert!(system.is_mapped(other, address), "what was attached stays");
    system.settle();
    assert_eq!(system.detach(other, address), Ok(Reply::Done));
}

#[test]
fn a_dead_maker_s_pages_stay_while_another_has_them_attached() {
    let mut system = System::new(RAM);
    let other = system.spawn(UNLIMITED);
    // What `other` builds to attach anything stays with it.
    let own = system.make_dataspace(other, PAGE).expect("memory");
    let at = system.attach(other, own, true).expect("attached");
    assert_eq!(system.detach(other, at), Ok(Reply::Done));
    assert_eq!(system.close(other, own), Ok(Reply::Done));
    let before = system.books();
    let maker = system.spawn(UNLIMITED);
    let tokens = [3, 600].map(|pages| system.make_dataspace(maker, pages * PAGE).expect("memory"));
    let unshared = system.make_dataspace(maker, 7 * PAGE).expect("memory");
    system.attach(maker, unshared, true).expect("attached");
    let addresses = tokens.map(|token| {
        assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
        let own = system.attach(maker, token, true).expect("attached");
        system.fill(maker, own, 3 * PAGE, token);
        system.attach(other, token, true).expect("attached")
    });
    let obituary = system.kill(maker);
    assert_eq!(obituary.held_bytes, 610 * PAGE);
    assert_eq!(
        system.server.client(maker).map(|it| it.life),
        Some(Life::Lingering)
    );
    assert_eq!(system.committed(maker), 603 * PAGE);
    assert!(system.books().balance());
    for (token, address) in tokens.into_iter().zip(addresses) {
        assert!(filled(&system, other, address, 3 * PAGE, token));
        system.fill(other, address, 3 * PAGE, !token);
        assert_eq!(
            system.attach(other, token, false),
            Err(Error::Stale { handle: token })
        );
    }
    // Its place is not given to another.
    let next = system.spawn(UNLIMITED);
    assert_ne!(next, maker);
    system.kill(next);
    assert_eq!(system.detach(other, addresses[0]), Ok(Reply::Done));
    assert_eq!(system.committed(maker), 600 * PAGE);
    assert_eq!(system.detach(other, addresses[1]), Ok(Reply::Done));
    assert_eq!(
        system.server.client(maker).map(|it| it.life),
        Some(Life::Vacant)
    );
    // The table of the second segment is a spare one of the client's now.
    assert!(system.books().free >= before.free - 16 * PAGE);
    system.kill(other);
    assert_eq!(system.books().committed, 0);
}

#[test]
fn a_client_that_dies_lets_go_of_all_that_it_has_attached() {
    let (mut system, [maker, other, third], token) = with_dataspace(530 * PAGE);
    let second = system.make_dataspace(maker, PAGE).expect("memory");
    for client in [other, third] {
        assert_eq!(system.share(maker, token, client, true), Ok(Reply::Done));
        assert_eq!(system.share(maker, second, client, false), Ok(Reply::Done));
        system.attach(client, token, true).expect("attached");
        system.attach(client, token, false).expect("attached twice");
        system.attach(client, second, false).expect("attached");
    }
    system.kill(other);
    let address = system.attach(maker, token, true).expect("attached");
    system.fill(maker, address, PAGE, 7);
    system.kill(maker);
    assert_eq!(system.committed(maker), 531 * PAGE);
    // The last one frees what the dead maker left.
    system.kill(third);
    assert_eq!(
        system.server.client(maker).map(|it| it.life),
        Some(Life::Vacant)
    );
    assert_eq!(system.books().committed, 0);
}

#[test]
fn a_kernel_call_that_fails_for_one_changes_nothing_for_the_other() {
    for nth in 1.. {
        let (mut system, [maker, other, _], token) = with_dataspace(20 * PAGE);
        let here = system.attach(maker, token, true).expect("attached");
        system.fill(maker, here, 20 * PAGE, 0xfeed);
        assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
        system.server.kernel_mut().fail_at(nth, 77);
        let there = system.attach(other, token, true);
        let failed = system.server.kernel_mut().stop_failing();
        assert!(filled(&system, maker, here, 20 * PAGE, 0xfeed));
        let there = match failed {
            Some(_) => {
                assert_eq!(there, Err(Error::Refused { code: 77 }));
                system.attach(other, token, true)
            }
            None => there,
        }
        .expect("attached");
        assert!(filled(&system, other, there, 20 * PAGE, 0xfeed));
        for client in [maker, other] {
            system.kill(client);
        }
        if failed.is_none() {
            assert!(nth > 40, "an attachment has more calls than {nth}");
            return;
        }
    }
}

#[test]
fn letting_go_makes_no_call_that_can_fail() {
    let (mut system, [maker, other, third], token) = with_dataspace(530 * PAGE);
    let second = system.make_dataspace(maker, PAGE).expect("memory");
    for client in [other, third] {
        assert_eq!(system.share(maker, token, client, true), Ok(Reply::Done));
    }
    let address = system.attach(other, token, true).expect("attached");
    system.attach(third, token, true).expect("attached");
    system.attach(maker, token, true).expect("attached");
    let calls = system.server.kernel().fallible_calls();
    assert_eq!(system.close(maker, token), Ok(Reply::Done));
    assert_eq!(system.close(maker, second), Ok(Reply::Done));
    assert_eq!(system.detach(other, address), Ok(Reply::Done));
    for client in [maker, other, third] {
        system.kill(client);
    }
    assert_eq!(system.server.kernel().fallible_calls(), calls);
}

#[test]
fn a_dead_client_lets_go_in_slices_while_others_are_served() {
    let (mut system, [maker, other, third], token) = with_dataspace(300 * PAGE);
    assert_eq!(system.share(maker, token, other, true), Ok(Reply::Done));
    assert_eq!(system.share(maker, token, third, true), Ok(Reply::Done));
    system.attach(other, token, true).expect("attached");
    system.settles = false;
    for client in [maker, other] {
        system.server.end(client, End::Killed);
    }
    let stale = Err(Error::Stale { handle: token });
    let mut slices = 0;
    while system.work() {
        slices += 1;
        assert!(system.kmalloc(third, 64).is_ok());
        let attached = system.attach(third, token, true).map(|_| ());
        // The token is good until the maker's list is reached, which is at the beginning.
        assert!(slices <= 2 || attached == stale, "slice {slices}");
        if let Ok(address) = system.attach(third, token, true) {
            assert_eq!(system.detach(third, address), Ok(Reply::Done));
        }
    }
    assert!(
        slices > 80,
        "{slices} slices are few for 300 copies and pages"
    );
    system.kill(third);
    system.settle();
    assert_eq!(system.books().committed, 0);
}

#[test]
fn a_child_that_others_hold_something_of_keeps_no_dead_parent() {
    let mut system = System::new(RAM);
    let (parent, friend) = (system.spawn(UNLIMITED), system.spawn(UNLIMITED));
    let handle = system.start(parent, MIB).expect("a child");
    let child = system.place(handle);
    let token = system.make_dataspace(child, 3 * PAGE).expect("memory");
    assert_eq!(system.share(child, token, friend, true), Ok(Reply::Done));
    let address = system.attach(friend, token, true).expect("attached");
    system.fill(friend, address, 3 * PAGE, 9);
    // Killed, it can't be reaped yet: not everything is back.
    system.kill(child);
    let request = Request::Reap { handle };
    assert_eq!(system.call(parent, request), Ok(Reply::Done));
    system.kill(parent);
    assert_eq!(
        system.server.client(parent).map(|it| it.life),
        Some(Life::Vacant)
    );
    assert!(filled(&system, friend, address, 3 * PAGE, 9));
    assert_eq!(system.detach(friend, address), Ok(Reply::Done));
    assert_eq!(
        system.server.client(child).map(|it| it.life),
        Some(Life::Vacant)
    );
    system.kill(friend);
    assert_eq!(system.books().committed, 0);
}
