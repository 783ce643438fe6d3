// SPDX-License-Identifier: BSD-2-Clause
//! Several threads in one heap: blocks freed by others come home, and what a thread leaves another takes over.

use kmalloc::{Flags, Heap, ThreadWord, Threads};
use kmalloc_host_source::HostSource;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::mpsc::sync_channel;

/// Defines a thread-local word; each heap needs one of its own.
macro_rules! word {
    ($name:ident) => {
        struct $name;

        // SAFETY: a thread-local is the running thread's own.
        unsafe impl ThreadWord for $name {
            fn get() -> *mut () {
                $name::with(Cell::get)
            }

            fn set(value: *mut ()) {
                $name::with(|word| word.set(value));
            }
        }

        impl $name {
            fn with<R>(use_word: impl FnOnce(&Cell<*mut ()>) -> R) -> R {
                thread_local!(static WORD: Cell<*mut ()> = const { Cell::new(std::ptr::null_mut()) });
                WORD.with(use_word)
            }
        }
    };
}

/// A block on its way to another thread.
struct Sent(NonNull<u8>, usize);

// SAFETY: who receives the block is its only user.
unsafe impl Send for Sent {}

const SIZES: [usize; 6] = [16, 100, 1024, 16384, 50_000, 1 << 20];

#[test]
fn blocks_freed_by_others_come_home() {
    word!(Word);
    let heap: Heap<HostSource, Threads<Word>> = Heap::threaded(HostSource::new(256 << 20));
    std::thread::scope(|scope| {
        for pair in 0..3_usize {
            let (sender, receiver) = sync_channel::<Sent>(64);
            let heap = &heap;
            scope.spawn(move || {
                for round in 0..20_000_usize {
                    let size = SIZES[(round + pair) % SIZES.len()];
                    let block = heap.kmalloc(size, Flags::empty()).unwrap();
                    // SAFETY: the block has that size.
                    unsafe { block.write_bytes(round as u8, size.min(2000)) };
                    sender.send(Sent(block, round)).unwrap();
                }
                heap.audit().unwrap();
                heap.leave_thread();
            });
            scope.spawn(move || {
                for Sent(block, round) in receiver {
                    let size = SIZES[(round + pair) % SIZES.len()].min(2000);
                    // SAFETY: the sender gave the block away, with so many bytes written.
                    unsafe {
                        let bytes = std::slice::from_raw_parts(block.as_ptr(), size);
                        assert!(bytes.iter().all(|&byte| byte == round as u8));
                        if round % 3 == 0 {
                            let grown = heap.krealloc(Some(block), 2 * size, Flags::empty());
                            heap.kfree(grown.unwrap().unwrap()).unwrap();
                        } else {
                            heap.kfree(block).unwrap();
                        }
                    }
                }
                heap.leave_thread();
            });
        }
    });
    heap.trim();
    // What is left are the parts that the threads left, each in a segment of its own.
    let left = heap.source().usage().mapped;
    assert!(left <= 6 * 64 * 1024, "{left} bytes are left");
}

#[test]
fn a_thread_takes_over_what_another_left() {
    word!(Word);
    let heap: Heap<HostSource, Threads<Word>> = Heap::threaded(HostSource::new(64 << 20));
    let mut left = 0;
    for round in 0..50 {
        let kept = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let blocks: Vec<_> = (0..1000)
                    .map(|_| Sent(heap.kmalloc(1000, Flags::empty()).unwrap(), 0))
                    .collect();
                heap.leave_thread();
                blocks
            });
            thread.join().unwrap()
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for Sent(block, _) in kept {
                    // SAFETY: the block is in use; the thread that allocated it is gone.
                    unsafe { heap.kfree(block).unwrap() };
                }
                heap.leave_thread();
            });
        });
        heap.trim();
        let mapped = heap.source().usage().mapped;
        assert!(round == 0 || mapped <= left, "{mapped} bytes after {left}");
        left = mapped;
    }
}

#[test]
fn each_thread_has_a_note_of_its_own() {
    word!(Word);
    let heap: Heap<HostSource, Threads<Word>> = Heap::threaded(HostSource::new(64 << 20));
    assert_eq!(heap.note(), None);
    assert!(heap.set_note(7));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(heap.note(), None);
            assert!(heap.set_note(8));
            assert_eq!(heap.note(), Some(8));
            heap.leave_thread();
        });
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            heap.kmalloc(64, Flags::empty()).unwrap();
            assert_eq!(heap.note(), Some(0), "what another thread left");
        });
    });
    assert_eq!(heap.note(), Some(7));
}
