// SPDX-License-Identifier: BSD-2-Clause
//! Takes all memory in blocks of a page, gives every eighth back, and asks for 64 KiB in one piece.
//!
//! As `fixed` it may not be moved, and is refused. As `movable` it is served, again and again, while a second thread goes on
//! counting in the pages that are moved; every page must hold what was written to it.
#![no_std]
#![no_main]

use client_test::{Outcome, Test, check, check_eq, ok};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kmalloc::served::{self, DmaMemory, DmaOptions};
use kmalloc::{Error, Flags, println};

kmalloc::main!(main);

const FIXED: &[Test] = &[("a_run_that_is_not_there_is_refused", refused)];
const MOVABLE: &[Test] = &[("pages_are_moved_out_of_the_way", moved)];

const PAGE: usize = 4096;
/// The most blocks of a page: more than the machine has.
const BLOCKS_MAX: usize = 24_000;
/// One of so many blocks goes back.
const GAP: usize = 8;
const RUN_BYTES: usize = 16 * PAGE;
/// Runs that are asked for once room is made.
const RUNS: usize = 20;
/// Blocks that the second thread counts in.
const COUNTED: usize = 64;
const STACK_BYTES: usize = 8192;

/// The bit of the rounds that says that there will be no more.
const ENDED: u64 = 1 << 63;

static mut STACK: [u8; STACK_BYTES] = [0; STACK_BYTES];
static COUNTING: AtomicBool = AtomicBool::new(true);
static ROUNDS: AtomicU64 = AtomicU64::new(0);
static COUNTED_BLOCKS: [AtomicU64; COUNTED] = [const { AtomicU64::new(0) }; COUNTED];

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some("movable") => client_test::run(MOVABLE),
        _ => client_test::run(FIXED),
    }
}

/// The blocks: the table of their addresses lies in memory of its own.
struct Clutter {
    table: NonNull<u64>,
    count: usize,
}

fn word(block: NonNull<u8>, place: usize) -> NonNull<u64> {
    // SAFETY: `place` is below 512, so it lies inside the page.
    unsafe { block.cast::<u64>().add(place) }
}

impl Clutter {
    fn make() -> Result<Clutter, Error> {
        // The tables for DMA memory, before all is taken.
        let early = served::kmalloc_dma(PAGE, &DmaOptions::default())?;
        let table = served::kmalloc(BLOCKS_MAX * 8, Flags::empty())?.cast();
        let mut clutter = Clutter { table, count: 0 };
        while clutter.count < BLOCKS_MAX
            && let Ok(block) = served::kmalloc(PAGE, Flags::empty())
        {
            clutter.set(clutter.count, Some(block));
            clutter.count += 1;
        }
        for place in (0..clutter.count).step_by(GAP) {
            if let Some(block) = clutter.get(place) {
                // SAFETY: nobody uses it.
                unsafe { served::kfree(block.as_ptr())? };
                clutter.set(place, None);
            }
        }
        // SAFETY: nobody uses it.
        unsafe { served::kfree_dma(early.address.as_ptr())? };
        for block in clutter.blocks() {
            for place in [1, 255, 511] {
                // SAFETY: the block is this program's.
                unsafe { word(block, place).write_volatile(mark(block, place)) }
            }
        }
        println!("# {} blocks", clutter.blocks().count());
        Ok(clutter)
    }

    fn get(&self, place: usize) -> Option<NonNull<u8>> {
        // SAFETY: the table has room for all places below the count.
        let address = unsafe { self.table.add(place).read() };
        NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize))
    }

    fn set(&mut self, place: usize, block: Option<NonNull<u8>>) {
        let address = block.map_or(0, |block| block.as_ptr().expose_provenance() as u64);
        // SAFETY: the table has room for all places below the maximum.
        unsafe { self.table.add(place).write(address) }
    }

    fn blocks(&self) -> impl Iterator<Item = NonNull<u8>> + '_ {
        (0..self.count).filter_map(|place| self.get(place))
    }

    fn is_whole(&self) -> bool {
        let holds = |block: NonNull<u8>, place| {
            // SAFETY: the block is this program's.
            unsafe { word(block, place).read_volatile() == mark(block, place) }
        };
        self.blocks()
            .all(|block| [1, 255, 511].into_iter().all(|place| holds(block, place)))
    }

    fn free(self) -> Result<(), Error> {
        for block in self.blocks() {
            // SAFETY: nobody uses it.
            unsafe { served::kfree(block.as_ptr())? };
        }
        // SAFETY: nobody uses the table any more.
        unsafe { served::kfree(self.table.cast().as_ptr()) }
    }
}

fn mark(block: NonNull<u8>, place: usize) -> u64 {
    block.addr().get() as u64 ^ (place as u64) << 48
}

fn run() -> Result<DmaMemory, Error> {
    served::kmalloc_dma(RUN_BYTES, &DmaOptions::default())
}

/// Takes the runs of 64 KiB that are left anyhow; how many there were.
fn use_up(runs: &mut [Option<DmaMemory>]) -> usize {
    let mut count = 0;
    for place in runs {
        match run() {
            Ok(memory) => *place = Some(memory),
            Err(_) => break,
        }
        count += 1;
    }
    count
}

fn free(runs: &mut [Option<DmaMemory>]) -> Result<(), Error> {
    for run in runs.iter_mut().filter_map(Option::take) {
        // SAFETY: nobody uses it.
        unsafe { served::kfree_dma(run.address.as_ptr())? };
    }
    Ok(())
}

fn refused() -> Outcome {
    let clutter = ok!(Clutter::make());
    let mut runs = [None; 256];
    println!("# {} runs were there", use_up(&mut runs));
    match run() {
        Err(Error::NoContiguousRun { largest, requested }) => {
            check_eq!(requested, RUN_BYTES as u64);
            check!(largest < requested);
            println!("# refused: the largest run has {largest} bytes");
        }
        other => {
            println!("# {other:?}");
            check!(false);
        }
    }
    check!(clutter.is_whole());
    ok!(free(&mut runs));
    ok!(clutter.free());
    Ok(())
}

/// Starts counting in the blocks that were taken first: they lie highest, where room is made first.
fn start_counting(clutter: &Clutter) -> Result<(), Error> {
    for (place, block) in COUNTED_BLOCKS.iter().zip(clutter.blocks()) {
        let address = block.as_ptr().expose_provenance() as u64;
        place.store(address, Ordering::Release);
    }
    // SAFETY: this is called once, and nobody else names the stack.
    let stack = unsafe { &mut *core::ptr::addr_of_mut!(STACK) };
    // SAFETY: the thread calls nothing and needs a few words.
    unsafe { kmalloc::thread::spawn(stack, count, 0, None) }
}

/// Waits until the other thread has counted further; how far.
fn wait_for_a_round(after: u64) -> u64 {
    loop {
        let rounds = ROUNDS.load(Ordering::Acquire);
        if rounds > after {
            return rounds;
        }
        core::hint::spin_loop();
    }
}

fn moved() -> Outcome {
    let clutter = ok!(Clutter::make());
    ok!(start_counting(&clutter));
    let mut rounds = wait_for_a_round(0);
    let mut runs = [const { None }; RUNS];
    for place in &mut runs {
        let memory = ok!(run());
        // SAFETY: the memory is this program's, and no device knows of it.
        let bytes = unsafe { core::slice::from_raw_parts(memory.address.as_ptr(), memory.size) };
        check!(bytes.iter().all(|byte| *byte == 0));
        *place = Some(memory);
        rounds = wait_for_a_round(rounds);
    }
    COUNTING.store(false, Ordering::Release);
    let rounds = wait_for_a_round(ENDED) & !ENDED;
    println!("# {RUNS} runs");
    for place in &COUNTED_BLOCKS {
        let address = place.load(Ordering::Acquire) as usize;
        let word: *const u64 = core::ptr::with_exposed_provenance(address);
        // SAFETY: the block is this program's, and the other thread is done with it.
        check_eq!(unsafe { word.read_volatile() }, rounds);
    }
    check!(clutter.is_whole());
    ok!(free(&mut runs));
    ok!(clutter.free());
    Ok(())
}

/// Counts in the first word of each of the blocks, all of them by the same number, for as long as it is told to.
fn count(_argument: usize) {
    while COUNTING.load(Ordering::Acquire) {
        let round = ROUNDS.load(Ordering::Relaxed) + 1;
        for address in &COUNTED_BLOCKS {
            let address = address.load(Ordering::Acquire) as usize;
            let place: *mut u64 = core::ptr::with_exposed_provenance_mut(address);
            // SAFETY: the first words of these blocks are this thread's, until it is told to end.
            unsafe { place.write_volatile(place.read_volatile() + 1) }
        }
        ROUNDS.store(round, Ordering::Release);
    }
    ROUNDS.fetch_or(ENDED, Ordering::Release);
}
