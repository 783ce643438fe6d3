// SPDX-License-Identifier: BSD-2-Clause
//! The patterns, a round of each. A round ends with about as many blocks in use as the one before it.

use crate::world::{Way, World};
use client_test::{Outcome, check};

/// A round of so many operations, or a few more.
pub type Round = fn(&mut World, u64) -> Outcome;

/// The pattern of this name.
pub fn find(name: &str) -> Option<Round> {
    Some(match name {
        "alternating" => alternating,
        "drift" => drift,
        "ramp" => ramp,
        "set" => working_set,
        _ => return None,
    })
}

/// Every second block goes, and blocks of about twice the size come: none of the holes is large enough.
fn alternating(world: &mut World, operations: u64) -> Outcome {
    let (count, sizes) = match world.way() {
        Way::Resident => (30_000, [48, 96, 192, 384]),
        Way::Served => (2_500, [48, 100, 200, 1000]),
    };
    let end = world.operations + operations;
    while world.operations < end {
        for size in sizes {
            let keep = world.count();
            for _ in 0..count {
                world.take(size)?;
            }
            for index in (keep..keep + count).rev().step_by(2) {
                world.free(index)?;
            }
        }
        world.free_to(count / 4)?;
    }
    Ok(())
}

/// Sizes that grow and shrink while blocks are replaced one by one: from 16 bytes to 8 KiB and back, once a round.
fn drift(world: &mut World, operations: u64) -> Outcome {
    const BLOCKS: usize = 2_000;
    const PHASES: u64 = 18;
    while world.count() < BLOCKS {
        world.take(64)?;
    }
    let steps = operations / 2;
    for step in 0..steps {
        let phase = step * PHASES / steps;
        let octave = phase.min(PHASES - 1 - phase);
        world.free_any()?;
        let size = (16 << octave) + world.random(16 << octave);
        world.take(size)?;
    }
    // The same blocks at the end of each round.
    world.free_to(0)?;
    for _ in 0..BLOCKS {
        world.take(64)?;
    }
    Ok(())
}

/// To all that the account allows, and back to little. However often: as much can be had each time.
fn ramp(world: &mut World, operations: u64) -> Outcome {
    const LEFT: usize = 500;
    let end = world.operations + operations;
    while world.operations < end {
        loop {
            let size = 1 + world.random(4000);
            if !world.take_if_there_is_room(size)? {
                break;
            }
        }
        check!(world.count() > LEFT);
        while world.count() > LEFT {
            world.free_any()?;
        }
    }
    world.free_to(0)
}

/// Blocks of all sizes up to 16 KiB, most of them small, that live for a random time.
fn working_set(world: &mut World, operations: u64) -> Outcome {
    const BLOCKS: usize = 6_000;
    let end = world.operations + operations;
    while world.operations < end {
        let size = 1 + (world.random(1 << 14) >> world.random(11));
        world.take(size)?;
        if world.count() > BLOCKS {
            world.free_any()?;
        }
    }
    Ok(())
}
