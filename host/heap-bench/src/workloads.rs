// SPDX-License-Identifier: BSD-2-Clause
//! The workloads. Each runs a number of *units* (mostly pairs of allocation and release) and writes a byte to each block.

use crate::allocators::Allocator;
use std::alloc::{GlobalAlloc, Layout};

/// A workload under its name in the tables.
pub struct Workload {
    /// As in `host.ALLOCATOR.NAME`.
    pub name: &'static str,
    /// Runs `units` of it.
    pub run: fn(&Allocator, usize),
    /// Pairs of calls in a unit.
    pub pairs_per_unit: usize,
    /// Units in a timed round, and the longer of the two counted runs.
    pub units: usize,
}

/// Blocks in a batch.
const BATCH: usize = 1000;
/// Blocks that live at a time in `churn`.
const CHURN_LIVE: usize = 10_000;
/// A step of `realloc`, in bytes.
const REALLOC_STEP: usize = 4096;

/// All workloads.
pub const WORKLOADS: &[Workload] = &[
    pair("pair.16", |a, n| pairs(a, n, 16)),
    pair("pair.64", |a, n| pairs(a, n, 64)),
    pair("pair.256", |a, n| pairs(a, n, 256)),
    pair("pair.1k", |a, n| pairs(a, n, 1024)),
    pair("pair.4k", |a, n| pairs(a, n, 4096)),
    pair("pair.64.const", |a, n| (a.constant_pairs)(n)),
    Workload {
        name: "lifo.1000",
        run: |a, n| batches(a, n, |index| BATCH - 1 - index),
        pairs_per_unit: BATCH,
        units: 200,
    },
    Workload {
        name: "fifo.1000",
        run: |a, n| batches(a, n, |index| index),
        pairs_per_unit: BATCH,
        units: 200,
    },
    pair("churn", churn),
    pair("large.32k", |a, n| pairs(a, n, 32 << 10)),
    pair("large.1m", |a, n| pairs(a, n, 1 << 20)),
    Workload {
        name: "realloc.16_64k",
        run: |a, n| growth(a, n, 3 * (16 << 10)),
        pairs_per_unit: 1,
        units: 20_000,
    },
    Workload {
        name: "realloc.16_64k.4k",
        run: |a, n| growth(a, n, REALLOC_STEP),
        pairs_per_unit: 1,
        units: 5_000,
    },
];

/// The workload of this name.
pub fn named(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

const fn pair(name: &'static str, run: fn(&Allocator, usize)) -> Workload {
    Workload {
        name,
        run,
        pairs_per_unit: 1,
        units: 200_000,
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("sizes of workloads are small")
}

fn alloc(calls: &dyn GlobalAlloc, layout: Layout) -> *mut u8 {
    // SAFETY: no layout of a workload is empty.
    let block = unsafe { calls.alloc(layout) };
    assert!(!block.is_null(), "out of memory");
    // SAFETY: the block has at least one byte.
    unsafe { block.write_volatile(1) };
    block
}

fn pairs(allocator: &Allocator, pairs: usize, size: usize) {
    let calls = std::hint::black_box(allocator.calls);
    let layout = layout(std::hint::black_box(size));
    for _ in 0..pairs {
        let block = alloc(calls, layout);
        // SAFETY: the block is freed with the layout that it was allocated with.
        unsafe { calls.dealloc(block, layout) };
    }
}

/// Allocates a batch of mixed sizes, then frees it in an order of its own.
fn batches(allocator: &Allocator, batches: usize, order: impl Fn(usize) -> usize) {
    let calls = std::hint::black_box(allocator.calls);
    let mut random = Random::new();
    let layouts: Vec<Layout> = (0..BATCH).map(|_| layout(random.churn_size())).collect();
    let mut blocks = vec![std::ptr::null_mut(); BATCH];
    for _ in 0..batches {
        for (block, &layout) in blocks.iter_mut().zip(&layouts) {
            *block = alloc(calls, layout);
        }
        for index in 0..BATCH {
            let freed = order(index);
            // SAFETY: each block of the batch is freed once, with the layout that it was allocated with.
            unsafe { calls.dealloc(blocks[freed], layouts[freed]) };
        }
    }
}

/// Replaces a block chosen at random among many live ones by one of a random size.
fn churn(allocator: &Allocator, pairs: usize) {
    let calls = std::hint::black_box(allocator.calls);
    let mut random = Random::new();
    // Sizes are drawn beforehand: drawing them costs more than some allocators do.
    let sizes: Vec<Layout> = (0..1 << 16).map(|_| layout(random.churn_size())).collect();
    let mut live: Vec<(*mut u8, Layout)> = (0..CHURN_LIVE)
        .map(|index| (alloc(calls, sizes[index]), sizes[index]))
        .collect();
    for pair in 0..pairs {
        let place = random.below(CHURN_LIVE);
        let (old, old_layout) = live[place];
        let layout = sizes[pair % sizes.len()];
        // SAFETY: the block is in use, and freed with the layout that it was allocated with.
        unsafe { calls.dealloc(old, old_layout) };
        live[place] = (alloc(calls, layout), layout);
    }
    for (block, layout) in live {
        // SAFETY: as above.
        unsafe { calls.dealloc(block, layout) };
    }
}

/// Grows a block from 16 to 64 KiB by `step` bytes at a time.
fn growth(allocator: &Allocator, units: usize, step: usize) {
    let calls = std::hint::black_box(allocator.calls);
    let (from, to) = std::hint::black_box((16 << 10, 64 << 10));
    for _ in 0..units {
        let mut size = from;
        let mut block = alloc(calls, layout(size));
        while size < to {
            // SAFETY: the block is in use with this layout.
            block = unsafe { calls.realloc(block, layout(size), size + step) };
            size += step;
        }
        // SAFETY: the block is freed with the size that it was given last.
        unsafe { calls.dealloc(block, layout(size)) };
    }
}

/// xorshift64: short enough not to hide what is measured.
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize * bound) >> 32
    }

    /// 16 to 4096 bytes, each octave as likely as the next.
    fn churn_size(&mut self) -> usize {
        let octaves = (self.next() >> 11) as f64 / (1_u64 << 53) as f64 * 8.0;
        (16.0 * octaves.exp2()) as usize
    }
}
