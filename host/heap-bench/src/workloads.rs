// SPDX-License-Identifier: BSD-2-Clause
//! The workloads. Each runs a number of *units* (pairs of allocation and release, batches, whole traces) and writes a byte
//! to each block.

mod traces;

use crate::allocators::Allocator;
use std::alloc::{GlobalAlloc, Layout};

/// A workload under its name in the tables.
pub struct Workload {
    /// As in `host.ALLOCATOR.NAME`.
    pub name: String,
    /// Runs so many units of it.
    pub run: Box<dyn Fn(&Allocator, usize) + Sync>,
    /// What figures are for: a pair of calls, or an operation of a trace. So many are in a unit.
    pub steps_per_unit: usize,
    /// Units in a timed round.
    pub units: usize,
    /// Units before those that are counted: what happens once, and until blocks lie as they will lie from then on.
    pub units_before: usize,
    /// Whether it says something about memory: it holds many blocks of many sizes.
    pub fills_memory: bool,
    /// Instructions of the loop around a pair are few enough to be taken off; else its calls are all that is left out.
    pub is_constant: bool,
}

impl Workload {
    /// Pairs of calls in a step.
    pub fn pairs_per_step(&self) -> f64 {
        // An operation of a trace is half of a pair.
        if self.fills_memory && self.steps_per_unit > 1 {
            0.5
        } else {
            1.0
        }
    }
}

/// Blocks in a batch.
const BATCH: usize = 1000;
/// Blocks that live at a time in `churn`.
const CHURN_LIVE: usize = 10_000;
/// A step of `realloc.16_64k.4k`, in bytes.
const REALLOC_STEP: usize = 4096;

/// The workloads whose names `wanted` wants.
pub fn all(wanted: impl Fn(&str) -> bool) -> Result<Vec<Workload>, String> {
    let mut workloads = vec![
        pair("pair.16", |a, n| pairs(a, n, 16)),
        pair("pair.64", |a, n| pairs(a, n, 64)),
        pair("pair.256", |a, n| pairs(a, n, 256)),
        pair("pair.1k", |a, n| pairs(a, n, 1024)),
        pair("pair.4k", |a, n| pairs(a, n, 4096)),
        Workload {
            is_constant: true,
            ..pair("pair.64.const", |a, n| (a.constant_pairs)(n))
        },
        batch("lifo.1000", |index| BATCH - 1 - index),
        batch("fifo.1000", |index| index),
        Workload {
            units_before: 5 * CHURN_LIVE,
            fills_memory: true,
            ..pair("churn", churn)
        },
        pair("large.32k", |a, n| pairs(a, n, 32 << 10)),
        pair("large.1m", |a, n| pairs(a, n, 1 << 20)),
        Workload {
            units: 10_000,
            ..pair("realloc.16_64k", |a, n| growth(a, n, 3 * (16 << 10)))
        },
        Workload {
            units: 500,
            ..pair("realloc.16_64k.4k", |a, n| growth(a, n, REALLOC_STEP))
        },
    ];
    workloads.retain(|workload| wanted(&workload.name));
    workloads.extend(traces::all(wanted)?);
    Ok(workloads)
}

fn pair(name: &str, run: impl Fn(&Allocator, usize) + Sync + 'static) -> Workload {
    Workload {
        name: name.into(),
        run: Box::new(run),
        steps_per_unit: 1,
        units: 200_000,
        units_before: 1000,
        fills_memory: false,
        is_constant: false,
    }
}

fn batch(name: &str, order: impl Fn(usize) -> usize + Sync + 'static) -> Workload {
    Workload {
        steps_per_unit: BATCH,
        units: 200,
        units_before: 5,
        ..pair(name, move |a, n| batches(a, n, &order))
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
fn batches(allocator: &Allocator, batches: usize, order: &impl Fn(usize) -> usize) {
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
