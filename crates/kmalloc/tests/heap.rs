// SPDX-License-Identifier: BSD-2-Clause
//! The heap over the host's memory: sizes, contents, growth, and what goes back.
#![cfg(not(feature = "checked"))]

use kmalloc::{Error, Flags, Heap, PowersOfTwo, QuarterOctaves, SingleThread, SizeClasses};
use kmalloc_host_source::HostSource;
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

fn heap<C: SizeClasses>(limit: usize) -> Box<Heap<HostSource, SingleThread, C>> {
    // SAFETY: each test uses its heap from one thread.
    Box::new(unsafe { Heap::single_threaded_with_classes(HostSource::new(limit)) })
}

/// Makes a test of each function for each way to divide sizes.
macro_rules! for_all_classes {
    ($($name:ident)*) => {
        mod quarter_octaves {
            $(#[test] fn $name() { super::$name::<super::QuarterOctaves>() })*
        }
        mod powers_of_two {
            $(#[test] fn $name() { super::$name::<super::PowersOfTwo>() })*
        }
    };
}

for_all_classes! {
    every_class_boundary
    calloc_refuses_exactly_the_products_that_overflow
    realloc_keeps_the_smaller_of_both_sizes
    realloc_of_nothing_to_nothing_and_too_much
    what_grows_once_and_again_grows_where_it_stands_whatever_was_before
    sixteen_kib_grow_to_sixty_four_where_they_stand
    large_blocks_grow_in_place_or_move_by_remapping
    a_small_working_set_asks_rarely
    a_swing_by_one_block_asks_nothing
    what_one_class_frees_serves_another
    pointers_that_are_none_are_refused
    a_limit_is_used_to_the_last_page_and_freeing_restores_it
}

const MIB: usize = 1 << 20;

/// Writes a pattern over the block and returns what it should read.
fn fill(block: NonNull<u8>, size: usize, seed: u8) {
    // SAFETY: the caller's block has that size.
    unsafe { block.write_bytes(seed, size) };
}

fn holds(block: NonNull<u8>, size: usize, seed: u8) -> bool {
    // SAFETY: the caller's block has that size, all of it written.
    unsafe { std::slice::from_raw_parts(block.as_ptr(), size) }
        .iter()
        .all(|&byte| byte == seed)
}

fn every_class_boundary<C: SizeClasses>() {
    let heap = heap::<C>(1 << 30);
    for bits in 0..=24 {
        for size in [(1_usize << bits) - 1, 1 << bits, (1 << bits) + 1] {
            let block = heap.kmalloc(size, Flags::empty()).unwrap();
            // SAFETY: the block is in use.
            let usable = unsafe { heap.ksize(block).unwrap() };
            assert!(usable >= size.max(1), "{size} got {usable}");
            let align = if size.is_power_of_two() { size } else { 16 };
            assert!(block.addr().get().is_multiple_of(align.max(16)), "{size}");
            fill(block, usable, 0x5a);
            heap.audit().unwrap();
            // SAFETY: the block is in use.
            unsafe { heap.kfree(block).unwrap() };
            heap.audit().unwrap();
        }
    }
    heap.trim();
    assert_eq!(heap.source().usage().mapped, 0);
}

fn calloc_refuses_exactly_the_products_that_overflow<C: SizeClasses>() {
    let heap = heap::<C>(1 << 30);
    let mut sizes = vec![0, 1, usize::MAX];
    for bits in 1..usize::BITS {
        sizes.extend([(1 << bits) - 1, 1 << bits, (1 << bits) + 1]);
    }
    for &count in &sizes {
        for &size in &sizes {
            let result = heap.kcalloc(count, size, Flags::empty());
            match count.checked_mul(size) {
                Some(bytes) if bytes <= MIB => {
                    let block = result.unwrap();
                    assert!(holds(block, bytes, 0));
                    fill(block, bytes, 0xff);
                    // SAFETY: the block is in use.
                    unsafe { heap.kfree(block).unwrap() };
                }
                Some(bytes) if bytes <= 1 << 62 => assert!(matches!(
                    result,
                    Ok(_) | Err(Error::OverQuota { .. } | Error::OutOfSlots { .. })
                )),
                // No allocation is larger than half of the address space.
                Some(_) => assert!(result.is_err()),
                None => assert!(matches!(result, Err(Error::Overflow { .. }))),
            }
            if let Some(block) = result.ok()
                && count.saturating_mul(size) > MIB
            {
                // SAFETY: the block is in use.
                unsafe { heap.kfree(block).unwrap() };
            }
        }
    }
}

fn realloc_keeps_the_smaller_of_both_sizes<C: SizeClasses>() {
    let heap = heap::<C>(1 << 30);
    let sizes = [
        1,
        15,
        16,
        17,
        100,
        4096,
        8193,
        16384,
        16385,
        20000,
        65536,
        100_000,
        524_288,
        524_289,
        700_000,
        MIB,
        3 * MIB,
        8 * MIB,
    ];
    for &old in &sizes {
        for &new in &sizes {
            let block = heap.kmalloc(old, Flags::empty()).unwrap();
            fill(block, old, 0x77);
            // SAFETY: the block is in use, and given up for the new one.
            let moved = unsafe { heap.krealloc(Some(block), new, Flags::empty()) };
            let moved = moved.unwrap().unwrap();
            assert!(holds(moved, old.min(new), 0x77), "{old} -> {new}");
            // SAFETY: the block is in use.
            assert!(unsafe { heap.ksize(moved).unwrap() } >= new);
            fill(moved, new, 0x11);
            heap.audit().unwrap();
            // SAFETY: the block is in use.
            unsafe { heap.kfree(moved).unwrap() };
        }
    }
    heap.trim();
    assert_eq!(heap.source().usage().mapped, 0);
}

fn realloc_of_nothing_to_nothing_and_too_much<C: SizeClasses>() {
    let heap = heap::<C>(64 * MIB);
    // SAFETY: every block given is in use.
    unsafe {
        let block = heap.krealloc(None, 100, Flags::ZERO).unwrap().unwrap();
        let usable = heap.ksize(block).unwrap();
        assert!(holds(block, usable, 0));
        fill(block, 100, 9);
        let refused = heap.krealloc(Some(block), usize::MAX, Flags::empty());
        assert!(matches!(refused, Err(Error::BadSize { .. })));
        let refused = heap.krealloc(Some(block), 65 * MIB, Flags::empty());
        assert!(
            matches!(refused, Err(Error::OverQuota { .. })),
            "{refused:?}"
        );
        let refused = heap.krealloc_array(Some(block), 1 << 40, 1 << 40, Flags::empty());
        assert!(matches!(refused, Err(Error::Overflow { .. })));
        assert!(holds(block, 100, 9));
        let grown = heap
            .krealloc(Some(block), 5000, Flags::ZERO)
            .unwrap()
            .unwrap();
        assert!(holds(grown, 100, 9));
        let gained = heap.ksize(grown).unwrap() - usable;
        assert!(gained >= 4900 && holds(grown.add(usable), gained, 0));
        assert_eq!(heap.krealloc(Some(grown), 0, Flags::empty()), Ok(None));
        assert_eq!(
            heap.krealloc(None, 0, Flags::empty()).map(|b| b.is_some()),
            Ok(true)
        );
    }
}

fn what_grows_once_and_again_grows_where_it_stands_whatever_was_before<C: SizeClasses>() {
    let heap = heap::<C>(1 << 30);
    let layout = |size: usize| Layout::from_size_align(size, 16).unwrap();
    // SAFETY: each block is freed with the layout that it was taken or grown with.
    unsafe {
        let mut live = Vec::new();
        for step in 0..20_000_usize {
            let size = 16 << (step * 7919 % 9);
            live.push((heap.alloc(layout(size)), size));
            if step % 3 == 2 {
                let (block, size) = live.swap_remove(step * 31 % live.len());
                heap.dealloc(block, layout(size));
            }
        }
        for (block, size) in live {
            heap.dealloc(block, layout(size));
        }
        for size in [32 << 10, MIB] {
            for _ in 0..3 {
                let block = heap.alloc(layout(size));
                heap.dealloc(block, layout(size));
            }
        }
        let (from, to) = (16 << 10, 64 << 10);
        for round in 0..5 {
            let block = heap.alloc(layout(from));
            let grown = heap.realloc(block, layout(from), to);
            assert!(
                round < 2 || grown == block,
                "round {round}: {block:p} to {grown:p}"
            );
            heap.dealloc(grown, layout(to));
        }
    }
}

fn sixteen_kib_grow_to_sixty_four_where_they_stand<C: SizeClasses>() {
    let heap = heap::<C>(64 * MIB);
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    // SAFETY: every block is used with the layout that it was allocated with last.
    unsafe {
        for _ in 0..3 {
            let block = heap.alloc(layout(16384));
            let mut size = 16384;
            while size < 65536 {
                let grown = heap.realloc(block, layout(size), size + 4096);
                assert_eq!(grown, block);
                size += 4096;
            }
            heap.audit().unwrap();
            heap.dealloc(block, layout(size));
            heap.audit().unwrap();
        }
    }
}

fn large_blocks_grow_in_place_or_move_by_remapping<C: SizeClasses>() {
    let heap = heap::<C>(1 << 30);
    // SAFETY: every block given is in use.
    unsafe {
        let mut block = heap.kmalloc(MIB, Flags::empty()).unwrap();
        for megabytes in 1..64_usize {
            fill(block.add((megabytes - 1) * MIB), MIB, megabytes as u8);
            let grown = heap.krealloc(Some(block), (megabytes + 1) * MIB, Flags::empty());
            block = grown.unwrap().unwrap();
            for written in 1..=megabytes {
                assert!(holds(block.add((written - 1) * MIB), MIB, written as u8));
            }
        }
        heap.kfree(block).unwrap();
    }
    heap.trim();
    assert_eq!(heap.source().usage().mapped, 0);
}

fn a_small_working_set_asks_rarely<C: SizeClasses>() {
    let heap = heap::<C>(64 * MIB);
    let mut live = Vec::new();
    let mut state = 1_u64;
    for step in 0..1_000_000_usize {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let size = 1 + (state >> 33) as usize % 1024;
        let block = heap.kmalloc(size, Flags::empty()).unwrap();
        if live.len() < 1000 {
            live.push(block);
        } else {
            let old = std::mem::replace(&mut live[step % 1000], block);
            // SAFETY: the block is in use.
            unsafe { heap.kfree(old).unwrap() };
        }
    }
    let calls = heap.source().usage().calls;
    assert!(calls <= 50, "{calls} calls");
}

fn a_swing_by_one_block_asks_nothing<C: SizeClasses>() {
    let heap = heap::<C>(1 << 30);
    let blocks: Vec<_> = (0..10_000)
        .map(|_| heap.kmalloc(4096, Flags::empty()).unwrap())
        .collect();
    let calls = heap.source().usage().calls;
    for size in [16, 4096, 16384, 20000, 65536, 400_000, MIB] {
        for _ in 0..1000 {
            let block = heap.kmalloc(size, Flags::empty()).unwrap();
            // SAFETY: the block is in use.
            unsafe { heap.kfree(block).unwrap() };
        }
    }
    let swung = heap.source().usage().calls - calls;
    assert!(swung <= 6, "{swung} calls");
    for block in blocks {
        // SAFETY: the block is in use.
        unsafe { heap.kfree(block).unwrap() };
    }
    heap.audit().unwrap();
    let left = heap.source().usage().mapped;
    assert!(
        left <= 12 * MIB,
        "empty buckets did not go back: {left} bytes"
    );
    heap.trim();
    assert_eq!(heap.source().usage().mapped, 0);
}

fn what_one_class_frees_serves_another<C: SizeClasses>() {
    let heap = heap::<C>(20 * MIB);
    for size in [64, 1024, 16, 16384, 4096, 100_000, 64] {
        let blocks: Vec<_> = (0..12 * MIB / size)
            .map(|_| heap.kmalloc(size, Flags::empty()).unwrap())
            .collect();
        for block in blocks {
            // SAFETY: the block is in use.
            unsafe { heap.kfree(block).unwrap() };
        }
    }
}

fn pointers_that_are_none_are_refused<C: SizeClasses>() {
    let heap = heap::<C>(64 * MIB);
    let on_stack = 0_u64;
    let small = heap.kmalloc(64, Flags::empty()).unwrap();
    let run = heap.kmalloc(100_000, Flags::empty()).unwrap();
    let large = heap.kmalloc(MIB, Flags::empty()).unwrap();
    // SAFETY: the refused pointers lie in open segments or outside the resident region.
    unsafe {
        for offset in 1..64 {
            assert!(matches!(
                heap.kfree(small.add(offset)),
                Err(Error::BadPointer { .. })
            ));
        }
        assert!(matches!(
            heap.kfree(run.add(4096)),
            Err(Error::BadPointer { .. })
        ));
        assert!(matches!(
            heap.kfree(run.add(16)),
            Err(Error::BadPointer { .. })
        ));
        assert!(matches!(
            heap.kfree(large.add(4096)),
            Err(Error::BadPointer { .. })
        ));
        assert!(matches!(
            heap.kfree(NonNull::from(&on_stack).cast()),
            Err(Error::BadPointer { .. })
        ));
        assert!(matches!(
            heap.kmalloc_aligned(8, 3, Flags::empty()),
            Err(Error::BadAlignment { .. })
        ));
        for block in [small, run, large] {
            heap.kfree(block).unwrap();
        }
    }
    heap.audit().unwrap();
}

fn a_limit_is_used_to_the_last_page_and_freeing_restores_it<C: SizeClasses>() {
    for size in [16, 1000, 16384, 60_000, MIB] {
        let heap = heap::<C>(8 * MIB);
        let mut blocks = Vec::new();
        while let Ok(block) = heap.kmalloc(size, Flags::empty()) {
            blocks.push(block);
        }
        heap.audit().unwrap();
        let count = blocks.len();
        let usable = count
            * size
                .next_power_of_two()
                .min(size.next_multiple_of(4096).max(16));
        assert!(usable * 100 >= 8 * MIB * 87, "{count} blocks of {size}");
        for block in blocks.drain(..) {
            // SAFETY: the block is in use.
            unsafe { heap.kfree(block).unwrap() };
        }
        while let Ok(block) = heap.kmalloc(size, Flags::empty()) {
            blocks.push(block);
        }
        assert_eq!(blocks.len(), count);
    }
}
