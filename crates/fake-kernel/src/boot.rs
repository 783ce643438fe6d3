// SPDX-License-Identifier: BSD-2-Clause
//! What boot gives, cut into the pieces that the books know.

use crate::FakeKernel;
use crate::capability::{Capabilities, Capability};
use crate::failure::{Delays, FailurePlan};
use crate::memory::Memory;
use crate::rules::{Release, Rules};
use kmalloc_server::kernel::{Object, Slot};
use kmalloc_server::physical::{Chunk, Large, Page, Physical};
use std::collections::{BTreeMap, BTreeSet};

impl FakeKernel {
    /// A kernel that has booted with these untypeds (physical address, log2 of the bytes) and a root task that has cut
    /// them: 2 MiB and more into large pages, 64 KiB and more into chunks, the rest into frames.
    ///
    /// # Panics
    /// When there is none, or one is smaller than a page or not aligned to its size.
    pub fn boot(ram: &[(u64, u32)]) -> (FakeKernel, Physical) {
        FakeKernel::boot_by(ram, Rules::SERVER)
    }

    /// The same on an MCS kernel.
    ///
    /// # Panics
    /// As for [`boot`](FakeKernel::boot).
    pub fn boot_mcs(ram: &[(u64, u32)]) -> (FakeKernel, Physical) {
        let release = Release::ThirteenMcs;
        FakeKernel::boot_by(
            ram,
            Rules {
                release,
                ..Rules::SERVER
            },
        )
    }

    /// The same, with no rules but those of a kernel of this release: see [`rules`](crate::rules).
    ///
    /// # Panics
    /// As for [`boot`](FakeKernel::boot).
    pub fn boot_bare(ram: &[(u64, u32)], release: Release) -> (FakeKernel, Physical) {
        FakeKernel::boot_by(
            ram,
            Rules {
                release,
                server: false,
                ..Rules::SERVER
            },
        )
    }

    /// Has one retype make other than [`RETYPE_MAX`](crate::RETYPE_MAX) objects at the most.
    pub fn set_retype_max(&mut self, retype_max: usize) {
        self.rules.retype_max = retype_max;
    }

    fn boot_by(ram: &[(u64, u32)], rules: Rules) -> (FakeKernel, Physical) {
        let start = ram.iter().map(|(address, _)| *address).min();
        let end = ram
            .iter()
            .map(|(address, bits)| address + (1 << bits))
            .max();
        let (start, end) = start.zip(end).expect("boot gives memory");
        let mut physical = Physical::new(start, end);
        let mut kernel = FakeKernel {
            rules,
            base_addr: physical.address_of(Page(0)),
            capabilities: Capabilities::new(physical.page_capacity()),
            memory: Memory::default(),
            spaces: BTreeMap::new(),
            asids: BTreeMap::new(),
            identities: 0,
            ledgers: BTreeMap::new(),
            threads: BTreeMap::new(),
            woken: BTreeSet::new(),
            hurried: false,
            zeroed_max: 0,
            failures: FailurePlan::default(),
            delays: Delays::default(),
            refusals: Vec::new(),
            clock: Default::default(),
            signals: Vec::new(),
            machine: Default::default(),
            traced: Vec::new(),
        };
        for &(address, size_bits) in ram {
            assert!(size_bits >= 12 && address.is_multiple_of(1 << size_bits));
            kernel.cut(&mut physical, address, size_bits);
        }
        (kernel, physical)
    }

    fn cut(&mut self, physical: &mut Physical, start: u64, size_bits: u32) {
        let piece_bits = match size_bits {
            21.. => 21,
            16.. => 16,
            _ => 12,
        };
        for address in (start..start + (1 << size_bits)).step_by(1 << piece_bits) {
            let number = ((address - self.base_addr) >> piece_bits) as u32;
            let (slot, object) = match piece_bits {
                21 => {
                    physical.add_large(Large(number));
                    (Slot::Large(Large(number)), Object::Untyped(21))
                }
                16 => {
                    physical.add_chunk(Chunk(number));
                    (Slot::Chunk(Chunk(number)), Object::Untyped(16))
                }
                _ => {
                    physical.add_page(Page(number));
                    (Slot::Page(Page(number)), Object::Frame)
                }
            };
            self.capabilities
                .insert(slot, Capability::new(None, address, object));
        }
    }
}
