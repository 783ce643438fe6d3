// SPDX-License-Identifier: BSD-2-Clause
//! Attacks on blocks and on freed ones: each is named at the call that it should be, and does no harm.

use crate::{Target, change, classes};
use kmalloc::{Call, Error, Fault, Flags, Heap, ThreadWord, Threads, set_violation_hook};
use kmalloc_host_source::HostSource;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

/// What was done wrong, the call that found it, where.
pub type Seen = (Fault, Call, usize);

thread_local!(static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) });

/// The violations since the last call, of this thread.
pub fn seen() -> Vec<Seen> {
    set_violation_hook(|violation| {
        SEEN.with_borrow_mut(|seen| {
            seen.push((violation.fault, violation.call, violation.address));
        });
    });
    SEEN.take()
}

pub fn target() -> Target {
    assert_eq!(seen(), []);
    Target::new()
}

pub fn at(block: NonNull<u8>) -> usize {
    block.addr().get()
}

/// Bytes that a block of this class can be asked for; the smallest class has no room for a trailer.
pub fn payloads() -> impl Iterator<Item = usize> {
    classes().skip(1).map(|class| class - 16)
}

#[test]
fn double_free_is_named() {
    for size in payloads().chain([60_000, 500_000, 1 << 20, 3 << 20]) {
        let target = target();
        let block = target.kmalloc(size);
        target.kfree(block).unwrap();
        let address = at(block) as u64;
        assert_eq!(target.kfree(block), Err(Error::DoubleFree { address }));
        assert_eq!(seen(), [(Fault::DoubleFree, Call::Free, at(block))]);
        target.heap.trim();
        target.heap.audit().unwrap();
        assert_eq!(target.heap.source().usage().mapped, 0);
        assert_eq!(seen(), []);
    }
}

#[test]
fn fastbin_dup_is_named() {
    for size in payloads().chain([60_000, 1 << 20]) {
        let mut target = target();
        let (first, second) = (target.kmalloc(size), target.kmalloc(size));
        target.kfree(first).unwrap();
        target.kfree(second).unwrap();
        assert!(target.kfree(first).is_err());
        assert_eq!(seen(), [(Fault::DoubleFree, Call::Free, at(first))]);
        // Nothing is there twice, however much is taken.
        for _ in 0..70 {
            target.take(size);
        }
    }
    assert_eq!(seen(), []);
}

#[test]
fn tcache_poisoning_is_named_for_every_byte_of_a_link_in_every_class() {
    for size in payloads() {
        for offset in 0..16 {
            let mut target = target();
            let blocks: Vec<_> = (0..3).map(|_| target.kmalloc(size)).collect();
            for &block in &blocks {
                target.kfree(block).unwrap();
            }
            // SAFETY: the write is the attack.
            unsafe { change(blocks[1].add(offset), 1) };
            // The link leads to blocks that are not the heap's, if it is believed. All that wait are taken.
            for _ in 0..70 {
                let block = target.take(size);
                assert_ne!(block, blocks[1], "{size}, {offset}");
                let address = at(block);
                target.live.remove(&address);
                target.kfree(block).unwrap();
            }
            let named = (Fault::WriteAfterFree, Call::Allocate, at(blocks[1]));
            assert_eq!(seen(), [named], "{size}, {offset}");
        }
    }
}

#[test]
fn tcache_poisoning_of_what_was_trimmed_is_named() {
    let mut target = target();
    let blocks: Vec<_> = (0..60).map(|_| target.kmalloc(112)).collect();
    for &block in &blocks[..59] {
        target.kfree(block).unwrap();
    }
    // The last block keeps its bucket: the others are still free blocks of it.
    target.heap.trim();
    // SAFETY: the write is the attack.
    unsafe { change(blocks[58], 8) };
    for _ in 0..200 {
        let block = target.take(112);
        assert_ne!(block, blocks[58]);
        let address = at(block);
        target.live.remove(&address);
        target.kfree(block).unwrap();
    }
    let found = seen();
    let named = |call| (Fault::WriteAfterFree, call, at(blocks[58]));
    assert!(
        found == [named(Call::Free)] || found == [named(Call::Allocate)],
        "{found:?}"
    );
}

#[test]
fn fastbin_dup_into_stack_is_named() {
    let mut on_stack = [0x40_u64; 16];
    let forged = std::ptr::from_mut(&mut on_stack);
    for size in payloads() {
        let mut target = target();
        let blocks: Vec<_> = (0..3).map(|_| target.kmalloc(size)).collect();
        for &block in &blocks {
            target.kfree(block).unwrap();
        }
        // SAFETY: the write is the attack.
        unsafe { blocks[0].cast::<*mut [u64; 16]>().write(forged) };
        for _ in 0..70 {
            target.take(size);
        }
        assert!(
            seen().is_empty(),
            "64 wait until the first is looked at: here are three"
        );
        target.heap.trim();
        let found = seen();
        let named = (Fault::WriteAfterFree, Call::Trim, at(blocks[0]));
        assert_eq!(found, [named], "{size}");
        for _ in 0..70 {
            target.take(size);
        }
    }
    assert_eq!(on_stack, [0x40; 16]);
}

#[test]
fn house_of_spirit_on_the_stack_is_refused() {
    #[repr(align(4096))]
    struct Forged([u64; 1024]);
    let mut forged = Forged([0x40; 1024]);
    let inside = NonNull::from(&mut forged.0[2]).cast::<u8>();
    let mut target = target();
    target.take(64);
    let address = at(inside) as u64;
    assert_eq!(target.kfree(inside), Err(Error::BadPointer { address }));
    // SAFETY: the call is the attack.
    unsafe {
        target
            .heap
            .dealloc(inside.as_ptr(), Layout::from_size_align(64, 16).unwrap());
    }
    assert_eq!(seen(), [(Fault::BadPointer, Call::Free, at(inside)); 2]);
    for _ in 0..100 {
        target.take(64);
    }
    assert_eq!(forged.0, [0x40; 1024]);
}

#[test]
fn house_of_spirit_in_a_segment_is_refused() {
    let mut target = target();
    let run = target.take(100_000);
    let real = target.take(48);
    target.kfree(real).unwrap();
    // A block that was free and one in use, copied to where a block could be: a page's start, and further on.
    for source in [real, target.kmalloc(48)] {
        for offset in [4096, 4096 + 64, 8192 + 16] {
            // SAFETY: the run is the test's; the forged block lies in it.
            let forged = unsafe {
                let forged = run.add(offset);
                forged.copy_from_nonoverlapping(source, 64);
                forged
            };
            assert!(target.kfree(forged).is_err());
            assert_eq!(seen(), [(Fault::BadPointer, Call::Free, at(forged))]);
        }
    }
    // The blocks of a bucket, copied on one another: the trailer belongs to its address.
    let (first, second) = (target.kmalloc(48), target.kmalloc(48));
    // SAFETY: the write is the attack.
    unsafe { first.copy_from_nonoverlapping(second, 64) };
    assert!(target.kfree(first).is_err());
    let found = seen();
    assert_eq!(found[0], (Fault::Overflow, Call::Free, at(first)));
}

#[test]
fn house_of_spirit_with_a_forged_header_is_refused() {
    // A segment of the attacker's own, aligned as one, with a copy of a real header and of the blocks behind it.
    let mut target = target();
    let real = target.take(48);
    let large = target.take(3 * kmalloc::SEGMENT_SIZE);
    let start = at(large).next_multiple_of(kmalloc::SEGMENT_SIZE) - at(large);
    // SAFETY: the forged segment lies in the large block.
    let forged = unsafe {
        let page = target.header_page(real);
        large.add(start).copy_from_nonoverlapping(page, 8192);
        large.add(start + at(real) - at(page))
    };
    assert!(target.kfree(forged).is_err());
    assert_eq!(seen(), [(Fault::BadPointer, Call::Free, at(forged))]);
    // Where no segment is open, no header is looked for.
    let nowhere = NonNull::new(real.as_ptr().wrapping_add(kmalloc::SEGMENT_SIZE)).unwrap();
    assert!(target.kfree(nowhere).is_err());
    assert_eq!(seen(), [(Fault::BadPointer, Call::Free, at(nowhere))]);
}

#[test]
fn write_after_free_is_named_in_every_class_and_above() {
    for size in payloads().chain([20_000, 500_000]) {
        for offset in [0, size / 2, size - 1] {
            let target = target();
            let block = target.kmalloc(size);
            target.kfree(block).unwrap();
            // SAFETY: the write is the attack.
            unsafe { change(block.add(offset), 1) };
            target.heap.trim();
            let named = (Fault::WriteAfterFree, Call::Trim, at(block));
            assert_eq!(seen(), [named], "{size}, {offset}");
        }
    }
}

#[test]
fn write_after_free_of_a_large_block_is_named() {
    for size in [600_000, 1 << 20, (1 << 20) - 16, 7 << 20] {
        for offset in [0, size / 2, size - 1, size + 8] {
            let target = target();
            let block = target.kmalloc(size);
            target.kfree(block).unwrap();
            // SAFETY: the write is the attack; the block waits.
            unsafe { change(block.add(offset), 1) };
            if offset == 0 {
                target.heap.trim();
            } else {
                // What was freed first goes first.
                for _ in 0..9 {
                    target.kfree(target.kmalloc(2 << 20)).unwrap();
                }
            }
            let call = if offset == 0 { Call::Trim } else { Call::Free };
            let named = (Fault::WriteAfterFree, call, at(block));
            assert_eq!(seen(), [named], "{size}, {offset}");
        }
    }
}

#[test]
fn a_freed_large_block_is_not_served_at_once() {
    let mut target = target();
    let block = target.kmalloc(1 << 20);
    target.kfree(block).unwrap();
    for _ in 0..4 {
        assert_ne!(target.take(1 << 20), block);
    }
    assert_eq!(seen(), []);
}

#[test]
fn a_wrong_layout_is_named() {
    let layout = |size, align| Layout::from_size_align(size, align).unwrap();
    for size in payloads().chain([60_000, 1 << 20]) {
        let target = target();
        // SAFETY: the calls with a wrong layout are the attack.
        unsafe {
            let block = target.heap.alloc(layout(size, 8));
            for wrong in [size - 1, size + 1, 2 * size, 1] {
                if wrong != size {
                    target.heap.dealloc(block, layout(wrong, 8));
                    assert_eq!(seen(), [(Fault::WrongSize, Call::Free, block.addr())]);
                }
            }
            target.heap.dealloc(block, layout(size, 8));
        }
        assert_eq!(seen(), []);
    }
}

#[test]
fn realloc_of_a_freed_block_is_named() {
    for size in payloads().chain([60_000, 1 << 20]) {
        let target = target();
        let layout = Layout::from_size_align(size, 8).unwrap();
        // SAFETY: the calls are the attack.
        unsafe {
            let block = NonNull::new(target.heap.alloc(layout)).unwrap();
            target.heap.dealloc(block.as_ptr(), layout);
            let resized = target.heap.krealloc(Some(block), size + 1, Flags::empty());
            assert!(resized.is_err());
            assert_eq!(seen(), [(Fault::DoubleFree, Call::Size, at(block))]);
            assert!(target.heap.realloc(block.as_ptr(), layout, 1).is_null());
            assert_eq!(seen(), [(Fault::DoubleFree, Call::Reallocate, at(block))]);
        }
    }
}

struct Word;

thread_local!(static WORD: Cell<*mut ()> = const { Cell::new(std::ptr::null_mut()) });

// SAFETY: a thread-local is the running thread's own.
unsafe impl ThreadWord for Word {
    fn get() -> *mut () {
        WORD.get()
    }

    fn set(value: *mut ()) {
        WORD.set(value);
    }
}

/// A block on its way to another thread.
struct Sent(NonNull<u8>);

// SAFETY: who receives the block is its only user.
unsafe impl Send for Sent {}

#[test]
fn blocks_of_a_thread_that_ended_are_guarded() {
    assert_eq!(seen(), []);
    let heap: Heap<HostSource, Threads<Word>> = Heap::threaded(HostSource::new(64 << 20));
    // The first part is this thread's, so that the other one lies in a segment.
    let own = heap.kmalloc(100, Flags::empty()).unwrap();
    let attacks: [(usize, usize); 4] = [(0, 8), (8, 8), (50, 1), (99, 1)];
    for (offset, length) in attacks {
        let blocks = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let blocks: [_; 3] =
                    std::array::from_fn(|_| Sent(heap.kmalloc(100, Flags::empty()).unwrap()));
                heap.leave_thread();
                blocks
            });
            thread.join().unwrap()
        });
        // SAFETY: the blocks are this thread's now; the second free and the write are the attack.
        unsafe {
            for Sent(block) in &blocks {
                heap.kfree(*block).unwrap();
                assert!(heap.kfree(*block).is_err());
                assert_eq!(seen(), [(Fault::DoubleFree, Call::Free, at(*block))]);
            }
            change(blocks[1].0.add(offset), length);
        }
        heap.trim();
        let found = seen();
        let named = (Fault::WriteAfterFree, Call::Allocate, at(blocks[1].0));
        assert_eq!(found, [named], "{offset}");
    }
    // SAFETY: the block is this thread's.
    unsafe { heap.kfree(own).unwrap() };
    heap.leave_thread();
}
