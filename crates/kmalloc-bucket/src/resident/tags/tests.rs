// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::resident::RUN_PAGES_MAX;

#[test]
fn a_tag_is_read_as_it_was_written() {
    let tags = PageTags::new();
    tags.set_bucket(4, 13);
    tags.set_run(8, RUN_PAGES_MAX);
    assert_eq!(tags.get(3), Tag::Unused);
    for page in 4..8 {
        assert_eq!(tags.get(page), Tag::Bucket { slot: 13 });
    }
    assert_eq!(
        tags.get(8),
        Tag::Run {
            pages: RUN_PAGES_MAX
        }
    );
    assert_eq!(tags.get(9), Tag::Unused);
    tags.clear_bucket(4);
    tags.clear_run(8);
    assert!((0..SEGMENT_PAGES).all(|page| tags.get(page) == Tag::Unused));
}
