// SPDX-License-Identifier: BSD-2-Clause
//! A hundred million operations in patterns that heaps suffer from: what the heap has mapped does not grow from round to round,
//! and its peak stays near the peak of what was in use.
#![cfg(not(feature = "checked"))]
#![allow(
    missing_docs,
    reason = "a test program has no readers of its documentation"
)]

use kmalloc::{Flags, Heap};
use kmalloc_host_source::HostSource;
use std::ptr::NonNull;

/// Operations of all tests together.
const OPERATIONS: usize = 100_000_000;
/// Rounds of each pattern; the first ones are for the heap to settle.
const ROUNDS: usize = 40;
const SETTLED: usize = 10;
/// Operations of a round, of each of four patterns.
const STEPS: usize = OPERATIONS / 4 / ROUNDS;
/// What is mapped at the most, in hundredths of the most that was in use, and beside that.
const MAPPED_MAX: usize = 150;
const BESIDE: usize = 4 << 20;
/// By how much rounds differ that begin with other random numbers: two segments. A leak of a byte in four operations would be
/// more after all rounds.
const SWING: usize = 4 << 20;

struct World {
    heap: Heap<HostSource>,
    live: Vec<(NonNull<u8>, usize)>,
    bytes: usize,
    bytes_peak: usize,
    state: u64,
}

impl World {
    fn new() -> Box<World> {
        Box::new(World {
            // SAFETY: each test uses its heap from one thread.
            heap: unsafe { Heap::single_threaded(HostSource::new(2 << 30)) },
            live: Vec::new(),
            bytes: 0,
            bytes_peak: 0,
            state: 0x9e37_79b9_7f4a_7c15,
        })
    }

    fn random(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % below as u64) as usize
    }

    fn take(&mut self, size: usize) {
        let block = self.heap.kmalloc(size, Flags::empty()).unwrap();
        self.live.push((block, size));
        self.bytes += size;
        self.bytes_peak = self.bytes_peak.max(self.bytes);
    }

    fn free(&mut self, index: usize) {
        let (block, size) = self.live.swap_remove(index);
        self.bytes -= size;
        // SAFETY: the block was in use, and is on the list no more.
        unsafe { self.heap.kfree(block).unwrap() };
    }

    fn mapped(&self) -> usize {
        self.heap.source().usage().mapped
    }
}

/// Runs `round` again and again. It ends with about the same blocks in use each time.
fn endure(mut round: impl FnMut(&mut World, usize)) {
    let mut world = World::new();
    let mut settled = 0;
    for number in 0..ROUNDS {
        round(&mut world, number);
        let mapped = world.mapped();
        if number < SETTLED {
            settled = settled.max(mapped);
        }
        assert!(
            mapped <= settled + SWING,
            "round {number}: {mapped} mapped, {settled} before"
        );
    }
    let (mapped, used) = (world.heap.source().usage().mapped_peak, world.bytes_peak);
    assert!(
        mapped <= used / 100 * MAPPED_MAX + BESIDE,
        "at most {mapped} mapped for {used}"
    );
    while !world.live.is_empty() {
        world.free(0);
    }
    world.heap.trim();
    world.heap.audit().unwrap();
    assert_eq!(world.mapped(), 0);
}

/// Every second block goes, and blocks of twice the size come: none of the holes is large enough.
#[test]
fn alternating_frees_leave_nothing_behind() {
    endure(|world, _| {
        let mut steps = 0;
        while steps < STEPS {
            for size in [48, 96, 192] {
                let (keep, count) = (world.live.len(), 20_000);
                (0..count).for_each(|_| world.take(size));
                for index in (keep..keep + count).rev().step_by(2) {
                    world.free(index);
                }
                steps += count + count / 2;
            }
            steps += world.live.len();
            while world.live.len() > 10_000 {
                let last = world.live.len() - 1;
                world.free(last);
            }
        }
    });
}

/// Sizes that grow and shrink while blocks are replaced one by one.
#[test]
fn a_drift_of_sizes_leaves_nothing_behind() {
    endure(|world, _| {
        while world.live.len() < 5_000 {
            world.take(64);
        }
        for step in 0..STEPS / 2 {
            // From 16 bytes to 8 KiB and back, once a round.
            let phase = step * 18 / (STEPS / 2);
            let octave = if phase < 9 { phase } else { 17 - phase };
            let index = world.random(world.live.len());
            world.free(index);
            let size = (16 << octave) + world.random(16 << octave);
            world.take(size);
        }
        // The same blocks at the end of each round.
        while !world.live.is_empty() {
            world.free(0);
        }
        (0..5_000).for_each(|_| world.take(64));
    });
}

/// To all that there is and back to little.
#[test]
fn a_ramp_to_full_and_back_leaves_nothing_behind() {
    endure(|world, _| {
        let mut steps = 0;
        while steps < STEPS {
            while world.bytes < 64 << 20 {
                let size = 1 + world.random(2000);
                world.take(size);
                steps += 1;
            }
            while world.live.len() > 2_000 {
                let index = world.random(world.live.len());
                world.free(index);
                steps += 1;
            }
        }
    });
}

/// Blocks of all sizes that live for a random time.
#[test]
fn a_working_set_leaves_nothing_behind() {
    endure(|world, _| {
        for _ in 0..STEPS / 2 {
            let size = 1 + (world.random(1 << 14) >> world.random(11));
            world.take(size);
            if world.live.len() > 10_000 {
                let index = world.random(world.live.len());
                world.free(index);
            }
        }
    });
}
