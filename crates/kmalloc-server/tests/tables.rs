// SPDX-License-Identifier: BSD-2-Clause
//! The server's tables beside what is set aside for them: all of them are made at boot, so a heap that is too small for
//! them ends the system, and one that is too large is memory that nobody gets.

use fake_kernel::{FakeFunction, FakeKernel};
use kmalloc_server::pci::{FUNCTIONS_MAX, FunctionAddress};
use kmalloc_server::physical::Physical;
use kmalloc_server::{Server, segment_count, table_bytes};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the bytes that this thread has.
struct Counting;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static HEAP: Counting = Counting;

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get().wrapping_add(layout.size()));
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(block, layout) }
    }
}

/// What `make` makes, and the bytes of it.
fn measured<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = BYTES.get();
    let made = make();
    (made, BYTES.get() - before)
}

/// A server for so many MiB of memory from 0 on, with all the functions that it can have behind an IOMMU; its pages, and
/// the bytes of its tables.
fn server(mib: u64) -> (usize, usize) {
    let end = mib << 20;
    let (_, books) = measured(|| Physical::new(0, end));
    let sizes = (21..end.ilog2()).map(|bits| (1 << bits, bits));
    let ram = sizes.chain([(0, 21)]).collect::<Vec<_>>();
    let (mut kernel, physical) = FakeKernel::boot(&ram);
    kernel.machine_mut().io_levels = 3;
    for device in 0..FUNCTIONS_MAX as u8 {
        let function = FakeFunction::new(1, 2, 0, 0x1000, 0);
        let address = FunctionAddress::new(0, device, 0);
        kernel.machine_mut().functions.insert(address, function);
    }
    let pages = physical.page_capacity();
    let (_server, tables) = measured(|| {
        let mut server = Server::new(kernel, physical, false);
        server.find_functions().expect("functions");
        server
    });
    (pages, books + tables)
}

#[test]
fn what_is_set_aside_for_tables_is_enough_and_little_more() {
    for mib in [2, 16, 64, 256, 1024, 4096, 65_536] {
        let (pages, needed) = server(mib);
        assert_eq!(pages as u64, mib << 8);
        let left = table_bytes(pages).checked_sub(needed);
        let left = left.unwrap_or_else(|| panic!("{mib} MiB take {needed} bytes"));
        // What the root task keeps beside the server's tables is in it too: two words a segment, and its own.
        let beside = 16 * segment_count(pages);
        let own = left.saturating_sub(beside);
        assert!(own >= 176 << 10, "{mib} MiB: {left} bytes left");
        // Of summaries of sets there is reckoned with twice as much as there is.
        let summaries = pages / 128;
        assert!(own <= (192 << 10) + summaries, "{mib} MiB: {left} left");
    }
}

#[test]
fn there_are_segments_for_an_eighth_of_the_pages() {
    for (pages, segments) in [
        (0, 4096),
        (8 * 4096 - 1, 4096),
        (8 * 4097, 4097),
        (8 * 32_767, 32_767),
        (8 * 32_769, 32_768),
        (1 << 32, 32_768),
    ] {
        assert_eq!(segment_count(pages), segments, "{pages} pages");
    }
}
