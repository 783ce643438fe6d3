// SPDX-License-Identifier: BSD-2-Clause
//! The server and its clients together, over an in-process transport and a model of the kernel.
//!
//! After every request the whole state is scanned ([`scan`]): what the kernel model maps, what the books of physical
//! memory say, and what each client is charged must be one and the same.

mod accounts;
mod alarms;
mod cleaning;
mod death;
mod devices;
mod dma;
mod exhaustion;
mod failures;
mod generator;
mod hostile;
mod iommu;
mod lives;
mod messages;
mod model;
mod moving;
mod notices;
mod pointers;
mod random;
mod random_sharing;
mod regions;
mod scan;
mod scan_accounts;
mod scan_reach;
mod scan_shared;
mod segments;
mod served;
mod sharing;
mod sharing_ends;
mod statistics;
mod system;
mod threads;
