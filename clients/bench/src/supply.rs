// SPDX-License-Identifier: BSD-2-Clause
//! Calls that map memory which nobody had before, and some that map what was used.

use crate::measure::{SAMPLES, count_result, report, table};
use core::ptr::NonNull;
use kmalloc::process::set_alarm;
use kmalloc::served::{DmaMemory, DmaOptions};
use kmalloc::{Error, Flags, served};
use kmalloc_protocol::{Reply, Request};

/// Samples where each leaves as much behind as is given back for the next.
const USED_SAMPLES: usize = 100;
/// Pages of a segment that are mapped one by one; its first comes with it.
const SEGMENT_REST: usize = 511;

/// Runs of 64 KiB that are asked for between two pauses.
const BURST: usize = 20;
/// Microseconds of a pause: at 1,000 instructions each more than the server needs.
const REST_US: u64 = 300;

/// Counts them all.
pub fn run() -> Result<(), Error> {
    let counts = table(SAMPLES, 0)?;
    let regions = table(SAMPLES, 0)?;
    for (name, size_bits) in [("grant.64k.4k_frames", 16), ("grant.2m", 21)] {
        for (sample, region) in counts.iter_mut().zip(&mut *regions) {
            (*sample, *region) = count_result(|| grant(size_bits))?;
        }
        report(name, counts);
    }
    dma(counts)?;
    pages(counts)?;
    large(counts)
}

/// Counts runs of 64 KiB for which frames were made ahead.
pub fn run_rested() -> Result<(), Error> {
    let counts = table(SAMPLES, 0)?;
    for (index, sample) in counts.iter_mut().enumerate() {
        rest_before(index)?;
        (*sample, _) = count_result(|| grant(16))?;
    }
    report("grant.64k.4k_frames.rested", counts);
    let options = DmaOptions::default();
    for (index, sample) in counts.iter_mut().enumerate() {
        rest_before(index)?;
        (*sample, _) = count_result(|| served::kmalloc_dma(64 << 10, &options))?;
    }
    report("dma.kmalloc.64k.rested", counts);
    Ok(())
}

/// Leaves the machine to itself for a moment, at the start and then once for each burst of samples: the server makes frames
/// ahead while nobody asks for any.
fn rest_before(index: usize) -> Result<(), Error> {
    if index.is_multiple_of(BURST) {
        set_alarm(REST_US)?;
        kmalloc::wait();
    }
    Ok(())
}

fn grant(size_bits: u8) -> Result<u64, Error> {
    let count = 1;
    address(kmalloc::transport::call(&Request::Grant {
        size_bits,
        count,
    })?)
}

fn address(reply: Reply) -> Result<u64, Error> {
    match reply {
        Reply::Region { address, .. } => Ok(address),
        other => panic!("a region was asked for, the answer is {other:?}"),
    }
}

fn large(counts: &mut [u64]) -> Result<(), Error> {
    let blocks = table(SAMPLES, NonNull::<u8>::dangling())?;
    for (sample, block) in counts.iter_mut().zip(&mut *blocks) {
        (*sample, *block) = count_result(|| served::kmalloc(1 << 20, Flags::empty()))?;
    }
    report("large.kmalloc.1m", counts);
    let counts = &mut counts[..USED_SAMPLES];
    for (sample, block) in counts.iter_mut().zip(&*blocks) {
        // SAFETY: the block is used no more.
        (*sample, ()) = count_result(|| unsafe { served::kfree(block.as_ptr()) })?;
    }
    report("large.kfree.1m", counts);
    Ok(())
}

fn dma(counts: &mut [u64]) -> Result<(), Error> {
    let options = DmaOptions::default();
    for sample in &mut *counts {
        (*sample, _) = count_result(|| served::kmalloc_dma(64 << 10, &options))?;
    }
    report("dma.kmalloc.64k", counts);
    // One and the same run, again and again: its pages are zeroed each time.
    let counts = &mut counts[..USED_SAMPLES];
    for sample in &mut *counts {
        let memory: DmaMemory;
        (*sample, memory) = count_result(|| served::kmalloc_dma(64 << 10, &options))?;
        // SAFETY: nobody uses it.
        unsafe { served::kfree_dma(memory.address.as_ptr())? };
    }
    report("dma.kmalloc.64k.used", counts);
    Ok(())
}

/// Pages of segments of the resident heap, one a call.
fn pages(counts: &mut [u64]) -> Result<(), Error> {
    let size = 4096;
    for samples in counts.chunks_mut(SEGMENT_REST) {
        let mut at = address(kmalloc::transport::call(&Request::OpenSegment { size })?)?;
        for sample in samples {
            at += size;
            let request = Request::Map { address: at, size };
            (*sample, ()) = count_result(|| kmalloc::transport::call_done(&request))?;
        }
    }
    report("map.page", counts);
    Ok(())
}
