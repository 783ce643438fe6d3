// SPDX-License-Identifier: BSD-2-Clause
use alloc::alloc::{Layout, alloc, dealloc, realloc};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use client_test::{Outcome, check, check_eq};

pub fn box_vec_string_btree() -> Outcome {
    let boxed = Box::new([7u64; 100]);
    let mut texts: Vec<String> = (0..1000).map(|number| format!("number {number}")).collect();
    let map: BTreeMap<usize, Vec<u8>> = (0..500)
        .map(|key| (key * 7 % 500, vec![key as u8; key]))
        .collect();
    texts.sort();
    check_eq!(boxed.iter().sum::<u64>(), 700);
    check_eq!(texts.first().map(String::as_str), Some("number 0"));
    check_eq!(map.len(), 500);
    for (key, value) in &map {
        check!(
            value
                .iter()
                .all(|byte| usize::from(*byte) == value.len() % 256)
                && value.len() * 7 % 500 == *key
        );
    }
    Ok(())
}

pub fn over_aligned_layouts() -> Outcome {
    for bits in 0..=21 {
        for size in [1usize, 100, 5000, 100_000] {
            let Ok(layout) = Layout::from_size_align(size, 1 << bits) else {
                continue;
            };
            // SAFETY: the size is not 0; the block is used by its layout and freed with it.
            unsafe {
                let block = alloc(layout);
                check!(!block.is_null() && block.addr().is_multiple_of(1 << bits));
                block.write_bytes(0x33, size);
                let block = realloc(block, layout, size * 2);
                check!(!block.is_null() && block.addr().is_multiple_of(1 << bits));
                check_eq!(*block.add(size - 1), 0x33);
                let Ok(grown) = Layout::from_size_align(size * 2, 1 << bits) else {
                    continue;
                };
                dealloc(block, grown);
            }
        }
    }
    Ok(())
}

pub fn vec_grows_to_megabytes() -> Outcome {
    let mut numbers = Vec::new();
    for number in 0u64..1 << 19 {
        numbers.push(number);
    }
    check!(numbers.iter().copied().eq(0..1 << 19));
    numbers.truncate(10);
    numbers.shrink_to_fit();
    check!(numbers.iter().copied().eq(0..10));
    Ok(())
}
