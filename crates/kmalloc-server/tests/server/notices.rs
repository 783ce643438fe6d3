// SPDX-License-Identifier: BSD-2-Clause
//! Pressure, and waiting for memory: who is told what, and when.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED};
use kmalloc_protocol::{Error, Events, Reply, Request, Response};
use kmalloc_server::kernel::ClientIndex;

fn watch(system: &mut System, client: ClientIndex, events: Events) -> Response {
    let events = events.bits();
    system.call(client, Request::Watch { events })
}

fn wait(system: &mut System, client: ClientIndex, size: u64, timeout_us: u64) -> Response {
    system.call(client, Request::AwaitMemory { size, timeout_us })
}

/// Time passes, and the clock rings if it is set for then.
fn pass(system: &mut System, microseconds: u64) {
    system.server.kernel_mut().pass(microseconds);
    let now_us = system.now_us();
    let alarm = system.server.kernel().alarm();
    if alarm.is_some_and(|due| due <= now_us) {
        system.server.alarm(now_us);
    }
    system.settle();
}

/// Leaves about `left` bytes free; the blocks that took the others.
fn fill_to(system: &mut System, client: ClientIndex, left: u64) -> Vec<u64> {
    let mut blocks = Vec::new();
    while system.books().free > left + 40 * PAGE {
        blocks.push(system.kmalloc(client, 32 * PAGE).expect("memory"));
    }
    blocks
}

#[test]
fn each_fall_below_the_mark_is_told_once_to_those_who_watch() {
    let mut system = System::new(RAM);
    system.scan_every = 50;
    system.server.set_pressure_mark(4 * MIB);
    let [hog, watcher, other] = [(); 3].map(|()| system.spawn(UNLIMITED));
    assert_eq!(
        watch(&mut system, watcher, Events::PRESSURE),
        Ok(Reply::Done)
    );
    for _ in 0..3 {
        let blocks = fill_to(&mut system, hog, 5 * MIB);
        assert_eq!(system.events(watcher), Events::empty());
        let more = fill_to(&mut system, hog, 2 * MIB);
        assert_eq!(system.events(watcher), Events::PRESSURE);
        let most = fill_to(&mut system, hog, MIB);
        assert_eq!(system.events(watcher), Events::empty());
        for block in blocks.into_iter().chain(more).chain(most) {
            assert_eq!(system.kfree(hog, block), Ok(Reply::Done));
        }
    }
    assert_eq!(system.events(other), Events::empty());
    fill_to(&mut system, hog, MIB);
    // Who begins to watch now is told now, who stops is not.
    assert_eq!(watch(&mut system, other, Events::PRESSURE), Ok(Reply::Done));
    assert_eq!(system.events(other), Events::PRESSURE);
    assert_eq!(watch(&mut system, other, Events::empty()), Ok(Reply::Done));
    assert_eq!(system.events(other), Events::empty());
    let unknown = Events::MEMORY.bits() | 1 << 20;
    let events = unknown | Events::PRESSURE.bits();
    assert_eq!(
        system.call(other, Request::Watch { events }),
        Err(Error::BadFlags { unknown })
    );
}

#[test]
fn who_waits_is_told_when_as_much_is_free() {
    let mut system = System::new(RAM);
    system.scan_every = 50;
    let [hog, small, large] = [(); 3].map(|()| system.spawn(UNLIMITED));
    let blocks = fill_to(&mut system, hog, MIB);
    assert_eq!(wait(&mut system, small, 2 * MIB, 1000), Ok(Reply::Done));
    assert_eq!(wait(&mut system, large, 8 * MIB, 1000), Ok(Reply::Done));
    for block in blocks {
        let free = system.books().free;
        let told = [small, large].map(|client| system.events(client));
        assert!(!told.iter().any(|told| told.contains(Events::MEMORY)));
        assert!(free < 8 * MIB);
        assert_eq!(system.kfree(hog, block), Ok(Reply::Done));
        let free = system.books().free;
        if free >= 8 * MIB {
            assert_eq!(system.events(large), Events::MEMORY);
            break;
        }
        if (2 * MIB..2 * MIB + 32 * PAGE).contains(&free) {
            assert_eq!(system.events(small), Events::MEMORY);
        }
    }
    assert_eq!(system.server.kernel().alarm(), None);
}

#[test]
fn waiting_ends_when_the_time_is_over_and_not_before() {
    let mut system = System::new(RAM);
    let [hog, waiter, other] = [(); 3].map(|()| system.spawn(UNLIMITED));
    system.scan_every = 50;
    let blocks = fill_to(&mut system, hog, MIB);
    assert_eq!(wait(&mut system, waiter, 4 * MIB, 500), Ok(Reply::Done));
    assert_eq!(wait(&mut system, other, 4 * MIB, 200), Ok(Reply::Done));
    pass(&mut system, 199);
    assert_eq!(system.events(other), Events::empty());
    pass(&mut system, 1);
    assert_eq!(system.events(other), Events::TIMEOUT);
    assert_eq!(system.events(waiter), Events::empty());
    pass(&mut system, 1000);
    assert_eq!(system.events(waiter), Events::TIMEOUT);
    assert_eq!(system.server.kernel().alarm(), None);
    // Memory that comes later is for nobody.
    for block in blocks {
        assert_eq!(system.kfree(hog, block), Ok(Reply::Done));
    }
    assert_eq!(system.events(waiter), Events::empty());
    // And what is there is told at once; no time is needed for that.
    assert_eq!(wait(&mut system, waiter, 4 * MIB, 0), Ok(Reply::Done));
    assert_eq!(system.events(waiter), Events::MEMORY);
}

#[test]
fn waiting_is_replaced_ended_and_refused() {
    let mut system = System::new(RAM);
    let [hog, waiter] = [UNLIMITED, 8 * MIB].map(|limit| system.spawn(limit));
    system.scan_every = 50;
    fill_to(&mut system, hog, MIB);
    assert_eq!(wait(&mut system, waiter, 3 * MIB, 100), Ok(Reply::Done));
    assert_eq!(wait(&mut system, waiter, 3 * MIB, 300), Ok(Reply::Done));
    pass(&mut system, 200);
    assert_eq!(system.events(waiter), Events::empty());
    assert_eq!(wait(&mut system, waiter, 0, 0), Ok(Reply::Done));
    pass(&mut system, 1000);
    assert_eq!(system.events(waiter), Events::empty());
    let over = Error::OverQuota {
        limit: 8 * MIB,
        committed: system.committed(waiter),
        requested: 9 * MIB,
    };
    assert_eq!(wait(&mut system, waiter, 9 * MIB, 100), Err(over));
    let requested = 1 << 40;
    assert!(matches!(
        wait(&mut system, hog, requested, 100),
        Err(Error::OutOfMemory { requested: it, .. }) if it == requested
    ));
    // A clock that fails is a refusal, and nothing has changed.
    for nth in 1..=2 {
        system.server.kernel_mut().fail_at(nth, 77);
        assert_eq!(
            wait(&mut system, waiter, 3 * MIB, 100),
            Err(Error::Refused { code: 77 })
        );
        assert!(system.server.kernel_mut().stop_failing().is_some());
        pass(&mut system, 1000);
        assert_eq!(system.events(waiter), Events::empty());
    }
    // The dead wait for nothing.
    assert_eq!(wait(&mut system, waiter, 3 * MIB, 100), Ok(Reply::Done));
    system.kill(waiter);
    pass(&mut system, 1000);
    let next = system.spawn(8 * MIB);
    assert_eq!(next, waiter);
    assert_eq!(system.events(next), Events::empty());
}

#[test]
fn memory_is_short_until_a_quarter_more_than_the_mark_is_free() {
    // The page that comes back is enough, or is one too few.
    for (missing, over) in [(1, true), (2, false)] {
        let mut system = System::new(RAM);
        let [hog, watcher] = [(); 2].map(|()| system.spawn(UNLIMITED));
        let watching = watch(&mut system, watcher, Events::PRESSURE);
        assert_eq!(watching, Ok(Reply::Done));
        let pages = |system: &System| system.books().free / PAGE;
        system.kmalloc(hog, PAGE).expect("memory");
        while pages(&system) % 5 != 1 {
            system.kmalloc(hog, PAGE).expect("memory");
        }
        system.server.set_pressure_mark(u64::MAX);
        let block = system.kmalloc(hog, PAGE).expect("memory");
        assert_eq!(system.events(watcher), Events::PRESSURE);
        let free = pages(&system);
        assert_eq!(free % 5, 0);
        let mark = free / 5 * 4 + missing;
        assert_eq!(mark + mark / 4, free + missing);
        system.server.set_pressure_mark(mark * PAGE);
        assert_eq!(system.kfree(hog, block), Ok(Reply::Done));
        assert_eq!(pages(&system), free + 1);
        // What is short is told again only if it was enough meanwhile.
        system.server.set_pressure_mark(u64::MAX);
        system.kmalloc(hog, PAGE).expect("memory");
        let told = system.events(watcher) == Events::PRESSURE;
        assert_eq!(told, over, "{missing} missing");
    }
}

#[test]
fn who_waits_again_is_not_told_what_became_of_the_first_time() {
    let mut system = System::new(RAM);
    system.scan_every = 50;
    let [hog, waiter] = [(); 2].map(|()| system.spawn(UNLIMITED));
    assert_eq!(wait(&mut system, waiter, MIB, 100), Ok(Reply::Done));
    let blocks = fill_to(&mut system, hog, MIB);
    // That there was memory it has not asked for yet.
    assert_eq!(wait(&mut system, waiter, 4 * MIB, 100), Ok(Reply::Done));
    pass(&mut system, 100);
    assert_eq!(wait(&mut system, waiter, 4 * MIB, 100), Ok(Reply::Done));
    assert_eq!(system.events(waiter), Events::empty());
    for block in blocks {
        assert_eq!(system.kfree(hog, block), Ok(Reply::Done));
    }
    assert_eq!(system.events(waiter), Events::MEMORY);
}

#[test]
fn who_waits_while_large_pages_are_dirty_waits_for_tables_and_ledgers_too() {
    // Of so many segments and one more, a table and eight frames of a ledger each; of the window two tables more.
    for (pages, others) in [(1, 20), (512, 20), (513, 29)] {
        let mut system = System::new(RAM);
        system.scan_every = 500;
        let [hog, waiter] = [(); 2].map(|()| system.spawn(UNLIMITED));
        let large = system.grant_large(hog, 2 * MIB).expect("memory");
        let mut blocks = Vec::new();
        while let Ok(block) = system.kmalloc(hog, PAGE) {
            blocks.push(block);
        }
        assert_eq!(system.release(hog, large), Ok(Reply::Done));
        assert!(system.server.physical().usable_pages() < others);
        let size = pages as u64 * PAGE;
        assert_eq!(wait(&mut system, waiter, size, 100), Ok(Reply::Done));
        // No segment becomes empty, so that each gives its page and no more.
        let mut blocks = blocks.into_iter().step_by(3);
        while system.server.kernel_mut().take_signals().is_empty() {
            let block = blocks.next().expect("a block");
            assert_eq!(system.kfree(hog, block), Ok(Reply::Done));
        }
        let usable = system.server.physical().usable_pages();
        assert_eq!(usable, pages + others);
    }
}

#[test]
fn an_alarm_ends_no_waiting() {
    let mut system = System::new(RAM);
    system.scan_every = 50;
    let [hog, waiter] = [(); 2].map(|()| system.spawn(UNLIMITED));
    fill_to(&mut system, hog, MIB);
    let delay_us = 50;
    let alarm = system.call(waiter, Request::SetAlarm { delay_us });
    assert!(alarm.is_ok());
    assert_eq!(wait(&mut system, waiter, 4 * MIB, 100), Ok(Reply::Done));
    pass(&mut system, 50);
    assert_eq!(system.events(waiter), Events::ALARM);
    pass(&mut system, 50);
    assert_eq!(system.events(waiter), Events::TIMEOUT);
}

#[test]
fn all_of_the_memory_can_be_waited_for_and_no_more() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let (total, free) = (system.books().total, system.books().free);
    assert_eq!(wait(&mut system, client, total, 100), Ok(Reply::Done));
    let requested = total + 1;
    let refused = Err(Error::OutOfMemory { free, requested });
    assert_eq!(wait(&mut system, client, requested, 100), refused);
}

#[test]
fn memory_is_short_when_less_than_the_mark_is_free() {
    let mut system = System::new(RAM);
    let [hog, watcher] = [(); 2].map(|()| system.spawn(UNLIMITED));
    let watching = watch(&mut system, watcher, Events::PRESSURE);
    assert_eq!(watching, Ok(Reply::Done));
    system.kmalloc(hog, PAGE).expect("memory");
    let mark = system.books().free - PAGE;
    system.server.set_pressure_mark(mark);
    system.kmalloc(hog, PAGE).expect("memory");
    assert_eq!(system.books().free, mark);
    assert_eq!(system.events(watcher), Events::empty());
    system.kmalloc(hog, PAGE).expect("memory");
    assert_eq!(system.events(watcher), Events::PRESSURE);
}

#[test]
fn who_stops_waiting_hurries_nobody() {
    let mut system = System::new(RAM);
    system.scan_every = 500;
    let client = system.spawn(UNLIMITED);
    let large = system.grant_large(client, 2 * MIB).expect("memory");
    while system.kmalloc(client, PAGE).is_ok() {}
    assert_eq!(system.release(client, large), Ok(Reply::Done));
    assert!(!system.server.kernel().is_cleaner_hurried());
    assert_eq!(wait(&mut system, client, 0, 0), Ok(Reply::Done));
    assert!(!system.server.kernel().is_cleaner_hurried());
    assert_eq!(wait(&mut system, client, PAGE, 0), Ok(Reply::Done));
    assert!(system.server.kernel().is_cleaner_hurried());
}

#[test]
fn all_are_told_however_many_there_are() {
    let mut system = System::new(RAM);
    system.scan_every = 50;
    // More than one slice of work looks at.
    let clients: Vec<_> = (0..70).map(|_| system.spawn(UNLIMITED)).collect();
    for client in &clients {
        let watching = watch(&mut system, *client, Events::PRESSURE);
        assert_eq!(watching, Ok(Reply::Done));
    }
    system.server.set_pressure_mark(u64::MAX);
    system.kmalloc(clients[0], PAGE).expect("memory");
    for client in clients {
        assert_eq!(system.events(client), Events::PRESSURE, "{client:?}");
    }
}
