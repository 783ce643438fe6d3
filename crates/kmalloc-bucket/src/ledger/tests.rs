// SPDX-License-Identifier: BSD-2-Clause
use super::*;

const OWNER: u16 = 7;
const OTHER: u16 = 8;

/// A new bucket of each class whose blocks share a page.
fn buckets() -> impl Iterator<Item = (SizeClass, Entry)> {
    let classes = (0..8).filter_map(SizeClass::from_index);
    classes.map(|class| (class, Entry::bucket(class, 99, OWNER)))
}

#[test]
fn a_new_bucket_has_all_blocks_of_its_page_free_and_is_in_no_list() {
    for (class, entry) in buckets() {
        let count = PAGE_SIZE / class.block_size();
        assert_eq!(entry.usage, Use::Bucket);
        assert_eq!((entry.page, entry.owner), (99, OWNER));
        assert_eq!((entry.next, entry.previous), (NONE, NONE));
        assert_eq!(usize::from(entry.free_count), count);
        assert_eq!(entry.length as usize, count);
        assert_eq!(usize::from(entry.block_count()), count);
        assert_eq!(1 << entry.block_size_bits(), class.block_size());
        for block in 0..256 {
            assert_eq!(entry.is_free(block), block < count, "{class:?} {block}");
        }
    }
}

#[test]
fn every_block_is_taken_once_the_lowest_first() {
    for (class, mut entry) in buckets() {
        let count = PAGE_SIZE / class.block_size();
        for block in 0..count {
            assert_eq!(entry.take_block(), Some(block));
            assert!(!entry.is_free(block));
            assert_eq!(usize::from(entry.free_count), count - block - 1);
        }
        assert_eq!(entry.take_block(), None);
        assert_eq!(entry.free_count, 0);
    }
}

#[test]
fn a_block_is_given_back_once_by_its_owner_at_its_start() {
    for (class, mut entry) in buckets() {
        let size = class.block_size();
        let count = PAGE_SIZE / size;
        while entry.take_block().is_some() {}
        for block in (0..count).rev() {
            let offset = block * size;
            assert_eq!(entry.give_block_at(OTHER, offset), None);
            assert_eq!(entry.give_block_at(OWNER, offset + 1), None);
            assert_eq!(entry.give_block_at(OWNER, offset + size / 2), None);
            assert_eq!(entry.give_block_at(OWNER, offset), Some(size as u64));
            assert_eq!(entry.give_block_at(OWNER, offset), None);
            assert!(entry.is_free(block));
            let free = count - block;
            assert_eq!(usize::from(entry.free_count), free);
            assert_eq!(entry.is_refilled_or_empty(), free == 1 || free == count);
        }
        entry.usage = Use::Head;
        entry.take_block();
        assert_eq!(entry.give_block_at(OWNER, 0), None);
    }
}

#[test]
fn a_page_that_is_free_knows_what_it_was() {
    let class = SizeClass::from_index(5).expect("a class");
    let mut entry = Entry::bucket(class, 99, OWNER);
    entry.retire();
    assert_eq!((entry.usage, entry.history), (Use::Free, Use::Bucket));
    assert_eq!(usize::from(entry.class), class.index());
    assert_eq!((entry.page, entry.free_count), (0, 0));
    // As the inside of a run it still knows, until it is free again.
    entry.become_tail(5);
    assert_eq!((entry.usage, entry.page), (Use::Tail, 5));
    entry.retire();
    assert_eq!((entry.usage, entry.history), (Use::Free, Use::Tail));
    assert_eq!(entry.page, 0);
}
