// SPDX-License-Identifier: BSD-2-Clause
//! Memory that an allocator takes for what is asked of it: its peak over the peak of live bytes, in a process of its own.
//!
//! Of the heap it is what the source gave. Of a peer it is the memory that its process has, looked at every 256 calls, above that
//! of one whose allocator gives the same place to everyone; every byte of every block is written.

use crate::allocators::{Allocator, BASELINE};
use crate::workloads::Workload;
use std::alloc::{GlobalAlloc, Layout};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// The first argument of a run that is measured: `memory ALLOCATOR WORKLOAD UNITS`.
pub const RUN: &str = "memory";

/// Bytes taken for each byte that is live, at the peaks of both, in so many units.
pub fn overhead(allocator: &Allocator, workload: &Workload, units: usize) -> Result<f64, String> {
    let [live, taken, resident] = peaks(allocator, workload, units)?;
    let taken = if allocator.source_peak.is_some() {
        taken
    } else {
        let [_, _, elsewhere] = peaks(&BASELINE, workload, units)?;
        resident.saturating_sub(elsewhere)
    };
    Ok(taken as f64 / live as f64)
}

/// Runs a process that prints its peaks: live bytes, bytes from its source, resident bytes.
fn peaks(allocator: &Allocator, workload: &Workload, units: usize) -> Result<[usize; 3], String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let units = units.to_string();
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
    let is_baseline = allocator.name == BASELINE.name;
    LIVE.is_baseline.store(is_baseline, Ordering::Relaxed);
    let watched = Allocator {
        calls: &LIVE,
        ..*allocator
    };
    crate::allocators::trim_own();
    (workload.run)(&watched, units);
    let taken = allocator.source_peak.map_or(0, |peak| peak());
    println!(
        "{} {taken} {}",
        LIVE.peak.load(Ordering::Relaxed),
        LIVE.resident_peak.load(Ordering::Relaxed)
    );
    Ok(())
}

/// Anonymous memory of this process, in bytes: not the program's file, of which the kernel takes pages back.
fn resident() -> Result<usize, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let figure = status.lines().find_map(|line| {
        let kilobytes = line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB")?;
        kilobytes.trim().parse::<usize>().ok()
    });
    Ok(figure.ok_or("/proc/self/status has no RssAnon")? * 1024)
}

/// An allocator whose live bytes are counted, and whose blocks are written.
struct Watched {
    allocator: AtomicPtr<&'static (dyn GlobalAlloc + Sync)>,
    is_baseline: AtomicBool,
    live: AtomicUsize,
    peak: AtomicUsize,
    calls_made: AtomicUsize,
    resident_peak: AtomicUsize,
}

/// Calls between two looks at the memory of the process.
const CALLS_PER_LOOK: usize = 256;

static LIVE: Watched = Watched {
    allocator: AtomicPtr::new(std::ptr::null_mut()),
    is_baseline: AtomicBool::new(false),
    live: AtomicUsize::new(0),
    peak: AtomicUsize::new(0),
    calls_made: AtomicUsize::new(0),
    resident_peak: AtomicUsize::new(0),
};

impl Watched {
    fn calls(&self) -> &'static (dyn GlobalAlloc + Sync) {
        // SAFETY: it was set to the entry of a table that lives as long as the program.
        unsafe { *self.allocator.load(Ordering::Relaxed) }
    }

    /// Writes to bytes of a block, so that they have memory. The baseline's place must have none.
    ///
    /// # Safety
    ///
    /// The bytes are the block's.
    unsafe fn fill(&self, from: *mut u8, bytes: usize) {
        if !self.is_baseline.load(Ordering::Relaxed) {
            // SAFETY: as the caller says.
            unsafe { from.write_bytes(0x5a, bytes) };
        }
    }

    fn count(&self, freed: usize, allocated: usize) {
        let live = self.live.load(Ordering::Relaxed) - freed + allocated;
        self.live.store(live, Ordering::Relaxed);
        self.peak.fetch_max(live, Ordering::Relaxed);
        let calls = self.calls_made.fetch_add(1, Ordering::Relaxed);
        if calls.is_multiple_of(CALLS_PER_LOOK) {
            let resident = resident().expect("Linux says what memory a process has");
            self.resident_peak.fetch_max(resident, Ordering::Relaxed);
        }
    }
}

// SAFETY: it is the allocator that it watches.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(0, layout.size());
        // SAFETY: as the caller says; a block has the size that was asked for.
        unsafe {
            let block = self.calls().alloc(layout);
            self.fill(block, layout.size());
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
            self.fill(block.add(kept), size - kept);
            block
        }
    }
}
