// SPDX-License-Identifier: BSD-2-Clause
//! What is asked of the resident heap and its peers: the same for each, and the same as on the host.

use crate::measure::{count, table};
use crate::random::Random;
use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use core::ptr::null_mut;
use kmalloc::Error;

/// Pairs of a size.
const PAIRS: usize = 20_000;
/// Blocks that are allocated before the last of them is freed first.
const BATCH: usize = 1000;
/// Batches.
const BATCHES: usize = 20;
/// Blocks that live while others come and go.
const CHURN_LIVE: usize = 10_000;
/// Blocks that come and go.
const CHURN_PAIRS: usize = 20_000;
/// Pairs of a churn before it is counted: each block is replaced some four times.
const CHURN_BEFORE: usize = 4 * CHURN_LIVE;
/// Octaves of sizes in a churn: 16 to 4,096 bytes.
const CHURN_OCTAVES: usize = 8;
/// Sizes drawn beforehand: drawing them costs more than some allocators do.
const DRAWN: usize = 1 << 15;
/// Times that a block grows from 16 to 64 KiB.
const GROWTHS: usize = 1000;

/// The size that is known at compile time.
const CONSTANT: Layout = Layout::new::<[u64; 8]>();

/// A workload.
pub struct Workload {
    /// As in `heap.NAME`.
    pub name: &'static str,
    /// Runs it; instructions of all units.
    pub run: fn(&dyn GlobalAlloc, &Tables) -> u64,
    /// Units: pairs of calls, or growths.
    pub units: usize,
}

/// All but the pair of constant size, which no table of functions can hold.
pub const WORKLOADS: [Workload; 6] = [
    Workload {
        name: "pair.64",
        run: |calls, _| pairs(calls, 64),
        units: PAIRS,
    },
    Workload {
        name: "lifo.64",
        run: batches,
        units: BATCH * BATCHES,
    },
    Workload {
        name: "churn",
        run: churn,
        units: CHURN_PAIRS,
    },
    Workload {
        name: "large.32k",
        run: |calls, _| pairs(calls, 32 << 10),
        units: PAIRS,
    },
    Workload {
        name: "large.1m",
        run: |calls, _| pairs(calls, 1 << 20),
        units: PAIRS,
    },
    Workload {
        name: "realloc.16_64k",
        run: |calls, _| growths(calls),
        units: GROWTHS,
    },
];

/// The name of the pair of constant size.
pub const CONSTANT_PAIR: &str = "pair.64.const";
/// Its units.
pub const CONSTANT_PAIRS: usize = PAIRS;

/// Memory of the workloads themselves.
pub struct Tables {
    layouts: &'static [Layout],
    blocks: *mut (*mut u8, Layout),
}

impl Tables {
    /// Draws the sizes.
    pub fn new() -> Result<Tables, Error> {
        let mut random = Random::new();
        let layouts = table(DRAWN, CONSTANT)?;
        for place in &mut *layouts {
            *place = layout(random.size(CHURN_OCTAVES));
        }
        let blocks = table(CHURN_LIVE, (null_mut(), CONSTANT))?.as_mut_ptr();
        Ok(Tables { layouts, blocks })
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("sizes of workloads are small")
}

#[inline(always)]
fn alloc(calls: &dyn GlobalAlloc, layout: Layout) -> *mut u8 {
    // SAFETY: no layout of a workload is empty.
    let block = unsafe { calls.alloc(layout) };
    assert!(!block.is_null(), "out of memory");
    // SAFETY: the block has at least one byte.
    unsafe { block.write_volatile(1) };
    block
}

fn pairs(calls: &dyn GlobalAlloc, size: usize) -> u64 {
    let (calls, layout) = (black_box(calls), layout(black_box(size)));
    let once = || {
        let block = alloc(calls, layout);
        // SAFETY: the block is freed with the layout that it was allocated with.
        unsafe { calls.dealloc(block, layout) };
    };
    once();
    count(|| {
        for _ in 0..PAIRS {
            once();
        }
    })
}

/// Allocates a batch of one size, then frees it from the last to the first.
fn batches(calls: &dyn GlobalAlloc, tables: &Tables) -> u64 {
    let (calls, layout) = (black_box(calls), layout(black_box(64)));
    let once = || {
        for index in 0..BATCH {
            // SAFETY: the table has more places.
            unsafe { (*tables.blocks.add(index)).0 = alloc(calls, layout) };
        }
        for index in (0..BATCH).rev() {
            // SAFETY: each block of the batch is freed once, with the layout that it was allocated with.
            unsafe { calls.dealloc((*tables.blocks.add(index)).0, layout) };
        }
    };
    once();
    count(|| {
        for _ in 0..BATCHES {
            once();
        }
    })
}

/// Replaces a block chosen at random among many live ones by one of a random size.
fn churn(calls: &dyn GlobalAlloc, tables: &Tables) -> u64 {
    let calls = black_box(calls);
    let mut random = Random::new();
    // SAFETY: the table has that many places, and nobody else uses it now.
    let live = unsafe { core::slice::from_raw_parts_mut(tables.blocks, CHURN_LIVE) };
    for (place, layout) in live.iter_mut().zip(tables.layouts) {
        *place = (alloc(calls, *layout), *layout);
    }
    let mut replace = |pair: usize| {
        let place = &mut live[random.below(CHURN_LIVE)];
        let layout = tables.layouts[(CHURN_LIVE + pair) % DRAWN];
        // SAFETY: the block is in use, and freed with the layout that it was allocated with.
        unsafe { calls.dealloc(place.0, place.1) };
        *place = (alloc(calls, layout), layout);
    };
    // What is freed in between has to have every size before it is counted, and the heap as much memory as it needs in the
    // long run.
    for pair in 0..CHURN_BEFORE {
        replace(pair);
    }
    let instructions = count(|| {
        for pair in 0..CHURN_PAIRS {
            replace(CHURN_BEFORE + pair);
        }
    });
    for (block, layout) in live {
        // SAFETY: as above.
        unsafe { calls.dealloc(*block, *layout) };
    }
    instructions
}

/// Grows a block from 16 to 64 KiB at one go.
fn growths(calls: &dyn GlobalAlloc) -> u64 {
    let calls = black_box(calls);
    let (from, to) = black_box((16 << 10, 64 << 10));
    let once = || {
        let block = alloc(calls, layout(from));
        // SAFETY: the block is in use with this layout, and then freed with the size that it was given.
        unsafe {
            let block = calls.realloc(block, layout(from), to);
            calls.dealloc(block, layout(to));
        }
    };
    once();
    count(|| {
        for _ in 0..GROWTHS {
            once();
        }
    })
}

/// Pairs with the size known at compile time and the allocator open to inlining.
#[inline(always)]
pub fn constant_pairs(alloc: impl Fn(Layout) -> *mut u8, dealloc: impl Fn(*mut u8, Layout)) -> u64 {
    let once = || {
        let block = black_box(alloc(CONSTANT));
        dealloc(block, CONSTANT);
    };
    once();
    count(|| {
        for _ in 0..PAIRS {
            once();
        }
    })
}
