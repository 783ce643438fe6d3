// SPDX-License-Identifier: BSD-2-Clause
//! An allocator by which the simulation knows whether the server allocates.

use kmalloc_simulation::{note_allocation, serving};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

struct Noting;

#[global_allocator]
static HEAP: Noting = Noting;

// SAFETY: the system's allocator does all of it. What is left out here calls `alloc`.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note_allocation();
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(block, layout) }
    }
}

#[test]
#[should_panic(expected = "the server has allocated while it serves")]
fn an_allocation_while_serving_is_found() {
    // Boot may allocate, and so may whoever looks at the server.
    drop(black_box(Box::new(1)));
    assert_eq!(serving(|| black_box(1)), 1);
    serving(|| drop(black_box(Box::new(1))));
}
