// SPDX-License-Identifier: BSD-2-Clause
//! A model of seL4's rules, for tests of the server on the host.
//!
//! [`FakeKernel`] answers as the kernel would, and is stricter than it in one way: what the kernel would do in silence,
//! but what no correct server asks for (a page mapped over another, a table taken away from under mapped pages, bytes
//! of one client shown to another), is a panic that names the rule: [`rules`] has all of them. What the kernel itself refuses
//! is refused with its error number and kept in [`FakeKernel::refusals`], because books that are right never lead there.
//!
//! # How it is known to be right
//! [`kernel_sequences`] runs the same random operations on this model, without the server's rules, and on seL4: `./simulate
//! test` compares what each of them gives.
//!
//! # Which calls can fail, and be slow
//! A test can make the n-th fallible call fail ([`FakeKernel::fail_at`]), or calls by a seed ([`FakeKernel::fail_seeded`]).
//! Any call can be made to take time by a seed ([`FakeKernel::delay_seeded`]). Fallible are `retype`, `copy`, `map_page`,
//! `map_table`, `assign_asid`, `copy_page`, `scrub`, `write_page`, `push_ledger`, `start_thread`, `now_us`, `set_alarm`
//! and those of [`Machine`](kmalloc_server::machine::Machine) that return a result: the real
//! ones allocate, map, need a device, or have preconditions in the kernel. `delete`, `revoke`, `unmap_page`, `unmap_page_table`, `unmap_io_table`, `pop_ledger` and
//! `stop_threads` only take away: with right arguments seL4 has no error for them, so they are not failed.
#![forbid(unsafe_code)]

mod boot;
mod calls;
mod capability;
mod failure;
mod inside;
mod iommu;
mod machine;
mod making;
mod mapping;
mod memory;
mod objects;
pub mod rules;
mod space;
mod subject;
mod view;

pub use capability::{Capability, FrameUse, Kind};
pub use failure::{Refusal, code};
pub use inside::is_inside;
pub use machine::{FakeFunction, FakeMachine};
pub use rules::{RETYPE_MAX, Release};
pub use space::Space;
pub use view::Fault;

use capability::Capabilities;
use failure::{Delays, FailurePlan};
use kmalloc_bucket::ledger::Entry;
use kmalloc_server::kernel::{ClientIndex, Refused, Slot, ThreadIndex, ThreadStart, Worker};
use kmalloc_server::physical::Page;
use memory::Memory;
use rules::Rules;
use std::collections::{BTreeMap, BTreeSet};

/// ASIDs in a pool.
pub const ASID_POOL_SIZE: usize = 512;
/// Those that nobody gets: 0 stands for none, and the root task has 1.
pub const ASIDS_TAKEN: u16 = 2;
/// Slots for copies, with which the CNode ends.
const ROW_SLOTS: usize = 1 << 12;
/// log2 of the bytes of the largest untyped.
const UNTYPED_BITS_MAX: u32 = 47;
/// log2 of the bytes of the smallest untyped.
const UNTYPED_BITS_MIN: u32 = 4;
/// Bytes that the kernel zeroes at a time when an untyped begins anew.
pub const RESET_GRANULE: u64 = 256;
/// Frames of one segment's ledger.
const LEDGER_FRAMES: usize = 8;
/// Entries in a frame of a ledger.
const LEDGER_ENTRIES: usize = 64;

/// The model.
#[derive(Debug)]
pub struct FakeKernel {
    rules: Rules,
    /// The physical address of page 0.
    base_addr: u64,
    capabilities: Capabilities,
    memory: Memory,
    spaces: BTreeMap<Page, Space>,
    /// Who has which ASID.
    asids: BTreeMap<u16, Page>,
    /// Names for address spaces that are never used again, so that a later one at the same place is another.
    identities: u64,
    ledgers: BTreeMap<u32, Ledger>,
    threads: BTreeMap<(ClientIndex, ThreadIndex), ThreadStart>,
    woken: BTreeSet<Worker>,
    hurried: bool,
    /// The most bytes that one call has zeroed since the test last asked.
    zeroed_max: u64,
    failures: FailurePlan,
    delays: Delays,
    refusals: Vec<Refusal>,
    clock: Clock,
    /// Clients that were signalled, in order.
    signals: Vec<ClientIndex>,
    /// The devices.
    machine: FakeMachine,
    /// Frames of what the server told of, in order.
    traced: Vec<Vec<u8>>,
}

/// Time, which goes on only when a test says so.
#[derive(Debug, Default)]
struct Clock {
    now_us: u64,
    alarm_us: Option<u64>,
}

/// The window in the server's address space through which it sees the ledger of a segment.
#[derive(Debug, Default)]
struct Ledger {
    frames: Vec<Page>,
    entries: Vec<Entry>,
}

impl FakeKernel {
    /// The `nth` fallible call from now on (1 is the next one) fails with `code`, once.
    pub fn fail_at(&mut self, nth: u64, code: u32) {
        self.failures.arm(nth, code);
    }

    /// From now on one fallible call in `one_in` fails with `code`, which ones follows from `seed`.
    pub fn fail_seeded(&mut self, seed: u64, one_in: u32, code: u32) {
        self.failures.arm_seeded(seed, one_in, code);
    }

    /// From now on one call in `one_in` takes up to `max_us` microseconds, which ones and how long follows from `seed`. The
    /// clock goes on meanwhile, so an alarm may be due before the server has done what it was doing. 0 microseconds: no more.
    pub fn delay_seeded(&mut self, seed: u64, one_in: u32, max_us: u64) {
        self.delays.arm(seed, one_in, max_us);
    }

    /// A call that can fail begins.
    fn begin(&mut self, call: &'static str) -> Result<(), Refused> {
        self.begin_taking();
        self.failures.step(call)
    }

    /// A call that only takes away begins.
    fn begin_taking(&mut self) {
        self.clock.now_us += self.delays.step();
    }

    /// No further call fails on purpose. Returns the name of the call that did, if one has since [`Self::fail_at`].
    pub fn stop_failing(&mut self) -> Option<&'static str> {
        self.failures.disarm()
    }

    /// Fallible calls so far.
    pub fn fallible_calls(&self) -> u64 {
        self.failures.calls()
    }

    /// What the rules refused, apart from failures on purpose. A server whose books are right causes none.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// What lies in a slot.
    pub fn capability(&self, slot: Slot) -> Option<&Capability> {
        self.capabilities.get(slot)
    }

    /// Every copy of a frame's capability, by its slot.
    pub fn copies(&self) -> impl Iterator<Item = (u32, &Capability)> {
        self.capabilities.copies()
    }

    /// Every address space, by the page that its root is made of.
    pub fn spaces(&self) -> impl Iterator<Item = (Page, &Space)> {
        self.spaces.iter().map(|(page, space)| (*page, space))
    }

    /// Every ledger: its segment and its frames.
    pub fn ledgers(&self) -> impl Iterator<Item = (u32, &[Page])> {
        self.ledgers
            .iter()
            .map(|(segment, ledger)| (*segment, ledger.frames.as_slice()))
    }

    /// The threads of a client that run.
    pub fn threads(&self, client: ClientIndex) -> impl Iterator<Item = &ThreadStart> {
        self.threads
            .values()
            .filter(move |thread| thread.client == client)
    }

    /// Whether a worker has been told of work since it was last asked; it waits again.
    pub fn take_wake(&mut self, worker: Worker) -> bool {
        self.woken.remove(&worker)
    }

    /// Whether the cleaner has been told to hurry.
    pub fn is_cleaner_hurried(&self) -> bool {
        self.hurried
    }

    /// The most bytes that one call has zeroed since this was last asked.
    pub fn take_zeroed_max(&mut self) -> u64 {
        core::mem::take(&mut self.zeroed_max)
    }

    /// Whether a page of memory holds only zeros.
    pub fn is_zero_page(&self, page: Page) -> bool {
        self.memory.is_zero(self.address_of(page))
    }

    /// Lets microseconds pass.
    pub fn pass(&mut self, microseconds: u64) {
        self.clock.now_us += microseconds;
    }

    /// The time for which the clock was set, if any.
    pub fn alarm(&self) -> Option<u64> {
        self.clock.alarm_us
    }

    /// Frames of what the server has told of since the test last asked.
    pub fn take_traced(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.traced)
    }

    /// The clients that were signalled since this was asked last, in order.
    pub fn take_signals(&mut self) -> Vec<ClientIndex> {
        core::mem::take(&mut self.signals)
    }

    fn address_of(&self, page: Page) -> u64 {
        self.base_addr + (u64::from(page.0) << 12)
    }
}

#[cfg(test)]
mod tests;
