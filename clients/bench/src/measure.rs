// SPDX-License-Identifier: BSD-2-Clause
//! Counting, and the lines that the host tool reads.

use core::arch::x86_64::_rdtsc;
use kmalloc::{Error, Flags, println, served};

/// Samples of a figure, where nothing else is said.
pub const SAMPLES: usize = 1000;

/// Instructions so far.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: every x86_64 processor has a time-stamp counter, and seL4 lets programs read it.
    unsafe { _rdtsc() }
}

/// Instructions that `work` takes, with the few of the counter itself.
#[inline(always)]
pub fn count(work: impl FnOnce()) -> u64 {
    let start = now();
    work();
    now() - start
}

/// As [`count`], for work that may be refused.
#[inline(always)]
pub fn count_result<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(u64, T), Error> {
    let mut result = None;
    let instructions = count(|| result = Some(work()));
    match result {
        Some(result) => result.map(|value| (instructions, value)),
        // The counter runs what it counts.
        None => unreachable!(),
    }
}

/// A table that lies in served memory, so that it is in nobody's way.
pub fn table<T: Copy>(length: usize, value: T) -> Result<&'static mut [T], Error> {
    let bytes = length * size_of::<T>();
    let place = served::kmalloc(bytes, Flags::empty())?.cast::<T>();
    // SAFETY: the block is this program's for good, has room for the elements, and is aligned to 16 bytes or a page.
    unsafe {
        for index in 0..length {
            place.add(index).write(value);
        }
        Ok(core::slice::from_raw_parts_mut(place.as_ptr(), length))
    }
}

/// Prints the median of single calls, whose counts are sorted in place.
pub fn report(name: impl core::fmt::Display, counts: &mut [u64]) {
    counts.sort_unstable();
    let (Some(min), Some(max)) = (counts.first(), counts.last()) else {
        return;
    };
    let median = counts[counts.len() / 2];
    let samples = counts.len();
    println!(
        "@figure name={name} unit=instructions value={median} min={min} max={max} samples={samples}"
    );
}

/// Prints the largest of the counts that were seen.
pub fn report_worst(name: impl core::fmt::Display, worst: u64, samples: usize) {
    println!("@figure name={name} unit=instructions value={worst} samples={samples}");
}

/// Prints the mean of `units` units that took `instructions` together, with two digits behind the point.
pub fn report_mean(name: impl core::fmt::Display, instructions: u64, units: u64) {
    let hundredths = (instructions * 100 + units / 2) / units;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    println!("@figure name={name} unit=instructions value={whole}.{part:02} samples={units}");
}
