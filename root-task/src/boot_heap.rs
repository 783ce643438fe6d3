// SPDX-License-Identifier: BSD-2-Clause
//! The root task's heap. It serves boot, which makes all of the server's tables, and is sealed after that: the server
//! allocates nothing while it serves, so no client can make it run out.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

/// Bytes to begin with, before boot has memory.
const EARLY_BYTES: usize = 256 * 1024;

#[repr(align(4096))]
struct Early(UnsafeCell<[u8; EARLY_BYTES]>);

/// Memory is handed out from `next` to `end` and never taken back.
pub struct BootHeap {
    early: Early,
    range: UnsafeCell<Option<(usize, usize)>>,
}

// SAFETY: the root task has one thread.
unsafe impl Sync for BootHeap {}

#[global_allocator]
static HEAP: BootHeap = BootHeap {
    early: Early(UnsafeCell::new([0; EARLY_BYTES])),
    range: UnsafeCell::new(None),
};

impl BootHeap {
    fn early_range(&self) -> (usize, usize) {
        let start = self.early.0.get().expose_provenance();
        (start, start + EARLY_BYTES)
    }
}

// SAFETY: each block is cut from a range that nobody else uses, aligned, and never handed out twice.
unsafe impl GlobalAlloc for BootHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference lives longer than this call.
        let range = unsafe { &mut *self.range.get() };
        let (next, end) = range.unwrap_or_else(|| self.early_range());
        let start = next.next_multiple_of(layout.align());
        match start.checked_add(layout.size()) {
            Some(after) if after <= end => {
                *range = Some((after, end));
                core::ptr::with_exposed_provenance_mut(start)
            }
            _ => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
}

/// Goes on with the mapped, unused memory `start .. end`.
///
/// # Safety
///
/// It is mapped, writable, and nobody else uses it.
pub unsafe fn extend(start: usize, end: usize) {
    // SAFETY: one thread, and no reference lives longer than this call.
    unsafe { *HEAP.range.get() = Some((start, end)) }
}

/// From now on every allocation fails.
pub fn seal() {
    // SAFETY: nothing can be cut from an empty range.
    unsafe { extend(1, 1) }
}
