// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::size_class::SizeClass;

/// Checks what every way to divide sizes keeps, and returns how much larger blocks are than requests, in thousandths.
fn check<C: SizeClasses>() -> usize {
    let geometry = C::GEOMETRY;
    let (mut blocks, mut requests) = (0.0, 0.0);
    for align_bits in 0..=14 {
        let align = 1 << align_bits;
        for size in 1..=BLOCK_SIZE_MAX {
            let mask = mask_of(size, align);
            assert!(mask <= BUCKET_MASK_MAX);
            let slot = C::slot_of(mask);
            assert!(slot < geometry.slots());
            let block_size = geometry.bucket(slot).block_size;
            assert!(block_size >= size && block_size.is_multiple_of(align));
            assert!(slot == 0 || geometry.bucket(slot - 1).block_size <= mask);
            if size.is_power_of_two() && size >= align.max(BLOCK_SIZE_MIN) {
                assert_eq!(block_size, size);
            }
            if align == 1 && size > 64 {
                // As many requests in each octave.
                blocks += block_size as f64 / size as f64;
                requests += 1.0;
            }
        }
    }
    (blocks / requests * 1000.0) as usize - 1000
}

#[test]
fn quarter_octaves() {
    let loss = check::<QuarterOctaves>();
    assert!(loss < 130, "{loss}");
}

#[test]
fn powers_of_two_are_the_servers_classes() {
    check::<PowersOfTwo>();
    let geometry = PowersOfTwo::GEOMETRY;
    assert_eq!(geometry.slots(), CLASS_COUNT);
    for size in 1..=BLOCK_SIZE_MAX {
        let class = SizeClass::of(size, 1).unwrap();
        let slot = PowersOfTwo::slot_of(mask_of(size, 1));
        assert_eq!(slot, class.index());
        assert_eq!(geometry.bucket(slot).block_size, class.block_size());
    }
}

#[test]
fn octaves_above_buckets() {
    let first = BLOCK_SIZE_MAX.ilog2() as usize;
    for bits in first..64 {
        assert_eq!(octave_of(1 << bits), bits - first);
        assert_eq!(octave_of((1 << bits) | ((1 << bits) - 1)), bits - first);
    }
    assert_eq!(octave_of(usize::MAX), OCTAVE_COUNT - 1);
}
