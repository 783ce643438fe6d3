// SPDX-License-Identifier: BSD-2-Clause
use client_test::{Outcome, check, check_eq, ok};
use kmalloc::{Error, Flags, served};

/// A block's bytes.
///
/// # Safety
///
/// The block is in use, has `size` bytes, and nothing else refers to it.
pub unsafe fn bytes<'a>(block: core::ptr::NonNull<u8>, size: usize) -> &'a mut [u8] {
    // SAFETY: as for this function; memory of the server is always initialised.
    unsafe { core::slice::from_raw_parts_mut(block.as_ptr(), size) }
}

/// Whether each of a block's first `size` bytes is `value`. The block is one of the test's.
pub fn is_filled(block: core::ptr::NonNull<u8>, size: usize, value: u8) -> bool {
    // SAFETY: the tests pass blocks in use and no more bytes than they have.
    let bytes = unsafe { bytes(block, size) };
    bytes.iter().all(|byte| *byte == value)
}

/// Frees a block of this test.
pub fn free(block: core::ptr::NonNull<u8>) -> Result<(), Error> {
    // SAFETY: the tests free what they are done with.
    unsafe { served::kfree(block.as_ptr()) }
}

pub fn every_class_boundary() -> Outcome {
    for bits in 4..=14 {
        let class = 1usize << bits;
        for size in [class - 1, class, class + 1] {
            let block = ok!(served::kmalloc(size, Flags::empty()));
            let usable = ok!(served::ksize(block.as_ptr()));
            let expected = if size <= 16384 {
                size.next_power_of_two().max(16)
            } else {
                20480
            };
            check_eq!(usable, expected);
            let align = if size <= 16384 { usable } else { 4096 };
            check_eq!(block.addr().get() % align, 0);
            // SAFETY: the block is this test's.
            unsafe { bytes(block, usable) }.fill(0xa5);
            ok!(free(block));
        }
    }
    Ok(())
}

pub fn zero_size() -> Outcome {
    let first = ok!(served::kmalloc(0, Flags::empty()));
    let second = ok!(served::kmalloc(0, Flags::empty()));
    check!(first != second);
    ok!(free(first));
    ok!(free(second));
    Ok(())
}

pub fn absurd_sizes() -> Outcome {
    for size in [
        usize::MAX,
        usize::MAX - 1,
        isize::MAX as usize + 1,
        (-4096isize) as usize,
        1 << 37,
    ] {
        check_eq!(
            served::kmalloc(size, Flags::empty()).err(),
            Some(Error::BadSize { size: size as u64 })
        );
    }
    check!(matches!(
        served::kmalloc(1 << 36, Flags::empty()),
        Err(Error::OverQuota { .. })
    ));
    Ok(())
}

pub fn whole_pages() -> Outcome {
    for pages in [5usize, 8, 9, 31, 64, 100] {
        let size = pages * 4096 - 7;
        let block = ok!(served::kmalloc(size, Flags::ZERO));
        check_eq!(ok!(served::ksize(block.as_ptr())), pages * 4096);
        // SAFETY: the block is this test's.
        let all = unsafe { bytes(block, pages * 4096) };
        check!(all.iter().all(|byte| *byte == 0));
        all.fill(0x5a);
        ok!(free(block));
    }
    Ok(())
}

pub fn blocks_do_not_overlap() -> Outcome {
    const COUNT: usize = 300;
    let mut blocks = [core::ptr::NonNull::<u8>::dangling(); COUNT];
    let size = |index: usize| 16 + index * 7 % 500;
    for (index, place) in blocks.iter_mut().enumerate() {
        *place = ok!(served::kmalloc(size(index), Flags::empty()));
        // SAFETY: the block is this test's.
        unsafe { bytes(*place, size(index)) }.fill(index as u8);
    }
    for (index, block) in blocks.iter().enumerate() {
        check!(is_filled(*block, size(index), index as u8));
    }
    // Every second one first: both halves of each bucket change places.
    for block in blocks
        .iter()
        .step_by(2)
        .chain(blocks.iter().skip(1).step_by(2))
    {
        ok!(free(*block));
    }
    Ok(())
}

pub fn zero_flag_after_reuse() -> Outcome {
    for size in [16, 100, 2048, 4096, 16384, 40_000] {
        let block = ok!(served::kmalloc(size, Flags::empty()));
        // SAFETY: the block is this test's.
        unsafe { bytes(block, size) }.fill(0xff);
        ok!(free(block));
        let block = ok!(served::kmalloc(size, Flags::ZERO));
        let usable = ok!(served::ksize(block.as_ptr()));
        check!(is_filled(block, usable, 0));
        ok!(free(block));
    }
    Ok(())
}

pub fn unknown_flags() -> Outcome {
    let flags = Flags::from_bits_retain(1 << 31 | 1);
    check_eq!(
        served::kmalloc(16, flags).err(),
        Some(Error::BadFlags { unknown: 1 << 31 })
    );
    check_eq!(
        served::kcalloc(1, 16, flags).err(),
        Some(Error::BadFlags { unknown: 1 << 31 })
    );
    Ok(())
}

pub fn kcalloc_all_pairs() -> Outcome {
    let mut values = [0usize; 24];
    let powers = [1usize, 4, 12, 31, 32, 33, 63];
    let around = powers
        .iter()
        .flat_map(|bits| [(1usize << bits) - 1, 1 << bits, (1 << bits) + 1]);
    for (place, value) in values
        .iter_mut()
        .zip(around.chain([0, usize::MAX, usize::MAX / 2]))
    {
        *place = value;
    }
    for count in values {
        for size in values {
            match (
                count.checked_mul(size),
                served::kcalloc(count, size, Flags::ZERO),
            ) {
                (None, result) => {
                    let overflow = Error::Overflow {
                        count: count as u64,
                        size: size as u64,
                    };
                    check_eq!(result.err(), Some(overflow));
                }
                (Some(_), Ok(block)) => {
                    let usable = ok!(served::ksize(block.as_ptr()));
                    check!(is_filled(block, usable, 0));
                    ok!(free(block));
                }
                (Some(total), Err(error)) => {
                    let expected = matches!(error, Error::OverQuota { .. } | Error::BadSize { .. });
                    check!(expected && total > 100_000);
                }
            }
        }
    }
    Ok(())
}
