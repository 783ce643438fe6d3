// SPDX-License-Identifier: BSD-2-Clause
//! Uses the resident heap, then writes to every byte that it consists of, and to the heap's own variables: with the seed
//! `0` what is there already, with any other random bytes. It executes the same instructions whatever the seed. Then it
//! makes as many calls of the server as its second argument says, which must go as if nothing had happened.
#![no_std]
#![no_main]

mod recorder;

use core::hint::black_box;
use core::ptr::NonNull;
use kmalloc::{Error, Flags, Heap, SingleThread, println, served};
use recorder::{Range, Recorder};

kmalloc::main!(main);

// SAFETY: the program has one thread.
static HEAP: Heap<Recorder, SingleThread> = unsafe { Heap::single_threaded(Recorder::new()) };

/// Blocks of every kind: of buckets, of pages, large.
const SIZES: [usize; 10] = [
    16, 48, 200, 1000, 4096, 16_000, 60_000, 300_000, 700_000, 3_000_000,
];
/// Blocks of each size.
const EACH: usize = 6;

fn main() -> Result<(), Error> {
    let mut numbers = kmalloc::arguments().map(|text| text.parse::<u64>().unwrap_or(0));
    let (seed, calls) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    furnish()?;
    let bytes = overwrite(seed);
    println!("{bytes} bytes written");
    for _ in 0..calls {
        let block = served::kmalloc(100, Flags::empty())?;
        // SAFETY: the block is this program's.
        unsafe { served::kfree(block.as_ptr())? };
    }
    Ok(())
}

/// Takes blocks, and frees every other one: there are lists, records, and memory of freed blocks.
fn furnish() -> Result<(), Error> {
    for size in SIZES {
        let mut blocks = [None; EACH];
        for block in &mut blocks {
            *block = Some(HEAP.kmalloc(size, Flags::empty())?);
        }
        for block in blocks.into_iter().flatten().step_by(2) {
            // SAFETY: the block is this program's.
            unsafe { HEAP.kfree(block)? };
        }
    }
    Ok(())
}

/// Writes to all of the heap; how many bytes it has.
fn overwrite(seed: u64) -> usize {
    let ranges = HEAP.source().ranges();
    // Nothing of the seed is known to the compiler: it would make another loop for each case.
    let mut random = Random {
        state: black_box(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        mask: black_box(u64::from(black_box(seed) != 0).wrapping_neg()),
    };
    let mut bytes = 0;
    for Range(start, length) in ranges.into_iter().flatten() {
        // SAFETY: the range is mapped. What it holds is not used any more.
        unsafe { random.write(start, length) };
        bytes += length;
    }
    let heap = NonNull::from(&HEAP).cast();
    // SAFETY: the heap is in memory that can be written to, since it is made of cells; it is not used any more.
    unsafe { random.write(heap, size_of_val(&HEAP)) };
    bytes + size_of_val(&HEAP)
}

/// Random words by the xorshift method, or none.
struct Random {
    state: u64,
    mask: u64,
}

impl Random {
    /// Changes the words of a range.
    ///
    /// # Safety
    ///
    /// The range is mapped, aligned to words, and not used any more.
    unsafe fn write(&mut self, start: NonNull<u8>, bytes: usize) {
        for index in 0..bytes / size_of::<u64>() {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            // SAFETY: as the caller says.
            unsafe {
                let word = start.cast::<u64>().add(index);
                word.write_volatile(word.read_volatile() ^ (self.state & self.mask));
            }
        }
    }
}
