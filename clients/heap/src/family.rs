// SPDX-License-Identifier: BSD-2-Clause
use crate::HEAP;
use client_test::{Outcome, check, check_eq, ok};
use core::ptr::NonNull;
use kmalloc::{Error, Flags, served};

/// Whether each of a block's first `size` bytes is `value`.
fn is_filled(block: NonNull<u8>, size: usize, value: u8) -> bool {
    // SAFETY: the tests pass blocks in use and no more bytes than they have.
    unsafe { core::slice::from_raw_parts(block.as_ptr(), size) }
        .iter()
        .all(|byte| *byte == value)
}

fn fill(block: NonNull<u8>, size: usize, value: u8) {
    // SAFETY: as for `is_filled`.
    unsafe { block.write_bytes(value, size) }
}

fn size_of(block: NonNull<u8>) -> Result<usize, Error> {
    // SAFETY: the tests pass blocks in use.
    unsafe { HEAP.ksize(block) }
}

fn free(block: NonNull<u8>) -> Result<(), Error> {
    // SAFETY: the tests free what they are done with.
    unsafe { HEAP.kfree(block) }
}

fn resize(block: NonNull<u8>, size: usize) -> Result<NonNull<u8>, Error> {
    // SAFETY: the tests use only what this gives back.
    unsafe { HEAP.krealloc(Some(block), size, Flags::empty()) }
        .map(|block| block.unwrap_or(NonNull::dangling()))
}

pub fn every_class_boundary() -> Outcome {
    for bits in 4..=22 {
        let class = 1usize << bits;
        for size in [class - 1, class, class + 1] {
            let block = ok!(HEAP.kmalloc(size, Flags::empty()));
            let usable = ok!(size_of(block));
            check!(usable >= size);
            if size == class {
                check_eq!(block.addr().get() % size, 0);
            }
            fill(block, usable, 0xa5);
            ok!(free(block));
        }
    }
    Ok(())
}

pub fn kcalloc_overflow() -> Outcome {
    let size = usize::MAX / 2;
    let refused = Error::Overflow {
        count: 3,
        size: size as u64,
    };
    check_eq!(HEAP.kcalloc(3, size, Flags::empty()).err(), Some(refused));
    check!(HEAP.kmalloc(usize::MAX, Flags::empty()).is_err());
    let block = ok!(HEAP.kcalloc(100, 33, Flags::empty()));
    check!(is_filled(block, 3300, 0));
    ok!(free(block));
    Ok(())
}

pub fn krealloc_matrix() -> Outcome {
    const SIZES: [usize; 10] = [
        1, 16, 100, 2048, 4097, 16_384, 70_000, 500_000, 600_000, 3_000_000,
    ];
    for from in SIZES {
        for to in SIZES {
            let block = ok!(HEAP.kmalloc(from, Flags::empty()));
            fill(block, from, 0x5c);
            let block = ok!(resize(block, to));
            check!(is_filled(block, from.min(to), 0x5c));
            check!(ok!(size_of(block)) >= to);
            fill(block, to, 1);
            ok!(free(block));
        }
    }
    Ok(())
}

pub fn kfree_takes_served_blocks() -> Outcome {
    for size in [16, 5000, 100_000] {
        let block = ok!(served::kmalloc(size, Flags::empty()));
        ok!(free(block));
        let address = block.addr().get() as u64;
        check_eq!(free(block), Err(Error::DoubleFree { address }));
    }
    Ok(())
}

/// What the heap says of a pointer that is none of a block.
fn refusal(pointer: NonNull<u8>) -> Result<(), Error> {
    let address = pointer.addr().get() as u64;
    Err(Error::BadPointer { address })
}

pub fn interior_and_wild_pointers() -> Outcome {
    for size in [64, 1024, 20_000, 700_000] {
        let block = ok!(HEAP.kmalloc(size, Flags::empty()));
        for offset in [8, 16, size / 2 + 8] {
            // SAFETY: inside the block.
            let inside = unsafe { block.add(offset) };
            if !inside.addr().get().is_multiple_of(size.next_power_of_two()) {
                check_eq!(free(inside), refusal(inside));
            }
        }
        ok!(free(block));
    }
    let local = 0u64;
    let local = NonNull::from(&local).cast();
    check_eq!(free(local), refusal(local));
    Ok(())
}

pub fn memory_is_zero_when_asked() -> Outcome {
    for size in [16, 500, 16_384, 100_000, 2 << 20] {
        let block = ok!(HEAP.kmalloc(size, Flags::empty()));
        fill(block, size, 0xff);
        ok!(free(block));
        let block = ok!(HEAP.kmalloc(size, Flags::ZERO));
        check!(is_filled(block, size, 0));
        ok!(free(block));
    }
    Ok(())
}

pub fn large_grows_without_copying() -> Outcome {
    let mut size = 1 << 20;
    let mut block = ok!(HEAP.kmalloc(size, Flags::empty()));
    fill(block, size, 9);
    for _ in 0..4 {
        block = ok!(resize(block, size * 2));
        check!(is_filled(block, size, 9));
        size *= 2;
        fill(block, size, 9);
    }
    ok!(free(block));
    Ok(())
}
