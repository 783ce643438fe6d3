// SPDX-License-Identifier: BSD-2-Clause
//! The server and its clients together, over an in-process transport and a model of the kernel.
//!
//! After every request the whole state is scanned ([`kmalloc_simulation::scan()`]): what the kernel model maps, what the books of physical
//! memory say, and what each client is charged must be one and the same.

use kmalloc_simulation::system;

mod accounts;
mod alarms;
#[path = "../../../kmalloc-simulation/tests/allocator/mod.rs"]
mod allocator;
mod books;
mod cleaning;
mod conditions;
mod death;
mod devices;
mod dma;
mod endurance;
mod exhaustion;
mod failures;
mod freed;
mod growing;
mod iommu;
mod lives;
mod measuring;
mod messages;
mod movable;
mod moving;
mod notices;
mod places;
mod pointers;
mod quarantine;
mod regions;
mod registers;
mod runs;
mod segments;
mod served;
mod sharing;
mod sharing_ends;
mod statistics;
mod stocks;
mod threads;
