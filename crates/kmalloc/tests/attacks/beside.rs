// SPDX-License-Identifier: BSD-2-Clause
//! Writes beside a block.

use crate::checked::{Seen, at, payloads, seen, target};
use crate::{Target, change};
use kmalloc::{Call, Fault};
use std::ptr::NonNull;

#[test]
fn overflow_by_one_is_named_in_every_class() {
    for size in payloads().chain([60_000, 1 << 20]) {
        for length in [1, 8] {
            let target = target();
            let block = target.kmalloc(size);
            // SAFETY: the write is the attack; it lies in what the heap keeps behind the block.
            unsafe { change(block.add(size), length) };
            assert!(target.kfree(block).is_err());
            assert_eq!(seen(), [(Fault::Overflow, Call::Free, at(block))], "{size}");
        }
    }
}

#[test]
fn poison_null_byte_is_named() {
    for size in payloads().flat_map(|size| [size, size - 1, size - 8]) {
        let target = target();
        let block = target.kmalloc(size);
        // SAFETY: the write is the attack; the byte is the heap's.
        let was = unsafe {
            let behind = block.add(size);
            std::mem::replace(&mut *behind.as_ptr(), 0)
        };
        let expected: &[Seen] = match was {
            // A byte of a trailer can be null already.
            0 => &[],
            _ => &[(Fault::Overflow, Call::Free, at(block))],
        };
        assert_eq!(target.kfree(block).is_ok(), expected.is_empty());
        assert_eq!(seen(), expected, "{size}");
    }
}

/// Writes in front of a block, and has it freed.
fn underflow(target: &Target, block: NonNull<u8>, length: usize) {
    // SAFETY: the write is the attack.
    unsafe { change(block.sub(length), length) };
    assert!(target.kfree(block).is_err());
    assert_eq!(seen(), [(Fault::Underflow, Call::Free, at(block))]);
}

#[test]
fn underflow_of_a_bucket_s_first_block_is_named() {
    for size in payloads() {
        for length in [1, 8, 16] {
            // Behind the header.
            let target = target();
            underflow(&target, target.kmalloc(size), length);
            // Behind a run.
            let target = self::target();
            target.kmalloc(60_000);
            underflow(&target, target.kmalloc(size), length);
            // Behind pages that were a run's, and are nobody's.
            let target = self::target();
            let run = target.kmalloc(60_000);
            let block = target.kmalloc(size);
            target.kfree(run).unwrap();
            for _ in 0..5 {
                target.kfree(target.kmalloc(60_000)).unwrap();
            }
            underflow(&target, block, length);
        }
    }
}

#[test]
fn underflow_of_a_run_is_named() {
    for length in [1, 8, 16] {
        for front in [48, 3000, 16_000, 60_000] {
            let target = target();
            target.kmalloc(front);
            underflow(&target, target.kmalloc(50_000), length);
        }
        let target = target();
        underflow(&target, target.kmalloc(60_000), length);
    }
}

#[test]
fn pages_in_front_that_come_and_go_are_no_mistake() {
    for taken in [5_000, 30_000, 100_000, 190_000] {
        let target = target();
        let (front, block) = (target.kmalloc(200_000), target.kmalloc(60_000));
        target.kfree(front).unwrap();
        target.heap.trim();
        // Some of what was unmapped comes back.
        let again: Vec<_> = (0..4).map(|_| target.kmalloc(taken)).collect();
        target.kfree(block).unwrap();
        for block in again {
            target.kfree(block).unwrap();
        }
        assert_eq!(seen(), []);
    }
}
