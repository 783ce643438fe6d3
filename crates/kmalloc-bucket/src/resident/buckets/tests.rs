// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::resident::slots::{PowersOfTwo, QuarterOctaves, SizeClasses};

fn each_bucket(mut check: impl FnMut(&Bucket)) {
    for geometry in [QuarterOctaves::GEOMETRY, PowersOfTwo::GEOMETRY] {
        (0..geometry.slots()).for_each(|slot| check(geometry.bucket(slot)));
    }
}

#[test]
fn little_of_a_bucket_is_lost_behind_its_blocks() {
    each_bucket(|bucket| {
        let lost = bucket.pages * PAGE_SIZE - bucket.blocks * bucket.block_size;
        assert!(lost * 100 <= 7 * bucket.pages * PAGE_SIZE, "{bucket:?}");
        assert!(lost < bucket.block_size && bucket.blocks >= 1);
    });
}

#[test]
fn blocks_are_aligned_as_their_size_allows() {
    each_bucket(|bucket| {
        let start = bucket.align * PAGE_SIZE;
        let align = 1 << bucket.block_size.trailing_zeros();
        for block in 0..bucket.blocks {
            assert!((start + block * bucket.block_size).is_multiple_of(align));
        }
    });
}

#[test]
fn only_the_start_of_a_block_is_one() {
    each_bucket(|bucket| {
        // An interpreter looks at some.
        let step = if cfg!(miri) { 97 } else { 1 };
        for offset in (0..bucket.pages * PAGE_SIZE).step_by(step) {
            let inside = offset < bucket.blocks * bucket.block_size;
            let expected = inside && offset.is_multiple_of(bucket.block_size);
            assert_eq!(bucket.is_start(offset), expected, "{offset} {bucket:?}");
        }
    });
}

#[test]
fn a_bucket_of_the_largest_blocks_is_one_block() {
    for geometry in [QuarterOctaves::GEOMETRY, PowersOfTwo::GEOMETRY] {
        let bucket = geometry.bucket(geometry.largest());
        assert_eq!((bucket.blocks, bucket.block_size), (1, BLOCK_SIZE_MAX));
        assert_eq!(bucket.pages * PAGE_SIZE, BLOCK_SIZE_MAX);
    }
}

/// Pages of each bucket, those of the smallest blocks first.
fn pages(geometry: &Geometry) -> impl Iterator<Item = usize> {
    (0..geometry.slots()).map(|slot| geometry.bucket(slot).pages)
}

#[test]
fn buckets_are_as_long_as_leaves_least_behind_their_blocks() {
    // Every 16 bytes up to 512.
    let granules = [
        [1, 1, 1, 1, 1, 2, 2, 1],
        [3, 2, 1, 3, 3, 1, 1, 1],
        [1, 1, 3, 4, 1, 2, 1, 3],
        [1, 4, 3, 1, 4, 2, 4, 1],
    ];
    // Four an octave up to 16 KiB.
    let quarters = [
        [3, 3, 2, 1],
        [5, 3, 4, 1],
        [5, 3, 7, 1],
        [5, 3, 7, 2],
        [5, 3, 7, 4],
    ];
    let expected = granules.into_iter().flatten();
    let expected = expected.chain(quarters.into_iter().flatten());
    assert!(pages(QuarterOctaves::GEOMETRY).eq(expected));
    let powers = [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4];
    assert!(pages(PowersOfTwo::GEOMETRY).eq(powers));
}
