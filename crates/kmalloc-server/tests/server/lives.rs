// SPDX-License-Identifier: BSD-2-Clause
//! Parents and children: what is given comes back, slice by slice, whatever fails on the way.

use crate::system::{Answer, CHILDREN_MAX, MIB, PAGE, RAM, System, UNLIMITED, program};
use kmalloc_protocol::{Cause, Ended, Error, Events, Reply, Request, Response};
use kmalloc_server::Work;
use kmalloc_server::client::{End, Life};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_simulation::scan;

/// A system in which work is done only when the test says so.
fn slow() -> System {
    let mut system = System::new(RAM);
    system.settles = false;
    system
}

fn limit(system: &System, client: ClientIndex) -> u64 {
    let account = system.server.client(client).expect("a client");
    account.limit_pages as u64 * PAGE
}

fn life(system: &System, client: ClientIndex) -> Life {
    system.server.client(client).expect("a client").life
}

fn reap(system: &mut System, client: ClientIndex, handle: u64) -> Response {
    system.call(client, Request::Reap { handle })
}

fn ended(response: Response) -> Ended {
    match response {
        Ok(Reply::Ended(ended)) => ended,
        other => panic!("no end but {other:?}"),
    }
}

#[test]
fn a_child_is_built_in_slices_while_its_parent_is_served() {
    let mut system = slow();
    let parent = system.spawn(8 * MIB);
    let handle = system.start(parent, MIB).expect("a child");
    let child = system.place(handle);
    assert_eq!(life(&system, child), Life::Building);
    assert_eq!(limit(&system, parent), 7 * MIB);
    let mut slices = 0;
    while life(&system, child) == Life::Building {
        assert!(system.work());
        system.kmalloc(parent, 64).expect("memory");
        slices += 1;
    }
    assert!(slices > 5, "{slices} slices");
    assert_eq!(life(&system, child), Life::Alive);
    assert_eq!(limit(&system, child), MIB);
    system.settle();
    assert!(system.kmalloc(child, 64).is_ok());
}

#[test]
fn what_a_parent_gives_comes_back_when_all_of_the_child_is() {
    let mut system = slow();
    let parent = system.spawn(8 * MIB);
    let handle = system.start(parent, MIB).expect("a child");
    system.settle();
    let child = system.place(handle);
    for size in [64, 5 * PAGE, 100 * PAGE] {
        system.kmalloc(child, size).expect("memory");
    }
    assert_eq!(reap(&mut system, parent, handle), Ok(Reply::Done));
    let obituary = system.answer(child, Request::Exit { status: 9 });
    assert!(matches!(obituary, Answer::Ended(_)));
    while life(&system, child) == Life::Ending {
        assert_eq!(limit(&system, parent), 7 * MIB);
        assert_eq!(reap(&mut system, parent, handle), Ok(Reply::Done));
        assert_eq!(system.events(parent), Events::empty());
        assert!(system.work());
    }
    assert_eq!(limit(&system, parent), 8 * MIB);
    assert_eq!(life(&system, child), Life::Dead);
    assert_eq!(system.events(parent), Events::CHILD);
    assert_eq!(system.gone, [child]);
    let end = ended(reap(&mut system, parent, handle));
    assert_eq!((end.handle, end.cause, end.value), (handle, Cause::Exit, 9));
    assert_eq!(end.held, 64 + 105 * PAGE);
    assert_eq!(life(&system, child), Life::Vacant);
    let stale = Err(Error::Stale { handle });
    assert_eq!(reap(&mut system, parent, handle), stale);
    assert_eq!(system.call(parent, Request::Kill { handle }), stale);
    assert_eq!(reap(&mut system, parent, 0), Ok(Reply::Done));
}

#[test]
fn others_are_served_between_the_slices_of_a_large_death() {
    let mut system = slow();
    let large = system.spawn(UNLIMITED);
    let other = system.spawn(UNLIMITED);
    let free = system.books().free;
    for _ in 0..40 {
        let region = system.grant_large(large, 30 * PAGE).expect("memory");
        system.fill(large, region, 30 * PAGE, 7);
    }
    system.kill(large);
    let mut slices = 0;
    let mut blocks = Vec::new();
    while system.work() {
        blocks.push(system.kmalloc(other, 2048).expect("memory"));
        slices += 1;
    }
    // 1,200 pages, eight a slice.
    assert!(slices > 1200 / 8, "{slices} slices");
    for block in blocks {
        assert_eq!(system.kfree(other, block), Ok(Reply::Done));
    }
    let own = system.committed(large);
    assert_eq!(own, 0);
    assert!(system.books().free >= free);
}

#[test]
fn shares_beyond_quota_and_children_beyond_number_are_refused() {
    let mut system = System::new(RAM);
    let parent = system.spawn(4 * MIB);
    let committed = system.committed(parent);
    let requested = 4 * MIB - committed + PAGE;
    let over = Error::OverQuota {
        limit: 4 * MIB,
        committed,
        requested,
    };
    assert_eq!(system.start(parent, requested), Err(over));
    for _ in 0..CHILDREN_MAX {
        system.start(parent, 80 * PAGE).expect("a child");
    }
    let limit = u64::from(CHILDREN_MAX);
    let refused = Err(Error::OutOfSlots { limit });
    assert_eq!(system.start(parent, 80 * PAGE), refused);
    // The dead count until they are reaped.
    let first = system.ended.len();
    assert_eq!(first, 0);
    let handle = system.server.handle_of(ClientIndex(1));
    assert_eq!(
        system.call(parent, Request::Kill { handle }),
        Ok(Reply::Done)
    );
    assert_eq!(system.start(parent, 80 * PAGE), refused);
    ended(reap(&mut system, parent, 0));
    assert!(system.start(parent, 80 * PAGE).is_ok());
    let text = "nobody";
    assert_eq!(
        system.call(parent, Request::Start { memory: 0, text }),
        Err(Error::NotPermitted)
    );
}

#[test]
fn who_may_kill_and_reap_whom() {
    let mut system = System::new(RAM);
    let parent = system.spawn(8 * MIB);
    let stranger = system.spawn(8 * MIB);
    let handle = system.start(parent, MIB).expect("a child");
    let kill = Request::Kill { handle };
    assert_eq!(system.call(stranger, kill), Err(Error::NotPermitted));
    assert_eq!(
        reap(&mut system, stranger, handle),
        Err(Error::NotPermitted)
    );
    let own = system.server.handle_of(stranger);
    assert_eq!(reap(&mut system, stranger, own), Err(Error::NotPermitted));
    let child = system.place(handle);
    system.killers.push((stranger, child));
    assert_eq!(system.call(stranger, kill), Ok(Reply::Done));
    assert_eq!(ended(reap(&mut system, parent, 0)).cause, Cause::Killed);
    // Oneself.
    let handle = own;
    let Answer::Ended(obituary) = system.answer(stranger, Request::Kill { handle }) else {
        panic!("it lives on");
    };
    assert_eq!(obituary.end, End::Killed);
    for handle in [0, 1, 511, u64::MAX, own] {
        let stale = Err(Error::Stale { handle });
        assert_eq!(system.call(parent, Request::Kill { handle }), stale);
    }
}

#[test]
fn a_tree_ends_with_its_root_whatever_state_its_leaves_are_in() {
    for slices_before in [0, 1, 2, 5, 9, 20, 60, 200, 1000] {
        let mut system = slow();
        let free = system.books().free;
        let root = system.spawn(12 * MIB);
        let mut all = vec![root];
        for level in 0..3 {
            for parent in all.clone() {
                // Those of the last level are still being built.
                if level < 2 {
                    let share = limit(&system, parent) / 4;
                    let handle = system.start(parent, share).expect("a child");
                    system.settle();
                    all.push(system.place(handle));
                } else if let Ok(handle) = system.start(parent, MIB) {
                    all.push(system.place(handle));
                }
            }
        }
        for _ in 0..slices_before {
            system.work();
        }
        // One leaf is dead and not reaped.
        let leaf = *all.last().expect("a leaf");
        system.server.end(leaf, End::Killed);
        system.kill(root);
        system.settle();
        for client in all {
            assert_eq!(life(&system, client), Life::Vacant, "{client:?}");
        }
        assert_eq!(system.books().free, free);
        assert_eq!(system.books().committed, 0);
    }
}

#[test]
fn a_kernel_call_of_a_start_fails() {
    for nth in 1.. {
        let mut system = slow();
        let parent = system.spawn(8 * MIB);
        let before = (system.books(), limit(&system, parent));
        system.server.kernel_mut().fail_at(nth, 77);
        let started = system.start(parent, MIB);
        system.settle();
        let Some(call) = system.server.kernel_mut().stop_failing() else {
            assert!(nth > 20, "a start has more calls than {nth}");
            break;
        };
        match started {
            // The start page.
            Err(error) => assert_eq!(error, Error::Refused { code: 77 }, "{call}"),
            Ok(handle) => {
                let end = ended(reap(&mut system, parent, handle));
                let refused = Error::Refused { code: 77 }.number().into();
                assert_eq!(
                    (end.cause, end.value),
                    (Cause::NotStarted, refused),
                    "{call}"
                );
            }
        }
        scan(&system.server);
        assert_eq!((system.books(), limit(&system, parent)), before, "{call}");
        assert!(system.start(parent, MIB).is_ok());
    }
}

#[test]
fn thousands_of_lives_leave_nothing_and_no_handle_comes_twice() {
    let mut system = System::new(RAM);
    system.scan_every = 997;
    let parent = system.spawn(8 * MIB);
    let before = system.books();
    let mut last = 0;
    for number in 0..3000 {
        let handle = system.start(parent, MIB).expect("a child");
        assert!(handle >> 9 > last, "handles only grow");
        last = handle >> 9;
        let child = system.place(handle);
        if number % 3 == 0 {
            system.kmalloc(child, 3 * PAGE).expect("memory");
        }
        match number % 4 {
            0 => drop(system.answer(child, Request::Exit { status: 0 })),
            1 => drop(system.call(parent, Request::Kill { handle })),
            2 => {
                let badge = system.badge(child) | 1 << 25;
                let fault = kmalloc_server::client::Fault {
                    kind: kmalloc_server::client::FaultKind::Vm,
                    address: 1,
                    instruction: 2,
                };
                system.fault(badge, fault);
            }
            _ => {
                let handle = system.server.handle_of(child);
                drop(system.answer(child, Request::Kill { handle }));
            }
        }
        ended(reap(&mut system, parent, handle));
    }
    assert_eq!(system.books(), before);
    scan(&system.server);
}

#[test]
fn a_program_that_lies_wrong_is_refused() {
    let mut system = System::new(RAM);
    let good = program(UNLIMITED);
    let [first, second] = [good.loads[0], good.loads[1]];
    let high = kmalloc_server::spawn::Load {
        address: 0x4000_0000 - 16,
        ..first
    };
    let wrapping = kmalloc_server::spawn::Load {
        size: usize::MAX,
        ..first
    };
    let low = kmalloc_server::spawn::Load {
        address: 0x3f_f000,
        ..first
    };
    for loads in [
        &[second, first][..],
        &[first, first],
        &[high],
        &[wrapping],
        &[low],
    ] {
        let spawn = kmalloc_server::spawn::Spawn { loads, ..good };
        let address = loads.last().map_or(0, |load| load.address as u64);
        assert_eq!(system.try_spawn(&spawn), Err(Error::BadPointer { address }));
    }
    assert_eq!(system.server.work(), Work::Idle);
}
