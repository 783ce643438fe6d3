// SPDX-License-Identifier: BSD-2-Clause
//! Two clients of this program run at the same time; each fills its memory with its own tag and tries to reach the
//! other's.
#![no_std]
#![no_main]

use client_test::{Outcome, Test, check, check_eq, ok};
use core::ptr::{NonNull, without_provenance_mut};
use core::sync::atomic::{AtomicUsize, Ordering};
use kmalloc::{Error, Flags, served};

kmalloc::main!(main);

const SEGMENT: usize = 2 << 20;
/// At the same address in every client of this program, with another value in each.
static OWN_TAG: AtomicUsize = AtomicUsize::new(0);

const TESTS: &[Test] = &[
    ("same_address_other_bytes", same_address_other_bytes),
    ("memory_arrives_zero_and_keeps_its_tag", keeps_its_tag),
    ("pointers_of_others_are_refused", pointers_of_others),
];

fn main() -> u8 {
    let tag = kmalloc::arguments()
        .next()
        .map_or(1, |tag| usize::from(tag.as_bytes()[0]));
    OWN_TAG.store(tag, Ordering::Relaxed);
    client_test::run(TESTS)
}

fn same_address_other_bytes() -> Outcome {
    let expected = kmalloc::arguments()
        .next()
        .map_or(1, |tag| usize::from(tag.as_bytes()[0]));
    // The other client runs in turns with this one and writes its own tag to this address.
    for _ in 0..200 {
        OWN_TAG.store(expected, Ordering::Relaxed);
        ok!(served::stats());
        check_eq!(OWN_TAG.load(Ordering::Relaxed), expected);
    }
    Ok(())
}

fn keeps_its_tag() -> Outcome {
    let tag = OWN_TAG.load(Ordering::Relaxed) as u8;
    for round in 0..50 {
        let size = 4096 * (1 + round % 7) + 20_000;
        let block = ok!(served::kmalloc(size, Flags::empty()));
        // SAFETY: the block is this test's, and memory of the server is always initialised.
        let bytes = unsafe { core::slice::from_raw_parts_mut(block.as_ptr(), size) };
        check!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(tag);
        ok!(served::stats());
        check!(bytes.iter().all(|byte| *byte == tag));
        // SAFETY: the block is used no more.
        ok!(unsafe { served::kfree(block.as_ptr()) });
    }
    Ok(())
}

fn pointers_of_others() -> Outcome {
    let own: NonNull<u8> = ok!(served::kmalloc(64, Flags::empty()));
    let own_segment = own.addr().get() / SEGMENT;
    let before = ok!(served::stats()).committed;
    let first = kmalloc::Window::Served.base() / SEGMENT;
    let mut owned_by_others = 0;
    for segment in (first..first + 64).filter(|segment| *segment != own_segment) {
        let address = segment * SEGMENT;
        let pointer = without_provenance_mut(address);
        // SAFETY: the server refuses what is not this client's.
        let results = unsafe {
            [
                served::kfree(pointer).err(),
                served::ksize(pointer).err(),
                served::krealloc(pointer, 1, Flags::empty()).err(),
                served::kfree_dma(pointer).err(),
            ]
        };
        for (index, error) in results.into_iter().enumerate() {
            let address = address as u64;
            match error {
                Some(Error::NotOwner { .. }) => owned_by_others += 1,
                Some(Error::BadPointer { .. }) => {}
                // A segment of this client's in another window; kfree_dma asks about the served one.
                other => check_eq!((index, other), (3, Some(Error::WrongKind { address }))),
            }
        }
    }
    check!(owned_by_others > 0);
    check_eq!(ok!(served::stats()).committed, before);
    // SAFETY: the block is used no more.
    ok!(unsafe { served::kfree(own.as_ptr()) });
    Ok(())
}
