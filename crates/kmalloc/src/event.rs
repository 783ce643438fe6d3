// SPDX-License-Identifier: BSD-2-Clause
//! What the server tells a program unasked: a signal, and what it was for when the program asks.

use crate::{process, transport};
use core::sync::atomic::{AtomicU32, Ordering};
use kmalloc_protocol::{Error, Events, Reply, Request};

/// Events that were asked for and not waited for yet.
static KEPT: AtomicU32 = AtomicU32::new(0);

/// What has happened since this was last asked, or waited for.
///
/// # Errors
///
/// None that a program can do anything about.
pub fn events() -> Result<Events, Error> {
    match transport::call(&Request::Events)? {
        Reply::Events { events } => {
            let kept = KEPT.swap(0, Ordering::Relaxed);
            Ok(Events::from_bits_truncate(kept | events))
        }
        _ => transport::not_understood(),
    }
}

/// Waits until one of `wanted` has happened; which of them. Others are kept for the next to ask or wait.
///
/// # Errors
///
/// As for [`events`].
pub fn wait_for(wanted: Events) -> Result<Events, Error> {
    loop {
        let happened = events()?;
        let others = happened - wanted;
        KEPT.fetch_or(others.bits(), Ordering::Relaxed);
        if happened.intersects(wanted) {
            return Ok(happened & wanted);
        }
        process::wait();
    }
}

/// Says which events the program wants to be signalled of those that one has to ask for: [`Events::PRESSURE`].
///
/// # Errors
///
/// [`Error::BadFlags`] for events that come unasked.
pub fn watch(events: Events) -> Result<(), Error> {
    let events = events.bits();
    transport::call_done(&Request::Watch { events })
}

/// Waits until `size` bytes can be had on the machine, or `timeout_us` microseconds are over; whether they can. With
/// [`AWAIT_ALL`](kmalloc_protocol::AWAIT_ALL), until all memory that is free is clean. Nothing is set aside: another program
/// may be faster.
///
/// # Errors
///
/// [`Error::OverQuota`] where the program's limit does not allow as much, [`Error::OutOfMemory`] where the machine has not
/// as much at all, [`Error::Refused`] where the machine's clock can't be used.
pub fn wait_for_memory(size: u64, timeout_us: u64) -> Result<bool, Error> {
    transport::call_done(&Request::AwaitMemory { size, timeout_us })?;
    let happened = wait_for(Events::MEMORY | Events::TIMEOUT)?;
    Ok(happened.contains(Events::MEMORY))
}
