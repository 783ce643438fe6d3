// SPDX-License-Identifier: BSD-2-Clause
//! The reclaimer: gives the server time, slice by slice, for what no request waits for.
//!
//! It has the clients' priority, so whoever calls the server meanwhile is served between two slices.

use super::Equipment;

/// What the reclaimer runs.
pub extern "C" fn run(equipment: &'static Equipment) -> ! {
    equipment.enter();
    loop {
        equipment.notification.wait();
        while equipment.call([0; 2])[0] != 0 {}
    }
}
