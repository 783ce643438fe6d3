// SPDX-License-Identifier: BSD-2-Clause
//! The allocators compared. A peer is one line in [`ALLOCATORS`].

use kmalloc::Heap;
use kmalloc_host_source::HostSource;
use std::alloc::{GlobalAlloc, Layout, System};

/// An allocator under its name in the tables.
pub struct Allocator {
    /// As in `host.NAME.WORKLOAD`.
    pub name: &'static str,
    /// Called through its table of functions, as a program does that does not know its allocator.
    pub calls: &'static (dyn GlobalAlloc + Sync),
    /// Runs pairs of 64 bytes with the size known at compile time and the allocator open to inlining.
    pub constant_pairs: fn(usize),
}

/// Bytes that the heap may take from the host.
const LIMIT: usize = 8 << 30;

/// The heap, and the bench's own allocator: a size known at compile time reaches it the way that it does in a program.
// SAFETY: the bench has one thread.
#[global_allocator]
pub static KMALLOC: Heap<HostSource> = unsafe { Heap::single_threaded(HostSource::new(LIMIT)) };

static MIMALLOC: mimalloc::MiMalloc = mimalloc::MiMalloc;
static DLMALLOC: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
static NOTHING: Nothing = Nothing;

/// What stands for the loops around the calls: its cost is taken off the others'.
pub const BASELINE: Allocator = Allocator {
    name: "nothing",
    calls: &NOTHING,
    constant_pairs: |pairs| constant_pairs(&NOTHING, pairs),
};

/// Ours first.
pub const ALLOCATORS: &[Allocator] = &[
    Allocator {
        name: "kmalloc",
        calls: &KMALLOC,
        constant_pairs: global_constant_pairs,
    },
    Allocator {
        name: "mimalloc",
        calls: &MIMALLOC,
        constant_pairs: |pairs| constant_pairs(&MIMALLOC, pairs),
    },
    Allocator {
        name: "dlmalloc",
        calls: &DLMALLOC,
        constant_pairs: |pairs| constant_pairs(&DLMALLOC, pairs),
    },
    Allocator {
        name: "glibc",
        calls: &System,
        constant_pairs: |pairs| constant_pairs(&System, pairs),
    },
];

/// The allocator of this name.
pub fn named(name: &str) -> Option<&'static Allocator> {
    if name == BASELINE.name {
        return Some(&BASELINE);
    }
    ALLOCATORS.iter().find(|allocator| allocator.name == name)
}

/// The size of the pairs whose size is known at compile time.
const CONSTANT: Layout = Layout::new::<[u64; 8]>();

fn constant_pairs(allocator: &impl GlobalAlloc, pairs: usize) {
    for _ in 0..pairs {
        // SAFETY: the block is freed with the layout that it was allocated with.
        unsafe {
            let block = std::hint::black_box(allocator.alloc(CONSTANT));
            allocator.dealloc(block, CONSTANT);
        }
    }
}

fn global_constant_pairs(pairs: usize) {
    for _ in 0..pairs {
        // SAFETY: the block is freed with the layout that it was allocated with.
        unsafe {
            let block = std::hint::black_box(std::alloc::alloc(CONSTANT));
            std::alloc::dealloc(block, CONSTANT);
        }
    }
}

/// Gives the same memory to everyone.
struct Nothing;

/// Bytes that the largest workload asks for at a time.
const PLACE_SIZE: usize = 1 << 20;

#[repr(align(4096))]
struct Place(std::cell::UnsafeCell<[u8; PLACE_SIZE]>);

// SAFETY: nothing is read from it.
unsafe impl Sync for Place {}

static PLACE: Place = Place(std::cell::UnsafeCell::new([0; PLACE_SIZE]));

/// Instructions of a pair of calls of [`Nothing`]: the calls, the address, and two returns. Added back, so that a figure
/// is what an allocator's two functions cost with the calls to them.
pub const BASELINE_PAIR_INSTRUCTIONS: f64 = 5.0;

// SAFETY: this is no allocator; the workloads write one byte to a block and read none.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        PLACE.0.get().cast()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, block: *mut u8, _: Layout, _: usize) -> *mut u8 {
        block
    }
}
