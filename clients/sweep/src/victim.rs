// SPDX-License-Identifier: BSD-2-Clause
//! Those who are killed.

use crate::operations::named;
use crate::{gate, wait};
use kmalloc::served;

/// Prepares what its argument says, and begins it when the killer says so. `queued`: at once when the killer knows that it is
/// ready, so that its request waits behind the killer's.
pub fn main(name: &str, queued: bool) -> Result<(), &'static str> {
    let operation = named(name).ok_or("no such operation")?;
    let prepared = (operation.prepare)().map_err(|_| "what it needs can't be had")?;
    let calls = served::stats().map_err(|_| "no figures")?.calls;
    let waiting = wait::addresses();
    let words = [
        calls,
        *waiting.start() as u64,
        *waiting.end() as u64,
        *wait::still_addresses().start() as u64,
    ];
    if queued {
        gate::send(words);
    } else {
        wait::until(gate::call(words));
    }
    if (operation.run)(prepared).is_err() {
        return Err("it was refused");
    }
    if queued {
        // It has made no request: above the server's priority it must not keep the processor.
        kmalloc::thread::park();
    }
    wait::stand_still()
}
