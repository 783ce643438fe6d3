// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::resident::RUN_PAGES_MAX;

#[test]
fn a_tag_is_read_as_it_was_written() {
    let tags = PageTags::new();
    tags.set_bucket(4, 3, 63);
    tags.set_run(8, RUN_PAGES_MAX);
    assert_eq!(tags.get(3), Tag::Unused);
    for index in 0..3 {
        assert_eq!(tags.get(4 + index), Tag::Bucket { slot: 63, index });
    }
    assert_eq!(tags.get(7), Tag::Unused);
    assert_eq!(
        tags.get(8),
        Tag::Run {
            pages: RUN_PAGES_MAX
        }
    );
    assert_eq!(tags.get(9), Tag::Unused);
    tags.clear(4, 3);
    tags.clear(8, 1);
    assert!((0..SEGMENT_PAGES).all(|page| tags.get(page) == Tag::Unused));
}
