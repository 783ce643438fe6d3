// SPDX-License-Identifier: BSD-2-Clause
use crate::sizes::{bytes, free};
use client_test::{Outcome, check, check_eq, ok};
use core::ptr::{NonNull, null_mut};
use kmalloc::{Error, Flags, served};

/// Bytes that tell by their place where they belong.
fn pattern(index: usize) -> u8 {
    ((index * 31) >> 3) as u8 ^ 0x6d
}

fn fill(block: NonNull<u8>, size: usize) {
    // SAFETY: the block is the test's and has that many bytes.
    for (index, byte) in unsafe { bytes(block, size) }.iter_mut().enumerate() {
        *byte = pattern(index);
    }
}

fn holds(block: NonNull<u8>, size: usize) -> bool {
    // SAFETY: the block is the test's and has that many bytes.
    unsafe { bytes(block, size) }
        .iter()
        .enumerate()
        .all(|(index, byte)| *byte == pattern(index))
}

fn resize(block: NonNull<u8>, size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
    // SAFETY: the tests use only what this gives back.
    unsafe { served::krealloc(block.as_ptr(), size, flags) }
        .map(|new| new.unwrap_or(NonNull::dangling()))
}

pub fn null_is_kmalloc() -> Outcome {
    // SAFETY: null is always allowed.
    let block = ok!(unsafe { served::krealloc(null_mut(), 100, Flags::ZERO) });
    check!(block.is_some());
    ok!(free(block.unwrap_or(NonNull::dangling())));
    Ok(())
}

pub fn zero_frees() -> Outcome {
    for size in [16, 3000, 50_000] {
        let block = ok!(served::kmalloc(size, Flags::empty()));
        // SAFETY: the block is used no more.
        let gone = ok!(unsafe { served::krealloc(block.as_ptr(), 0, Flags::empty()) });
        check_eq!(gone, None);
        check!(free(block).is_err());
    }
    Ok(())
}

pub fn matrix() -> Outcome {
    const SIZES: [usize; 12] = [
        1, 16, 17, 100, 1024, 2048, 2049, 4096, 16_384, 16_385, 70_000, 300_000,
    ];
    for from in SIZES {
        for to in SIZES {
            let block = ok!(served::kmalloc(from, Flags::empty()));
            fill(block, from);
            let block = ok!(resize(block, to, Flags::empty()));
            check!(holds(block, from.min(to)));
            check!(ok!(served::ksize(block.as_ptr())) >= to);
            fill(block, to);
            ok!(free(block));
        }
    }
    Ok(())
}

pub fn failure_leaves_the_block() -> Outcome {
    for size in [64, 5000, 100_000] {
        let block = ok!(served::kmalloc(size, Flags::empty()));
        fill(block, size);
        check!(matches!(
            resize(block, 1 << 34, Flags::empty()),
            Err(Error::OverQuota { .. })
        ));
        check!(matches!(
            resize(block, usize::MAX, Flags::empty()),
            Err(Error::BadSize { .. })
        ));
        check!(matches!(
            resize(block, size, Flags::from_bits_retain(8)),
            Err(Error::BadFlags { unknown: 8 })
        ));
        check!(holds(block, size));
        ok!(free(block));
    }
    Ok(())
}

pub fn zero_flag() -> Outcome {
    for [first, second, third] in [
        [24, 10, 32],
        [100, 20, 128],
        [60, 30, 5000],
        [20_000, 100, 60_000],
    ] {
        let mut block = ok!(served::kmalloc(first, Flags::ZERO));
        let mut size = first;
        for next in [second, third] {
            fill(block, size);
            block = ok!(resize(block, next, Flags::ZERO));
            check!(holds(block, size.min(next)));
            // SAFETY: the block is this test's.
            let gained = unsafe { bytes(block, next) }.get(size..).unwrap_or(&[]);
            check!(gained.iter().all(|byte| *byte == 0));
            size = next;
        }
        ok!(free(block));
    }
    Ok(())
}

pub fn array_overflow() -> Outcome {
    let block = ok!(served::kmalloc(64, Flags::empty()));
    fill(block, 64);
    let size = usize::MAX / 2;
    // SAFETY: the call fails, and the block stays in use.
    let result = unsafe { served::krealloc_array(block.as_ptr(), 3, size, Flags::empty()) };
    check_eq!(
        result.err(),
        Some(Error::Overflow {
            count: 3,
            size: size as u64
        })
    );
    check!(holds(block, 64));
    // SAFETY: the block is used no more after a success.
    let block = ok!(unsafe { served::krealloc_array(block.as_ptr(), 10, 30, Flags::empty()) });
    let block = block.unwrap_or(NonNull::dangling());
    check!(holds(block, 64));
    ok!(free(block));
    Ok(())
}
