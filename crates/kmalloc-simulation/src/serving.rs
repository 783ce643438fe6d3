// SPDX-License-Identifier: BSD-2-Clause
//! The server allocates nothing while it serves: on seL4 its heap is sealed then. A test program whose allocator calls
//! [`note_allocation`] shows it, wherever the simulation calls the server.

use std::cell::Cell;

thread_local! {
    static SERVING: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// To be called by the program's allocator, at each allocation. What the model of the kernel allocates is not the server's.
pub fn note_allocation() {
    if SERVING.get() && !fake_kernel::is_inside() {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    }
}

/// Has the server do something that it does after boot.
///
/// # Panics
/// When it allocates there.
pub fn serving<T>(call: impl FnOnce() -> T) -> T {
    let before = ALLOCATIONS.get();
    SERVING.set(true);
    let result = call();
    SERVING.set(false);
    let allocations = ALLOCATIONS.get() - before;
    assert_eq!(allocations, 0, "the server has allocated while it serves");
    result
}
