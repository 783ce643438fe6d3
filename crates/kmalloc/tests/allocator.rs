// SPDX-License-Identifier: BSD-2-Clause
//! Collections of `allocator-api2` on a heap of their own.
#![cfg(feature = "allocator-api2")]

use allocator_api2::alloc::{Allocator, Layout};
use kmalloc::Heap;
use kmalloc_host_source::HostSource;

#[test]
fn a_vector_lives_in_a_heap() {
    // SAFETY: the test uses the heap from one thread.
    let heap = unsafe { Heap::single_threaded(HostSource::new(64 << 20)) };
    let mut numbers = allocator_api2::vec::Vec::new_in(&heap);
    for number in 0..1_000_000_u64 {
        numbers.push(number);
    }
    numbers.shrink_to_fit();
    assert!(numbers.iter().copied().eq(0..1_000_000));
    let empty = (&heap).allocate(Layout::new::<()>()).unwrap();
    // SAFETY: the block was allocated with this layout.
    unsafe { (&heap).deallocate(empty.cast(), Layout::new::<()>()) };
    drop(numbers);
    heap.trim();
    assert_eq!(heap.source().usage().mapped, 0);
}
