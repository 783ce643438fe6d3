// SPDX-License-Identifier: BSD-2-Clause
//! Served memory in patterns that allocators suffer from: what a client is charged for the same blocks does not grow from
//! round to round, and stays near what it has.

use crate::system::{MIB, PAGE, System};
use kmalloc_protocol::Reply;
use kmalloc_server::kernel::ClientIndex;
use kmalloc_simulation::scan;

const ROUNDS: usize = 12;
/// The first rounds, after which nothing grows any more.
const SETTLED: usize = 4;
/// What is charged at the most, in hundredths of the usable bytes of blocks at their peak, and beside that: tables, books,
/// a page of each class.
const CHARGED_MAX: u64 = 125;
const BESIDE: u64 = MIB;

struct World {
    system: System,
    client: ClientIndex,
    live: Vec<(u64, u64)>,
    usable: u64,
    usable_peak: u64,
    state: u64,
}

impl World {
    fn random(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % below as u64) as usize
    }

    fn take(&mut self, size: u64) {
        let address = self.system.kmalloc(self.client, size).expect("memory");
        let usable = match size {
            0..=8192 => size.max(16).next_power_of_two(),
            _ => size.next_multiple_of(PAGE),
        };
        self.live.push((address, usable));
        self.usable += usable;
        self.usable_peak = self.usable_peak.max(self.usable);
    }

    fn free(&mut self, index: usize) {
        let (address, usable) = self.live.swap_remove(index);
        self.usable -= usable;
        let response = self.system.kfree(self.client, address);
        assert_eq!(response, Ok(Reply::Done));
    }
}

fn endure(mut round: impl FnMut(&mut World)) {
    let mut system = System::new(&[(0x1000_0000, 27)]);
    system.scan_every = u64::MAX;
    let free = system.books().free;
    let client = system.spawn(100 * MIB);
    let before = system.committed(client);
    let mut world = World {
        system,
        client,
        live: Vec::new(),
        usable: 0,
        usable_peak: 0,
        state: 0x9e37_79b9_7f4a_7c15,
    };
    let mut settled = 0;
    for number in 0..ROUNDS {
        round(&mut world);
        let committed = world.system.committed(client);
        if number < SETTLED {
            settled = settled.max(committed);
        }
        assert!(
            committed <= settled + 16 * PAGE,
            "round {number}: {committed} charged, {settled} before"
        );
        scan(&world.system.server);
    }
    let charged = world.system.stats(client).committed_peak - before;
    let most = world.usable_peak / 100 * CHARGED_MAX + BESIDE;
    assert!(
        charged <= most,
        "{charged} charged for {}",
        world.usable_peak
    );
    while !world.live.is_empty() {
        world.free(0);
    }
    world.system.kill(client);
    assert_eq!(world.system.books().free, free);
}

#[test]
fn alternating_frees_of_served_blocks_leave_nothing_behind() {
    endure(|world| {
        for size in [48, 100, 200, 1000] {
            (0..4000).for_each(|_| world.take(size));
            for index in (0..world.live.len()).rev().step_by(2) {
                world.free(index);
            }
        }
        while world.live.len() > 1000 {
            let index = world.random(world.live.len());
            world.free(index);
        }
        while !world.live.is_empty() {
            world.free(0);
        }
    });
}

#[test]
fn a_drift_of_served_sizes_leaves_nothing_behind() {
    endure(|world| {
        (0..1000).for_each(|_| world.take(16));
        for step in 0..20_000 {
            let phase = step * 18 / 20_000;
            let octave = if phase < 9 { phase } else { 17 - phase };
            let index = world.random(world.live.len());
            world.free(index);
            let size = (16 << octave) + world.random(16 << octave);
            world.take(size as u64);
        }
        while !world.live.is_empty() {
            world.free(0);
        }
    });
}

#[test]
fn a_served_ramp_to_full_and_back_leaves_nothing_behind() {
    endure(|world| {
        while world.usable < 40 * MIB {
            let size = 1 + world.random(20_000) as u64;
            world.take(size);
        }
        while world.live.len() > 100 {
            let index = world.random(world.live.len());
            world.free(index);
        }
        while !world.live.is_empty() {
            world.free(0);
        }
    });
}
