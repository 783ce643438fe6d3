// SPDX-License-Identifier: BSD-2-Clause
//! Alarms of several clients behind one clock.

use crate::system::{RAM, System, UNLIMITED};
use kmalloc_protocol::{Reply, Request, Response};
use kmalloc_server::kernel::ClientIndex;

fn set_alarm(system: &mut System, client: ClientIndex, delay_us: u64) -> Response {
    system.call(client, Request::SetAlarm { delay_us })
}

/// Time passes, and the clock rings if it is set for then; who was signalled.
fn pass(system: &mut System, microseconds: u64) -> Vec<ClientIndex> {
    let kernel = system.server.kernel_mut();
    kernel.pass(microseconds);
    let now_us = system.now_us();
    if system
        .server
        .kernel()
        .alarm()
        .is_some_and(|due| due <= now_us)
    {
        system.server.alarm(now_us);
        system.settle();
    }
    system.server.kernel_mut().take_signals()
}

#[test]
fn the_clock_is_set_for_the_earliest_alarm() {
    let mut system = System::new(RAM);
    let clients = [(); 3].map(|()| system.spawn(UNLIMITED));
    for (client, delay) in clients.into_iter().zip([300, 100, 200]) {
        let now_us = system.now_us();
        let time = Ok(Reply::Time { now_us });
        assert_eq!(set_alarm(&mut system, client, delay), time);
    }
    assert_eq!(system.server.kernel().alarm(), Some(100));
    assert_eq!(pass(&mut system, 99), []);
    assert_eq!(pass(&mut system, 1), [clients[1]]);
    assert_eq!(system.server.kernel().alarm(), Some(200));
    // Two at once.
    assert_eq!(pass(&mut system, 1000), [clients[0], clients[2]]);
    assert_eq!(system.server.kernel().alarm(), None);
}

#[test]
fn an_alarm_is_replaced_and_forgotten() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    set_alarm(&mut system, client, 10).expect("the time");
    set_alarm(&mut system, client, 20).expect("the time");
    assert_eq!(pass(&mut system, 10), []);
    set_alarm(&mut system, client, 0).expect("the time");
    assert_eq!(system.server.kernel().alarm(), None);
    assert_eq!(pass(&mut system, 100), []);
    set_alarm(&mut system, client, u64::MAX).expect("the time");
    assert_eq!(pass(&mut system, 1 << 60), []);
}

#[test]
fn the_dead_are_not_signalled() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    set_alarm(&mut system, client, 10).expect("the time");
    system.answer(client, Request::Exit { status: 0 });
    assert_eq!(pass(&mut system, 10), []);
    // The place is somebody else's now.
    assert_eq!(system.spawn(UNLIMITED), client);
    assert_eq!(pass(&mut system, 10), []);
}

#[test]
fn no_alarm_is_lost_or_early_though_the_kernel_is_slow() {
    for seed in 0..50 {
        let mut system = System::new(RAM);
        let clients = [(); 3].map(|()| system.spawn(UNLIMITED));
        // Longer than some of the alarms: they are due before the clock is set for them.
        system.server.kernel_mut().delay_seeded(seed, 3, 400);
        let due = clients.map(|client| {
            let delay_us = 50 + 100 * u64::from(client.0) + seed;
            match set_alarm(&mut system, client, delay_us) {
                Ok(Reply::Time { now_us }) => now_us + delay_us,
                other => panic!("seed {seed}: {other:?}"),
            }
        });
        let mut rung = Vec::new();
        for _ in 0..20 {
            for client in pass(&mut system, 50) {
                let place = clients.iter().position(|other| *other == client);
                let place = place.expect("one of them");
                assert!(due[place] <= system.now_us(), "seed {seed}: {client:?}");
                rung.push(client);
            }
        }
        rung.sort_unstable();
        assert_eq!(rung, clients, "seed {seed}");
        assert_eq!(system.server.kernel().alarm(), None);
    }
}
