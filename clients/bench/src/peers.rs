// SPDX-License-Identifier: BSD-2-Clause
//! The resident heap and its peers: allocators that one would link into a program instead. Each peer gets the same region,
//! one after the other.

mod adapters;

use crate::HEAP;
use crate::measure::report_mean;
use crate::workloads::{CONSTANT_PAIR, CONSTANT_PAIRS, Tables, WORKLOADS, constant_pairs};
use adapters::{Buddy, Dlmalloc, LinkedList, Rlsf};
use core::alloc::{GlobalAlloc, Layout};
use kmalloc::{Error, Flags, served};

/// Bytes of the region.
const REGION_BYTES: usize = 64 << 20;
/// Instructions of a pair of calls of [`Nothing`]: the calls, the address, and two returns. Added back, so that a figure
/// is what an allocator's two functions cost with the calls to them.
const CALLS_OF_A_PAIR: u64 = 5;

/// Counts them all.
pub fn run() -> Result<(), Error> {
    let tables = Tables::new()?;
    let region = served::kmalloc(REGION_BYTES, Flags::empty())?;
    let nothing = Nothing(region.as_ptr());
    let mut empty = [0; WORKLOADS.len()];
    for (place, workload) in empty.iter_mut().zip(&WORKLOADS) {
        *place = (workload.run)(&nothing, &tables);
    }
    let empty_constant = constant(&nothing);
    let run = |name: &str, calls: &dyn GlobalAlloc, constant: u64| {
        for (workload, empty) in WORKLOADS.iter().zip(empty) {
            // None pays for what another one left behind; peers never give anything back.
            HEAP.trim();
            let instructions = (workload.run)(calls, &tables);
            report(name, workload.name, instructions, empty, workload.units);
        }
        let base = empty_constant;
        let units = CONSTANT_PAIRS as u64;
        report_mean(
            format_args!("{name}.{CONSTANT_PAIR}"),
            constant - base,
            units,
        );
    };

    // The way of `Box` and `Vec` to the global allocator.
    let through_alloc = constant_pairs(
        // SAFETY: the layout is not empty.
        |layout| unsafe { alloc::alloc::alloc(layout) },
        // SAFETY: the block is freed with the layout that it was allocated with.
        |block, layout| unsafe { alloc::alloc::dealloc(block, layout) },
    );
    run("heap", &HEAP, through_alloc);
    let peer = Dlmalloc::new(region);
    run("peer.dlmalloc", &peer, constant(&peer));
    let peer = talc::TalcCell::new(talc::source::Manual);
    // SAFETY: the region is mapped, and its last user is gone.
    unsafe { peer.claim(region.as_ptr(), REGION_BYTES) };
    run("peer.talc", &peer, constant(&peer));
    let peer = Rlsf::new(region);
    run("peer.rlsf", &peer, constant(&peer));
    let peer = LinkedList::new(region);
    run("peer.linked_list_allocator", &peer, constant(&peer));
    let peer = Buddy::new(region);
    run("peer.buddy_system_allocator", &peer, constant(&peer));
    Ok(())
}

fn report(name: &str, workload: &str, instructions: u64, empty: u64, units: usize) {
    let units = units as u64;
    let own = (instructions + CALLS_OF_A_PAIR * units).saturating_sub(empty);
    report_mean(format_args!("{name}.{workload}"), own, units);
}

fn constant(allocator: &impl GlobalAlloc) -> u64 {
    constant_pairs(
        // SAFETY: the layout is not empty.
        |layout| unsafe { allocator.alloc(layout) },
        // SAFETY: the block is freed with the layout that it was allocated with.
        |block, layout| unsafe { allocator.dealloc(block, layout) },
    )
}

/// Gives the same memory to everyone: what stands for the loops around the calls.
struct Nothing(*mut u8);

// SAFETY: this is no allocator; the workloads write one byte to a block and read none.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        self.0
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, block: *mut u8, _: Layout, _: usize) -> *mut u8 {
        block
    }
}
