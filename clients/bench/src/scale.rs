// SPDX-License-Identifier: BSD-2-Clause
//! Whether calls cost more with more clients, more blocks, and less memory left.

use crate::measure::{SAMPLES, count_result, report, table};
use core::ptr::NonNull;
use kmalloc::{Error, Flags, served};

/// Numbers of live blocks that are compared.
const LIVE: [usize; 3] = [10, 10_000, 1_000_000];
/// Calls to let every other client come to where it waits.
const TURNS: usize = 10_000;
/// Bytes of a block while memory is filled.
const RAMP_BYTES: usize = 64 << 10;
/// Most blocks that fill the memory.
const RAMP_BLOCKS_MAX: usize = 1 << 17;
/// Parts that the ramp is looked at in.
const RAMP_PARTS: usize = 8;

/// Calls beside others that hold memory and wait; `count` clients there are in all.
pub fn clients(count: &str) -> Result<(), Error> {
    for _ in 0..TURNS {
        sel4::r#yield();
    }
    calls("clients_", count)
}

/// Calls with more and more blocks in use.
pub fn live() -> Result<(), Error> {
    let mut blocks = 0;
    for target in LIVE {
        for _ in blocks..target {
            served::kmalloc(64, Flags::empty())?;
        }
        blocks = target;
        calls("live_", target)?;
    }
    Ok(())
}

fn calls(kind: &str, number: impl core::fmt::Display) -> Result<(), Error> {
    let counts = table(SAMPLES, 0)?;
    let blocks = table(SAMPLES, NonNull::<u8>::dangling())?;
    for (sample, block) in counts.iter_mut().zip(&mut *blocks) {
        (*sample, *block) = count_result(|| served::kmalloc(64, Flags::empty()))?;
    }
    report(
        format_args!("scale.served.kmalloc.64.{kind}{number}"),
        counts,
    );
    for (sample, block) in counts.iter_mut().zip(&*blocks) {
        // SAFETY: the block is used no more.
        (*sample, ()) = count_result(|| unsafe { served::kfree(block.as_ptr()) })?;
    }
    report(format_args!("scale.served.kfree.64.{kind}{number}"), counts);
    Ok(())
}

/// Calls while the machine's memory goes from empty to full.
pub fn ramp() -> Result<(), Error> {
    let counts = table(RAMP_BLOCKS_MAX, 0)?;
    let mut filled = 0;
    for sample in &mut *counts {
        match count_result(|| served::kmalloc(RAMP_BYTES, Flags::empty())) {
            Ok((instructions, _)) => *sample = instructions,
            Err(Error::OutOfMemory { .. } | Error::NoContiguousRun { .. }) => break,
            Err(other) => return Err(other),
        }
        filled += 1;
    }
    let counts = &mut counts[..filled];
    let part = filled.div_ceil(RAMP_PARTS);
    for (number, counts) in counts.chunks_mut(part.max(1)).enumerate() {
        let number = number + 1;
        report(
            format_args!("scale.ramp.kmalloc.64k.eighth_{number}"),
            counts,
        );
    }
    Ok(())
}
