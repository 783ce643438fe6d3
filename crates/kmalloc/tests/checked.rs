// SPDX-License-Identifier: BSD-2-Clause
//! The checked mode finds each mistake, at the call that it should, and nothing else.
#![cfg(feature = "checked")]

use kmalloc::{Call, Error, Fault, Flags, Heap, Violation, set_violation_hook};
use kmalloc_host_source::HostSource;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::ptr::NonNull;

thread_local!(static SEEN: RefCell<Vec<Violation>> = const { RefCell::new(Vec::new()) });

fn heap() -> Box<Heap<HostSource>> {
    set_violation_hook(|violation| SEEN.with_borrow_mut(|seen| seen.push(*violation)));
    // SAFETY: each test uses its heap from one thread.
    Box::new(unsafe { Heap::single_threaded(HostSource::new(256 << 20)) })
}

/// The violations since the last call.
fn seen() -> Vec<(Fault, Call, usize)> {
    SEEN.with_borrow_mut(|seen| {
        seen.drain(..)
            .map(|violation| (violation.fault, violation.call, violation.address))
            .collect()
    })
}

fn kmalloc(heap: &Heap<HostSource>, size: usize) -> NonNull<u8> {
    let block = heap.kmalloc(size, Flags::empty()).unwrap();
    // SAFETY: the block has that size.
    unsafe { block.write_bytes(0x33, size) };
    block
}

/// Changes bytes, whatever they are: what stands in a trailer is any byte.
///
/// # Safety
///
/// They are mapped, and nobody looks at them meanwhile.
unsafe fn change(from: NonNull<u8>, length: usize) {
    for offset in 0..length {
        // SAFETY: as the caller says.
        unsafe {
            let byte = from.add(offset);
            byte.write(!byte.read());
        }
    }
}

const SIZES: [usize; 12] = [
    1,
    16,
    31,
    48,
    64,
    1000,
    1008,
    4096,
    16368,
    16369,
    60_000,
    1 << 20,
];

#[test]
fn a_program_without_mistakes_is_left_alone() {
    let heap = heap();
    let mut live: Vec<(NonNull<u8>, usize)> = Vec::new();
    for step in 0..20_000_usize {
        let size = SIZES[step * 7 % SIZES.len()];
        let block = kmalloc(&heap, size);
        // SAFETY: blocks on the list are in use.
        unsafe {
            assert_eq!(heap.ksize(block), Ok(size));
            if size.is_power_of_two() {
                assert!(block.addr().get().is_multiple_of(size));
            }
            live.push((block, size));
            if live.len() > 100 {
                let (old, size) = live.swap_remove(step % 100);
                let bytes = std::slice::from_raw_parts(old.as_ptr(), size);
                assert!(bytes.iter().all(|&byte| byte == 0x33));
                heap.kfree(old).unwrap();
            }
        }
        if step % 1000 == 0 {
            heap.trim();
            heap.audit().unwrap();
        }
    }
    for (block, _) in live {
        // SAFETY: the block is in use.
        unsafe { heap.kfree(block).unwrap() };
    }
    heap.trim();
    assert_eq!(heap.source().usage().mapped, 0);
    assert_eq!(seen(), []);
}

#[test]
fn blocks_of_no_bytes_are_served_as_one() {
    let heap = heap();
    let blocks: Vec<_> = (0..600)
        .map(|_| heap.kmalloc(0, Flags::ZERO).unwrap())
        .collect();
    heap.audit().unwrap();
    let mut addresses: Vec<_> = blocks.iter().map(|block| block.addr()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 600);
    for block in blocks {
        // SAFETY: the block is in use, and has the one byte.
        unsafe {
            assert_eq!(heap.ksize(block), Ok(1));
            block.write(0x33);
            heap.kfree(block).unwrap();
        }
    }
    heap.trim();
    assert_eq!(heap.source().usage().mapped, 0);
    assert_eq!(seen(), []);
}

#[test]
fn double_free() {
    let heap = heap();
    for size in SIZES {
        for delay in [0, 1, 50] {
            let block = kmalloc(&heap, size);
            // SAFETY: the second call is refused.
            unsafe {
                heap.kfree(block).unwrap();
                let others: Vec<_> = (0..delay).map(|_| kmalloc(&heap, size)).collect();
                if size > 16368 && delay > 0 {
                    // Blocks of pages do not wait: another one may be there.
                    others
                        .into_iter()
                        .for_each(|other| heap.kfree(other).unwrap());
                    continue;
                }
                let refused = heap.kfree(block);
                assert!(refused.is_err(), "{size}");
                let address = block.addr().get();
                let found = seen();
                assert!(
                    found == [(Fault::DoubleFree, Call::Free, address)]
                        || found == [(Fault::BadPointer, Call::Free, address)] && size > 16368,
                    "{size}: {found:?}"
                );
                others
                    .into_iter()
                    .for_each(|other| heap.kfree(other).unwrap());
            }
        }
    }
    assert_eq!(seen(), []);
}

#[test]
fn interior_and_wild_pointers() {
    let heap = heap();
    let on_stack = 0_u64;
    for size in [48, 112, 1000, 60_000, 1 << 20] {
        let block = kmalloc(&heap, size);
        for offset in 1..size.min(2000) {
            // SAFETY: the call is refused.
            let refused = unsafe { heap.kfree(block.add(offset)) };
            assert!(matches!(refused, Err(Error::BadPointer { .. })));
            let address = block.addr().get() + offset;
            assert_eq!(seen(), [(Fault::BadPointer, Call::Free, address)]);
        }
        // SAFETY: the block is in use.
        unsafe { heap.kfree(block).unwrap() };
    }
    let block = kmalloc(&heap, 64);
    let wild = [
        NonNull::from(&on_stack).cast(),
        NonNull::new(std::ptr::without_provenance_mut(0xffff_8000_0000_0000)).unwrap(),
        NonNull::new(std::ptr::without_provenance_mut(0x1234_0000_0000_0000)).unwrap(),
        NonNull::new(block.as_ptr().wrapping_add(2 << 20)).unwrap(),
    ];
    for pointer in wild {
        // SAFETY: the calls are refused.
        unsafe {
            assert!(matches!(heap.kfree(pointer), Err(Error::BadPointer { .. })));
            assert!(matches!(heap.ksize(pointer), Err(Error::BadPointer { .. })));
        }
        let address = pointer.addr().get();
        let expected = [Call::Free, Call::Size].map(|call| (Fault::BadPointer, call, address));
        assert_eq!(seen(), expected);
    }
}

#[test]
fn overflow_by_one_and_by_eight() {
    let heap = heap();
    for size in SIZES {
        for length in [1, 8] {
            let block = kmalloc(&heap, size);
            // SAFETY: what is written lies in the block's class, or in its trailer: that is the mistake.
            unsafe {
                change(block.add(size), length);
                assert!(heap.kfree(block).is_err());
            }
            let address = block.addr().get();
            assert_eq!(seen(), [(Fault::Overflow, Call::Free, address)], "{size}");
        }
    }
}

/// Writes in front of `block`, frees it, and checks that this was found.
///
/// # Safety
///
/// `block` is in use, with so many bytes mapped in front of it.
unsafe fn write_in_front(heap: &Heap<HostSource>, block: NonNull<u8>, length: usize) {
    // SAFETY: the write is the mistake.
    unsafe {
        change(block.sub(length), length);
        assert!(matches!(heap.kfree(block), Err(Error::BadPointer { .. })));
    }
    let address = block.addr().get();
    assert_eq!(seen(), [(Fault::Underflow, Call::Free, address)]);
}

#[test]
fn underflow() {
    let heap = heap();
    for size in [1, 48, 64, 1000, 2000] {
        for length in [1, 8] {
            let front = kmalloc(&heap, size);
            let block = kmalloc(&heap, size);
            let (front, block) = (front.min(block), front.max(block));
            // SAFETY: the block in front is mapped, and its owner notices.
            unsafe {
                write_in_front(&heap, block, length);
                assert!(matches!(heap.kfree(front), Err(Error::BadPointer { .. })));
            }
            let address = front.addr().get();
            assert_eq!(seen(), [(Fault::Overflow, Call::Free, address)]);
        }
    }
}

#[test]
fn underflow_of_the_first_block_of_a_bucket() {
    for size in [48, 500, 1500, 3000, 4080, 9000] {
        let heap = heap();
        // Buckets of other sizes in front: some end with a block, some with bytes that are in none.
        for front in [16, 700, 2000, 4000] {
            kmalloc(&heap, front);
            let blocks: Vec<_> = (0..100).map(|_| kmalloc(&heap, size)).collect();
            let first_in_page = blocks
                .iter()
                .find(|block| block.addr().get().is_multiple_of(4096));
            // SAFETY: another bucket's page is in front.
            unsafe { write_in_front(&heap, *first_in_page.unwrap(), 8) };
        }
    }
}

#[test]
fn a_write_to_a_freed_run_is_seen() {
    for size in [20_000, 65_000, 500_000] {
        for trims in [true, false] {
            let heap = heap();
            let runs: Vec<_> = (0..8).map(|_| kmalloc(&heap, size)).collect();
            let damaged = runs[0];
            // SAFETY: the runs are in use; the write is the mistake.
            unsafe {
                heap.kfree(damaged).unwrap();
                damaged.add(size / 2).write(0);
                if trims {
                    heap.trim();
                } else {
                    runs[1..].iter().for_each(|&run| heap.kfree(run).unwrap());
                }
            }
            let call = if trims { Call::Trim } else { Call::Free };
            let address = damaged.addr().get();
            assert_eq!(seen(), [(Fault::WriteAfterFree, call, address)]);
        }
    }
}

#[test]
fn a_write_to_any_byte_after_free_is_seen_at_re_use() {
    let heap = heap();
    for size in [16, 48, 112] {
        // The link is in the first 16 bytes, poison behind it, then the trailer.
        for offset in 0..size + 16 {
            let block = kmalloc(&heap, size);
            // SAFETY: the write is the mistake.
            unsafe {
                heap.kfree(block).unwrap();
                let byte = block.add(offset);
                byte.write(byte.read() ^ 0x10);
            }
            let blocks: Vec<_> = (0..200).map(|_| kmalloc(&heap, size)).collect();
            assert!(!blocks.contains(&block));
            for other in blocks {
                // The neighbour behind the damaged trailer is refused: something was written in front of it.
                // SAFETY: the block is in use.
                let _ = unsafe { heap.kfree(other) };
            }
            heap.trim();
            let found = seen();
            let address = block.addr().get();
            assert!(
                found
                    .iter()
                    .any(|&(fault, _, at)| (fault, at) == (Fault::WriteAfterFree, address)),
                "{size}, {offset}: {found:?}"
            );
        }
    }
}

#[test]
fn a_layout_of_another_size() {
    let heap = heap();
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    // SAFETY: the call with the wrong layout is refused.
    unsafe {
        let block = heap.alloc(layout(100));
        heap.dealloc(block, layout(101));
        assert_eq!(seen(), [(Fault::WrongSize, Call::Free, block.addr())]);
        assert!(heap.realloc(block, layout(99), 200).is_null());
        assert_eq!(seen(), [(Fault::WrongSize, Call::Reallocate, block.addr())]);
        let moved = heap.realloc(block, layout(100), 200);
        heap.dealloc(block, layout(100));
        assert_eq!(seen(), [(Fault::DoubleFree, Call::Free, block.addr())]);
        heap.dealloc(moved, layout(200));
    }
    assert_eq!(seen(), []);
}
