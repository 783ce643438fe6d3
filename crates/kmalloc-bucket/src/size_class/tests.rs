// SPDX-License-Identifier: BSD-2-Clause
use super::*;

#[test]
fn every_size_takes_the_smallest_class_that_fits() {
    for size in 0..=BLOCK_SIZE_MAX {
        let class = SizeClass::of(size, 1).unwrap();
        assert!(class.block_size() >= size);
        if class.index() > 0 {
            assert!(
                class.block_size() / 2 < size,
                "{size} would fit a smaller class"
            );
        }
    }
}

#[test]
fn above_the_largest_block_there_is_no_class() {
    assert_eq!(SizeClass::of(BLOCK_SIZE_MAX + 1, 1), None);
    assert_eq!(SizeClass::of(usize::MAX, 1), None);
    assert_eq!(SizeClass::of(1, BLOCK_SIZE_MAX * 2), None);
}

#[test]
fn alignment_raises_the_class() {
    assert_eq!(SizeClass::of(16, 256).unwrap().block_size(), 256);
    assert_eq!(SizeClass::of(300, 256).unwrap().block_size(), 512);
    assert_eq!(SizeClass::of(0, 1).unwrap().block_size(), BLOCK_SIZE_MIN);
}

#[test]
fn index_and_size_agree() {
    for index in 0..CLASS_COUNT {
        let class = SizeClass::from_index(index).unwrap();
        assert_eq!(class.block_size(), 1 << class.block_size_bits());
        assert_eq!(SizeClass::of(class.block_size(), 1), Some(class));
    }
    assert_eq!(SizeClass::from_index(CLASS_COUNT), None);
}

#[test]
fn every_size_and_alignment_take_the_smallest_class_that_fits_both() {
    for size in 0..=BLOCK_SIZE_MAX {
        for align_bits in 0..=BLOCK_SIZE_MAX.ilog2() {
            let wanted = size.max(1 << align_bits).max(BLOCK_SIZE_MIN);
            let class = SizeClass::of(size, 1 << align_bits).expect("a class");
            assert_eq!(class.block_size(), wanted.next_power_of_two());
        }
    }
}
