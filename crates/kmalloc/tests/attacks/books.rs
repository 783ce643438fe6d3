// SPDX-License-Identifier: BSD-2-Clause
//! Attacks on the heap's own books, which lie in memory that the program can write to.

use crate::checked::{seen, target};
use crate::{Target, change, records};
use kmalloc::Fault;
use std::ptr::NonNull;

/// Bytes of the page that a segment's header stands in; its own end is guarded.
const HEADER_BYTES: usize = 4096 - 16;

/// A heap with something of every kind in one segment.
fn furnished() -> (Target, Vec<NonNull<u8>>) {
    let mut target = target();
    let sizes = [48, 48, 1000, 9000, 60_000, 60_000];
    let blocks = sizes.map(|size| target.take(size));
    target.kfree(blocks[1]).unwrap();
    target.live.remove(&blocks[1].addr().get());
    target.kfree(blocks[5]).unwrap();
    target.live.remove(&blocks[5].addr().get());
    let kept = [0, 2, 3, 4].map(|index| blocks[index]);
    (target, kept.into())
}

/// Whatever a program does next: takes, frees, trims. What is in use stays in use, and whole.
fn go_on(target: &mut Target, kept: &[NonNull<u8>]) {
    for size in [48, 64, 1000, 3000, 9000, 16_000, 60_000, 300_000] {
        for _ in 0..2 {
            target.take(size);
        }
    }
    target.heap.trim();
    for size in [48, 9000, 60_000] {
        target.take(size);
    }
    for &block in kept {
        let size = target.live[&block.addr().get()];
        // SAFETY: the block is the test's.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
        assert!(bytes.iter().all(|&byte| byte == 0x33));
    }
}

#[test]
fn overlapping_chunks_by_a_forged_header_are_named_for_every_byte_of_it() {
    let (mut named, mut without_effect) = (0, 0);
    for offset in 0..HEADER_BYTES {
        let (mut target, kept) = furnished();
        let page = target.header_page(kept[0]);
        // SAFETY: the write is the attack.
        unsafe { change(page.add(offset), 1) };
        go_on(&mut target, &kept);
        let found = seen();
        if found.is_empty() {
            // Nothing of the heap's stands there.
            target.heap.audit().unwrap();
            for block in kept {
                target.kfree(block).unwrap();
            }
            without_effect += 1;
        } else {
            let (fault, _, address) = found[0];
            assert_eq!(fault, Fault::BadBooks, "{offset}");
            assert!(address.wrapping_sub(page.addr().get()) < 4096);
            named += 1;
        }
        seen();
    }
    // Tags and counts of 512 pages, two sets of them, owner, base, links, a flag and seals.
    assert_eq!(
        named,
        2 * 2 * 512 + 2 * 64 + 4 * 8 + 1 + 3 * 8 - UNUSED_SEAL
    );
    assert_eq!(named + without_effect, HEADER_BYTES);
}

/// With one thread nobody looks at the seal of the owner alone.
const UNUSED_SEAL: usize = 8;

#[test]
fn forged_size_classes_are_named() {
    let (mut target, kept) = furnished();
    let page = target.header_page(kept[0]);
    // SAFETY: the header's page is mapped; the writes are the attack: every tag that can be one becomes another class's.
    unsafe {
        let halves = page.cast::<u16>();
        for index in 0..HEADER_BYTES / 2 {
            let tag = halves.add(index).read_unaligned();
            if tag & 0xc000 == 0x4000 && tag < 0x4200 {
                halves.add(index).write_unaligned(tag + 8);
            }
        }
    }
    for &block in &kept[..3] {
        assert!(target.kfree(block).is_err());
        let found = seen();
        assert!(
            matches!(
                found[..],
                [(Fault::Overflow | Fault::BadPointer, _, address)] if address == block.addr().get()
            ),
            "{found:?}"
        );
    }
    go_on(&mut target, &kept);
    assert_eq!(seen()[0].0, Fault::BadBooks);
}

#[test]
fn a_randomised_header_is_named() {
    for seed in 1..200_u64 {
        let (mut target, kept) = furnished();
        let page = target.header_page(kept[0]);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for offset in 0..HEADER_BYTES {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // SAFETY: the write is the attack.
            unsafe { page.add(offset).write((state >> 32) as u8) };
        }
        go_on(&mut target, &kept);
        let found = seen();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, Fault::BadBooks);
        // What lay in that segment is none of the heap's any more.
        for &block in &kept {
            assert!(target.kfree(block).is_err());
            assert_eq!(seen()[0].0, Fault::BadPointer);
        }
        target.heap.audit().unwrap();
    }
}

#[test]
fn an_underflow_into_the_header_s_page_is_named() {
    let target = target();
    let block = target.kmalloc(48);
    assert_eq!(block.addr().get() % kmalloc::SEGMENT_SIZE, 4096);
    // SAFETY: the write is the attack; the header ends before.
    unsafe { change(block.sub(16), 16) };
    assert!(target.kfree(block).is_err());
    assert_eq!(seen()[0].0, Fault::Underflow);
}

#[test]
fn large_bin_attacks_on_the_records_are_named_for_every_word() {
    for word in 0..512 {
        for value in [0, u64::MAX] {
            let mut target = target();
            let block = target.take(1 << 20);
            let other = target.take(2 << 20);
            // SAFETY: the table has so many entries; the write is the attack.
            let was = unsafe {
                let entry = records(block).add(word);
                std::mem::replace(&mut *entry.as_ptr(), value)
            };
            if was == value {
                continue;
            }
            assert!(target.kfree(block).is_err());
            let found = seen();
            assert_eq!(found[0].0, Fault::BadBooks, "{word}: {found:?}");
            target.take(1 << 20);
            assert!(target.kfree(other).is_err());
            assert_eq!(seen()[0].0, Fault::BadPointer);
        }
    }
}

#[test]
fn records_full_of_rubbish_end_every_search() {
    let mut target = target();
    let block = target.take(1 << 20);
    // SAFETY: the table has so many entries; the writes are the attack.
    unsafe { records(block).cast::<u8>().write_bytes(0x5a, 4096) };
    target.take(1 << 20);
    assert_eq!(seen()[0].0, Fault::BadBooks);
    assert!(target.kfree(block).is_err());
    assert_eq!(seen()[0].0, Fault::BadPointer);
    target.heap.trim();
    assert_eq!(seen(), []);
}
