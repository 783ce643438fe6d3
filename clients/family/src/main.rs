// SPDX-License-Identifier: BSD-2-Clause
//! Starts programs, ends them in every way, and sees their ends; all that they had is back each time.
#![no_std]
#![no_main]

mod deaths;

use client_test::{Outcome, Test, check, check_eq, ok};
use kmalloc::child::{Child, kill, reap_any};
use kmalloc::{Cause, Ended, Error, served};

kmalloc::main!(main);

const TESTS: &[Test] = &[
    ("a_child_starts_and_its_end_is_seen", exits),
    ("a_panic_is_seen_as_status_101", panics),
    ("a_fault_is_seen_with_its_address", faults),
    ("an_exception_is_seen_with_its_number", undefined),
    ("a_child_is_killed_while_it_runs", || killed("spin")),
    ("a_child_is_killed_while_it_waits", || killed("wait")),
    ("a_child_is_killed_among_its_calls", || killed("churn")),
    ("a_child_is_killed_that_holds_memory", held),
    ("a_child_is_killed_before_it_runs", killed_at_once),
    ("a_share_of_the_quota_goes_and_comes_back", quota),
    ("a_share_beyond_the_quota_is_refused", over_quota),
    ("a_share_beyond_the_manifest_is_refused", over_manifest),
    ("a_child_without_memory_does_not_start", no_memory),
    ("a_program_that_is_not_named_is_refused", not_named),
    ("one_child_too_many_is_refused", too_many),
    ("the_handle_of_a_dead_child_is_stale", stale),
    ("strangers_are_neither_killed_nor_reaped", strangers),
    ("a_tree_ends_with_its_root", tree),
    ("deaths_of_all_kinds_leave_nothing", deaths::all_kinds),
];

/// Bytes that each child gets.
const SHARE: u64 = 512 << 10;
const NOWHERE: u64 = 0x7000_0000;
/// Children that the manifest allows.
const CHILDREN_MAX: usize = 40;

fn main() -> u8 {
    client_test::run(TESTS)
}

fn start(arguments: &[&str]) -> Result<Child, Error> {
    Child::start("child", arguments, Some(SHARE))
}

/// Starts a child that ends by itself, and waits for it.
fn end_of(arguments: &[&str]) -> Result<Ended, Error> {
    start(arguments)?.wait()
}

fn exits() -> Outcome {
    for (text, status) in [("0", 0), ("7", 7), ("4294967295", u64::from(u32::MAX))] {
        let child = ok!(start(&["exit", text]));
        let ended = ok!(child.wait());
        check_eq!((ended.cause, ended.value), (Cause::Exit, status));
        check_eq!(ended.handle, child.handle());
        check_eq!((ended.calls, ended.held), (1, 0));
        check!(ended.peak > 0 && ended.peak <= SHARE);
    }
    Ok(())
}

fn panics() -> Outcome {
    let ended = ok!(end_of(&["panic"]));
    check_eq!((ended.cause, ended.value), (Cause::Exit, 101));
    Ok(())
}

fn faults() -> Outcome {
    let ended = ok!(end_of(&["read"]));
    check_eq!((ended.cause, ended.value), (Cause::VmFault, NOWHERE));
    check!(ended.instruction >= 0x40_0000);
    Ok(())
}

fn undefined() -> Outcome {
    let ended = ok!(end_of(&["undefined"]));
    check_eq!((ended.cause, ended.value), (Cause::UserException, 6));
    Ok(())
}

fn killed(how_it_lives: &'static str) -> Outcome {
    let calls = if how_it_lives == "churn" { 11 } else { 0 };
    killed_after(how_it_lives, |ended| ended.calls >= calls)
}

/// Kills a child when it has lived for a while, and another one after longer while the first had not come far enough: how much
/// a child does in a time is not ours to say.
fn killed_after(how_it_lives: &'static str, is_enough: impl Fn(&Ended) -> bool) -> Outcome {
    let mut came_far_enough = false;
    for sleeps in [1, 4, 16, 64] {
        let child = ok!(start(&[how_it_lives]));
        (0..sleeps).for_each(|_| let_others_run());
        check_eq!(child.reap(), Ok(None));
        ok!(child.kill());
        let ended = ok!(child.wait());
        check_eq!(ended.cause, Cause::Killed);
        came_far_enough = is_enough(&ended);
        if came_far_enough {
            break;
        }
    }
    check!(came_far_enough);
    Ok(())
}

/// Sleeps until others have had time to run.
pub fn let_others_run() {
    if kmalloc::process::set_alarm(20_000).is_ok() {
        let _ = kmalloc::event::wait_for(kmalloc::Events::ALARM);
    }
}

fn held() -> Outcome {
    // A block of 64 bytes, and twice five pages.
    killed_after("hold", |ended| ended.held == 64 + 2 * 5 * 4096)
}

fn killed_at_once() -> Outcome {
    for _ in 0..5 {
        let child = ok!(start(&["spin"]));
        ok!(child.kill());
        let ended = ok!(child.wait());
        check_eq!((ended.cause, ended.calls), (Cause::Killed, 0));
    }
    Ok(())
}

fn quota() -> Outcome {
    let before = ok!(served::stats());
    let child = ok!(start(&["wait"]));
    check_eq!(ok!(served::stats()).limit, before.limit - SHARE);
    check_eq!(ok!(served::stats()).committed, before.committed);
    ok!(child.kill());
    ok!(child.wait());
    check_eq!(ok!(served::stats()).limit, before.limit);
    Ok(())
}

fn over_quota() -> Outcome {
    let stats = ok!(served::stats());
    let mut children = [None; CHILDREN_MAX];
    let mut left = stats.limit - stats.committed;
    let refused = loop {
        let Some(place) = children.iter_mut().find(|place| place.is_none()) else {
            break None;
        };
        match Child::start("child", &["wait"], Some(2 * SHARE)) {
            Ok(child) => *place = Some(child),
            Err(error) => break Some(error),
        }
        left -= 2 * SHARE;
    };
    check!(left < 2 * SHARE);
    let limit = left + stats.committed;
    let expected = Error::OverQuota {
        limit,
        committed: stats.committed,
        requested: 2 * SHARE,
    };
    check_eq!(refused, Some(expected));
    for child in children.into_iter().flatten() {
        ok!(child.kill());
        ok!(child.wait());
    }
    check_eq!(ok!(served::stats()).limit, stats.limit);
    Ok(())
}

fn over_manifest() -> Outcome {
    let requested = (16 << 20) + 4096;
    let refused = Error::OverQuota {
        limit: 16 << 20,
        committed: 0,
        requested,
    };
    check_eq!(Child::start("child", &[], Some(requested)), Err(refused));
    Ok(())
}

fn no_memory() -> Outcome {
    // Enough for the start page, and not for the kernel's objects.
    let child = ok!(Child::start("child", &[], Some(3 * 4096)));
    let ended = ok!(child.wait());
    let over_quota = Error::OverQuota {
        limit: 0,
        committed: 0,
        requested: 0,
    };
    check_eq!(
        (ended.cause, ended.value),
        (Cause::NotStarted, u64::from(over_quota.number()))
    );
    Ok(())
}

fn not_named() -> Outcome {
    for name in ["family", "keeper", "nobody", "", "chil", "childs"] {
        check_eq!(Child::start(name, &[], None), Err(Error::NotPermitted));
    }
    Ok(())
}

fn too_many() -> Outcome {
    let share = Some(100 * 4096);
    let mut children = [None; CHILDREN_MAX];
    for place in &mut children {
        *place = Some(ok!(Child::start("child", &["wait"], share)));
    }
    let limit = CHILDREN_MAX as u64;
    let refused = Error::OutOfSlots { limit };
    check_eq!(Child::start("child", &[], share), Err(refused));
    // One that has ended and was not reaped counts.
    let Some(first) = children[0] else {
        return Ok(());
    };
    ok!(first.kill());
    check_eq!(Child::start("child", &[], share), Err(refused));
    ok!(first.wait());
    let another = ok!(Child::start("child", &["exit", "3"], share));
    ok!(another.wait());
    for child in children.into_iter().flatten().skip(1) {
        ok!(child.kill());
    }
    for _ in 1..CHILDREN_MAX {
        while ok!(reap_any()).is_none() {
            ok!(kmalloc::event::wait_for(kmalloc::Events::CHILD));
        }
    }
    check_eq!(reap_any(), Ok(None));
    Ok(())
}

fn stale() -> Outcome {
    let child = ok!(start(&["exit", "0"]));
    let handle = child.handle();
    ok!(child.wait());
    let stale = Error::Stale { handle };
    check_eq!(child.kill(), Err(stale));
    check_eq!(child.reap(), Err(stale));
    // Its place has another now.
    let next = ok!(start(&["wait"]));
    check_eq!(next.handle() % 512, handle % 512);
    check_eq!(child.kill(), Err(stale));
    ok!(next.kill());
    ok!(next.wait());
    for handle in [u64::MAX, 1, 511] {
        check_eq!(kill(handle), Err(Error::Stale { handle }));
    }
    Ok(())
}

fn strangers() -> Outcome {
    // The first two that were ever started are this program and the bystander.
    let mut refused = 0;
    for handle in [1 << 9, 2 << 9 | 1] {
        if handle >> 9 == 2 {
            check_eq!(kill(handle), Err(Error::NotPermitted));
            refused += 1;
        }
    }
    check_eq!(refused, 1);
    Ok(())
}

fn tree() -> Outcome {
    let before = ok!(served::stats());
    let root = ok!(Child::start("child", &["tree", "2"], Some(16 << 20)));
    let_others_run();
    ok!(root.kill());
    let ended = ok!(root.wait());
    check_eq!(ended.cause, Cause::Killed);
    check_eq!(ok!(served::stats()).limit, before.limit);
    check_eq!(reap_any(), Ok(None));
    Ok(())
}
