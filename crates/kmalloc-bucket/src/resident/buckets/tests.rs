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
