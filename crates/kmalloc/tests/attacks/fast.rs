// SPDX-License-Identifier: BSD-2-Clause
//! What fast mode does not notice. These tests hold that the documents are right to say so; none of this reaches beyond the
//! program that does it.

use crate::{Target, change, classes, records};
use kmalloc::{Error, Flags};
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

fn at(block: NonNull<u8>) -> usize {
    block.addr().get()
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

#[test]
fn fast_double_free_serves_a_block_twice() {
    for size in classes() {
        let target = Target::new();
        let block = target.kmalloc(size);
        target.kfree(block).unwrap();
        assert_eq!(target.kfree(block), Ok(()));
        assert_eq!(target.kmalloc(size), block);
        // Its link leads to itself, or to what was written to it since.
        // SAFETY: the block is free, as far as the heap knows.
        unsafe { block.cast::<usize>().write(at(block)) };
        assert_eq!(target.kmalloc(size), block);
    }
}

#[test]
fn fast_double_free_of_pages_is_refused_but_for_powers_of_two() {
    for size in [60_000, 500_000, 3 << 20] {
        let target = Target::new();
        let block = target.kmalloc(size);
        target.kfree(block).unwrap();
        let address = at(block) as u64;
        assert_eq!(target.kfree(block), Err(Error::BadPointer { address }));
    }
    // The first of these that is freed is kept as it is.
    for size in [1 << 16, 1 << 20] {
        let target = Target::new();
        let block = target.kmalloc(size);
        target.kfree(block).unwrap();
        assert_eq!(target.kfree(block), Ok(()));
        let served = [0; 2].map(|_| target.heap.kmalloc(size, Flags::empty()).unwrap());
        assert_eq!(served, [block, block]);
    }
}

#[test]
fn fast_fastbin_dup_serves_a_block_twice() {
    let target = Target::new();
    let (first, second) = (target.kmalloc(48), target.kmalloc(48));
    for block in [first, second, first] {
        assert_eq!(target.kfree(block), Ok(()));
    }
    let served = [0; 3].map(|_| target.heap.kmalloc(48, Flags::empty()).unwrap());
    assert_eq!(served, [first, second, first]);
}

#[test]
fn fast_tcache_poisoning_serves_any_address() {
    let mut on_stack = [0x40_u64; 16];
    let forged = NonNull::from(&mut on_stack).cast::<u8>();
    for size in classes() {
        let target = Target::new();
        let block = target.kmalloc(size);
        target.kfree(block).unwrap();
        // SAFETY: the write is the attack.
        unsafe { block.cast::<*mut u8>().write(forged.as_ptr()) };
        let served = [0; 2].map(|_| target.heap.kmalloc(size, Flags::empty()).unwrap());
        assert_eq!(served, [block, forged]);
    }
}

#[test]
fn fast_house_of_spirit_is_refused_by_kfree_and_not_by_dealloc() {
    let mut on_stack = [0x40_u64; 16];
    let forged = NonNull::from(&mut on_stack).cast::<u8>();
    let target = Target::new();
    let address = at(forged) as u64;
    assert_eq!(target.kfree(forged), Err(Error::BadPointer { address }));
    let block = target.kmalloc(60_000);
    // SAFETY: the block has so many bytes; the calls are the attack.
    unsafe {
        let inside = block.add(4096);
        let address = at(inside) as u64;
        assert_eq!(target.kfree(inside), Err(Error::BadPointer { address }));
        target.heap.dealloc(forged.as_ptr(), layout(64));
        assert_eq!(target.heap.alloc(layout(64)), forged.as_ptr());
    }
}

#[test]
fn fast_overlapping_chunks_by_a_forged_header() {
    let target = Target::new();
    let (first, second) = (target.kmalloc(5 * 4096), target.kmalloc(7 * 4096));
    assert_eq!(at(second), at(first) + 5 * 4096);
    let page = target.header_page(first);
    // SAFETY: the writes are the attack: the tag of a run of five pages says twelve.
    unsafe {
        let halves = page.cast::<u16>();
        let tag = (0..2040).find(|&index| halves.add(index).read_unaligned() == 0x8005);
        halves.add(tag.unwrap()).write_unaligned(0x800c);
        assert_eq!(target.heap.ksize(first), Ok(12 * 4096));
        target.kfree(first).unwrap();
        let third = target.heap.kmalloc(12 * 4096, Flags::empty()).unwrap();
        assert_eq!(third, first, "the second one lies in it");
    }
}

#[test]
fn fast_forged_size_classes_are_believed() {
    let target = Target::new();
    let block = target.kmalloc(48);
    let page = target.header_page(block);
    // SAFETY: the write is the attack: the tag of the only bucket, of the third class, becomes the fourth's.
    unsafe {
        let halves = page.cast::<u16>();
        let tag = (0..2040).find(|&index| halves.add(index).read_unaligned() == 0x4010);
        halves.add(tag.unwrap()).write_unaligned(0x4018);
        assert_eq!(target.heap.ksize(block), Ok(64));
        target.kfree(block).unwrap();
    }
    assert_eq!(target.heap.kmalloc(64, Flags::empty()), Ok(block));
}

#[test]
fn fast_overflows_and_underflows_are_not_noticed() {
    let target = Target::new();
    let (first, second) = (target.kmalloc(64), target.kmalloc(64));
    let (front, behind) = (first.min(second), first.max(second));
    assert_eq!(at(behind), at(front) + 64);
    for length in [1, 8] {
        // SAFETY: the writes are the mistake; the other block is the test's too.
        unsafe {
            change(front.add(64), length);
            change(behind.sub(length), length);
        }
    }
    assert_eq!(target.kfree(front), Ok(()));
    assert_eq!(target.kfree(behind), Ok(()));
}

#[test]
fn fast_poison_null_byte_moves_a_link() {
    let mut target = Target::new();
    let mut blocks: Vec<_> = (0..40).map(|_| target.kmalloc(48)).collect();
    blocks.sort();
    // A free block behind one in use, whose link leads to where the low byte is not null.
    let (front, behind) = (blocks[4], blocks[5]);
    let linked = blocks[20..]
        .iter()
        .find(|block| !at(**block).is_multiple_of(256));
    let linked = *linked.unwrap();
    target.kfree(linked).unwrap();
    target.kfree(behind).unwrap();
    // SAFETY: the write is the attack, one byte behind a block.
    unsafe { front.add(48).write(0) };
    assert_eq!(target.take(48), behind);
    let served = target.heap.kmalloc(48, Flags::empty()).unwrap();
    assert_eq!(at(served), at(linked) & !255);
}

#[test]
fn fast_large_bin_attack_on_the_records_is_believed() {
    const PAGES_BITS: u32 = 28;
    let target = Target::new();
    let block = target.kmalloc(1 << 20);
    let entry = records(block);
    // SAFETY: the table has 512 entries; the write is the attack.
    unsafe {
        let number = (0..512)
            .find(|&index| entry.add(index).read() >> PAGES_BITS == (at(block) / 4096) as u64);
        let entry = entry.add(number.unwrap());
        entry.write(entry.read() + 256);
        assert_eq!(target.heap.ksize(block), Ok(2 << 20));
        entry.write(entry.read() - 256);
    }
    target.kfree(block).unwrap();
}

#[test]
fn fast_write_after_free_is_not_noticed() {
    for size in [48, 9000, 60_000, 1 << 20] {
        let target = Target::new();
        let block = target.kmalloc(size);
        target.kfree(block).unwrap();
        // SAFETY: the write is the attack, behind where links are.
        unsafe { change(block.add(size - 1), 1) };
        let again = target.heap.kmalloc(size, Flags::empty()).unwrap();
        // SAFETY: the block has that size.
        let last = unsafe { again.add(size - 1).read() };
        assert_eq!((again, last), (block, !0x33));
    }
}

#[test]
fn fast_wrong_layout_serves_what_is_in_use() {
    let target = Target::new();
    let (first, second) = (target.kmalloc(48), target.kmalloc(48));
    let (front, behind) = (first.min(second), first.max(second));
    // SAFETY: the call is the mistake.
    let served = unsafe {
        target.heap.dealloc(front.as_ptr(), layout(96));
        target.heap.alloc(layout(96))
    };
    assert_eq!(served, front.as_ptr());
    assert!(
        at(behind) < served.addr() + 96,
        "the other block lies in it"
    );
}

#[test]
fn fast_realloc_of_a_freed_block_gives_it_back() {
    let target = Target::new();
    let block = target.kmalloc(40);
    target.kfree(block).unwrap();
    // SAFETY: the call is the mistake.
    let resized = unsafe { target.heap.krealloc(Some(block), 48, Flags::empty()) };
    assert_eq!(resized, Ok(Some(block)));
    assert_eq!(target.heap.kmalloc(48, Flags::empty()), Ok(block));
}
