// SPDX-License-Identifier: BSD-2-Clause
//! Clients that come and go: from the request to a child's first instruction, and from its last one to everything being
//! back. The child says when it ran: its exit status is the lower half of the time-stamp counter.

use crate::measure::{SAMPLES, now, report, table};
use kmalloc::Error;
use kmalloc::child::Child;

/// Bytes that each child gets.
const SHARE: u64 = 512 << 10;

/// Counts both.
pub fn run() -> Result<(), Error> {
    let (spawned, reclaimed) = (table(SAMPLES, 0)?, table(SAMPLES, 0)?);
    for (spawn, reclaim) in spawned.iter_mut().zip(&mut *reclaimed) {
        let start = now();
        let ended = Child::start("child", &["clock"], Some(SHARE))?.wait()?;
        let (end, between) = (now() as u32, ended.value as u32);
        *spawn = between.wrapping_sub(start as u32).into();
        *reclaim = end.wrapping_sub(between).into();
    }
    report("spawn.client", spawned);
    report("reclaim.client", reclaimed);
    Ok(())
}
