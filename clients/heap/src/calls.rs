// SPDX-License-Identifier: BSD-2-Clause
use crate::HEAP;
use client_test::{Outcome, check, check_eq, ok};
use core::ptr::NonNull;
use kmalloc::{Error, Flags, println, served};

const WORKING_SET: usize = 1000;

fn free(block: NonNull<u8>) -> Result<(), Error> {
    // SAFETY: the tests free what they are done with.
    unsafe { HEAP.kfree(block) }
}

/// Calls to the server since `before`, without the two that count them.
fn calls_since(before: u64) -> Result<u64, Error> {
    Ok(served::stats()?.calls - before - 1)
}

pub fn million_small_blocks() -> Outcome {
    // From nothing: what earlier tests left would spare it its calls.
    HEAP.trim();
    let before = ok!(served::stats()).calls;
    let mut blocks = [None; WORKING_SET];
    let mut state = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..1_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let place = &mut blocks[(state >> 32) as usize % WORKING_SET];
        if let Some(block) = place.take() {
            ok!(free(block));
        }
        *place = Some(ok!(
            HEAP.kmalloc(8 + (state >> 20) as usize % 500, Flags::empty())
        ));
    }
    for block in blocks.into_iter().flatten() {
        ok!(free(block));
    }
    let calls = ok!(calls_since(before));
    println!("# {calls} calls for a million allocations");
    check!(calls <= 50);
    Ok(())
}

pub fn swing_by_one_block() -> Outcome {
    for size in [16, 4096, 16_384, 300_000] {
        let keep = ok!(HEAP.kmalloc(size, Flags::empty()));
        ok!(free(ok!(HEAP.kmalloc(size, Flags::empty()))));
        let before = ok!(served::stats()).calls;
        for _ in 0..10_000 {
            ok!(free(ok!(HEAP.kmalloc(size, Flags::empty()))));
        }
        check_eq!(ok!(calls_since(before)), 0);
        ok!(free(keep));
    }
    Ok(())
}

pub fn large_pairs() -> Outcome {
    for size in [32 << 10, 1 << 20] {
        ok!(free(ok!(HEAP.kmalloc(size, Flags::empty()))));
        let before = ok!(served::stats()).calls;
        for _ in 0..1000 {
            ok!(free(ok!(HEAP.kmalloc(size, Flags::empty()))));
        }
        check_eq!(ok!(calls_since(before)), 0);
    }
    Ok(())
}

pub fn trim_gives_all_back() -> Outcome {
    let mut blocks = [None; WORKING_SET];
    for (index, place) in blocks.iter_mut().enumerate() {
        *place = Some(ok!(HEAP.kmalloc(16 + index * 13 % 9000, Flags::empty())));
    }
    let full = ok!(served::stats()).region_bytes;
    for block in blocks.into_iter().flatten() {
        ok!(free(block));
    }
    HEAP.trim();
    let trimmed = ok!(served::stats()).region_bytes;
    println!("# {full} bytes of segments in use, {trimmed} after trim");
    check_eq!(trimmed, 0);
    Ok(())
}
