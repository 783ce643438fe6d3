// SPDX-License-Identifier: BSD-2-Clause
//! Calls of a client: to a server that does nothing, and to the memory server.

use crate::measure::{SAMPLES, count, count_result, report, table};
use core::ptr::NonNull;
use kmalloc::process::sel4_task::slot;
use kmalloc::{Error, Flags, served};
use sel4::MessageInfoBuilder;

/// Blocks of 64 bytes in a bucket.
const BUCKET_BLOCKS: usize = 64;
/// The label that ends the server that does nothing.
const STOP: sel4::Word = 1;

/// Counts them all.
pub fn run() -> Result<(), Error> {
    let counts = table(SAMPLES, 0)?;
    for sample in &mut *counts {
        *sample = count(|| {});
    }
    report("counter", counts);
    null_calls(counts);
    kmalloc_and_kfree(counts)?;
    krealloc(counts)?;
    kcalloc(counts)?;
    ksize(counts)?;
    // Not before: the end of another client is work of the server's, which would fall into some sample.
    null().send(MessageInfoBuilder::default().label(STOP).build());
    Ok(())
}

fn null() -> sel4::cap::Endpoint {
    sel4::cap::Endpoint::from_bits(slot::CALLS)
}

fn null_calls(counts: &mut [u64]) {
    let null = null();
    for (name, length) in [("ipc.null.0w", 0), ("ipc.null.4w", 4)] {
        let info = MessageInfoBuilder::default().length(length).build();
        for sample in &mut *counts {
            *sample = count(|| {
                null.call_with_mrs(info.clone(), [1, 2, 3, 4]);
            });
        }
        report(name, counts);
    }
}

/// Fills a thousand buckets: the first block of each is the cold call. Then goes back and forth within full buckets.
fn kmalloc_and_kfree(counts: &mut [u64]) -> Result<(), Error> {
    let blocks = table(SAMPLES * BUCKET_BLOCKS, NonNull::<u8>::dangling())?;
    for (number, block) in blocks.iter_mut().enumerate() {
        let (instructions, new) = count_result(|| served::kmalloc(64, Flags::empty()))?;
        *block = new;
        if number % BUCKET_BLOCKS == 0 {
            counts[number / BUCKET_BLOCKS] = instructions;
        }
    }
    report("served.kmalloc.64.cold", counts);
    let (few, many) = blocks.split_at_mut(SAMPLES);
    free(many)?;
    for (sample, block) in counts.iter_mut().zip(&*few) {
        // SAFETY: the block is used no more.
        (*sample, ()) = count_result(|| unsafe { served::kfree(block.as_ptr()) })?;
    }
    report("served.kfree.64", counts);
    for (sample, block) in counts.iter_mut().zip(&mut *few) {
        (*sample, *block) = count_result(|| served::kmalloc(64, Flags::empty()))?;
    }
    report("served.kmalloc.64", counts);
    free(few)
}

/// From one bucket to another: the server's answer, the copy, and the release of the old block.
fn krealloc(counts: &mut [u64]) -> Result<(), Error> {
    let blocks = table(SAMPLES, NonNull::<u8>::dangling())?;
    for block in &mut *blocks {
        *block = served::kmalloc(64, Flags::empty())?;
    }
    for (sample, block) in counts.iter_mut().zip(&mut *blocks) {
        let resized = count_result(|| {
            // SAFETY: the block is in use and ours. What comes back takes its place in the table; if nothing does, the
            // block is as it was.
            unsafe { served::krealloc(block.as_ptr(), 128, Flags::empty()) }
        })?;
        *sample = resized.0;
        *block = resized.1.unwrap_or(*block);
    }
    report("served.krealloc.64_128", counts);
    free(blocks)
}

fn kcalloc(counts: &mut [u64]) -> Result<(), Error> {
    let blocks = table(SAMPLES, NonNull::<u8>::dangling())?;
    for (sample, block) in counts.iter_mut().zip(&mut *blocks) {
        (*sample, *block) = count_result(|| served::kcalloc(4, 16, Flags::empty()))?;
    }
    report("served.kcalloc.64", counts);
    free(blocks)
}

fn ksize(counts: &mut [u64]) -> Result<(), Error> {
    let block = served::kmalloc(64, Flags::empty())?;
    for sample in &mut *counts {
        (*sample, _) = count_result(|| served::ksize(block.as_ptr()))?;
    }
    report("served.ksize.64", counts);
    free(&[block])
}

fn free(blocks: &[NonNull<u8>]) -> Result<(), Error> {
    for block in blocks {
        // SAFETY: the block is used no more.
        unsafe { served::kfree(block.as_ptr())? };
    }
    Ok(())
}
