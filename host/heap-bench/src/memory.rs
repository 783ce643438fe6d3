// SPDX-License-Identifier: BSD-2-Clause
//! Memory that an allocator takes for what is asked of it: its peak over the peak of live bytes, in a process of its own.
//!
//! Of the heap it is what the source gave. Of a peer it is the resident memory of its process above that of one whose
//! allocator gives the same place to everyone, with every byte of every block written.

use crate::allocators::{Allocator, BASELINE};
use crate::workloads::Workload;
use std::alloc::{GlobalAlloc, Layout};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The first argument of a run that is measured: `memory ALLOCATOR WORKLOAD UNITS`.
pub const RUN: &str = "memory";

/// Bytes taken for each byte that is live, at the peaks of both.
pub fn overhead(allocator: &Allocator, workload: &Workload) -> Result<f64, String> {
    let [live, taken, resident] = peaks(allocator, workload)?;
    let taken = if allocator.source_peak.is_some() {
        taken
    } else {
        let [_, _, elsewhere] = peaks(&BASELINE, workload)?;
        resident.saturating_sub(elsewhere)
    };
    Ok(taken as f64 / live as f64)
}

/// Runs a process that prints its peaks: live bytes, bytes from its source, resident bytes.
fn peaks(allocator: &Allocator, workload: &Workload) -> Result<[usize; 3], String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let units = workload.units.to_string();
    let output = Command::new(program)
        .args([RUN, allocator.name, &workload.name, &units])
        .output()
        .map_err(|error| format!("the bench does not start: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let figures = printed.split_whitespace().map(str::parse).collect();
    let figures: Result<Vec<usize>, _> = figures;
    match figures.as_deref() {
        Ok(&[live, taken, resident]) => Ok([live, taken, resident]),
        _ => Err(format!(
            "{} {}: it printed {printed:?} and {}",
            allocator.name,
            workload.name,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The process that [`overhead`] runs.
pub fn print_peaks(allocator: &Allocator, workload: &Workload, units: usize) -> Result<(), String> {
    LIVE.allocator.store(
        std::ptr::from_ref(&allocator.calls).cast_mut(),
        Ordering::Relaxed,
    );
    let watched = Allocator {
        calls: &LIVE,
        ..*allocator
    };
    (workload.run)(&watched, units);
    let taken = allocator.source_peak.map_or(0, |peak| peak());
    println!(
        "{} {taken} {}",
        LIVE.peak.load(Ordering::Relaxed),
        resident_peak()?
    );
    Ok(())
}

/// The most bytes of memory that this process had.
fn resident_peak() -> Result<usize, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let figure = status.lines().find_map(|line| {
        let kilobytes = line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?;
        kilobytes.trim().parse::<usize>().ok()
    });
    Ok(figure.ok_or("/proc/self/status has no VmHWM")? * 1024)
}

/// An allocator whose live bytes are counted, and whose blocks are written.
struct Watched {
    allocator: std::sync::atomic::AtomicPtr<&'static (dyn GlobalAlloc + Sync)>,
    live: AtomicUsize,
    peak: AtomicUsize,
}

static LIVE: Watched = Watched {
    allocator: std::sync::atomic::AtomicPtr::new(std::ptr::null_mut()),
    live: AtomicUsize::new(0),
    peak: AtomicUsize::new(0),
};

impl Watched {
    fn calls(&self) -> &'static (dyn GlobalAlloc + Sync) {
        // SAFETY: it was set to the entry of a table that lives as long as the program.
        unsafe { *self.allocator.load(Ordering::Relaxed) }
    }

    fn count(&self, freed: usize, allocated: usize) {
        let live = self.live.load(Ordering::Relaxed) - freed + allocated;
        self.live.store(live, Ordering::Relaxed);
        self.peak.fetch_max(live, Ordering::Relaxed);
    }
}

// SAFETY: it is the allocator that it watches.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(0, layout.size());
        // SAFETY: as the caller says; a block has the size that was asked for.
        unsafe {
            let block = self.calls().alloc(layout);
            block.write_bytes(0x5a, layout.size());
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.count(layout.size(), 0);
        // SAFETY: as the caller says.
        unsafe { self.calls().dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(layout.size(), size);
        // SAFETY: as the caller says.
        unsafe {
            let block = self.calls().realloc(block, layout, size);
            let kept = layout.size().min(size);
            block.add(kept).write_bytes(0x5a, size - kept);
            block
        }
    }
}
