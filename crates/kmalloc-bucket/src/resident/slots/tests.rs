// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::size_class::{CLASS_COUNT, SizeClass};

#[test]
fn slots_and_size_classes_agree() {
    for align_bits in 0..=14 {
        let align = 1 << align_bits;
        for size in 1..=BLOCK_SIZE_MAX {
            let mask = mask_of(size, align);
            let class = SizeClass::of(size, align).unwrap();
            assert!(mask <= BUCKET_MASK_MAX);
            assert_eq!(slot_of(mask), class.index() + BUCKET_SLOT_MIN);
            assert_eq!(block_size(slot_of(mask)), class.block_size());
        }
    }
    assert_eq!(BUCKET_SLOT_MIN + CLASS_COUNT - 1, BUCKET_SLOT_MAX);
}

#[test]
fn requests_above_the_largest_block_have_slots_above_the_buckets() {
    for (size, align) in [
        (BLOCK_SIZE_MAX + 1, 1),
        (1, 2 * BLOCK_SIZE_MAX),
        (usize::MAX, 1),
        (0, 1),
    ] {
        let mask = mask_of(size, align);
        assert!(mask > BUCKET_MASK_MAX);
        assert!((BUCKET_SLOT_MAX + 1..SLOT_COUNT).contains(&slot_of(mask)));
        assert_eq!(slot_of(mask), slot_above_buckets(mask));
    }
}
