// SPDX-License-Identifier: BSD-2-Clause
use super::*;

#[test]
fn headers_of_neighbouring_segments_stand_at_every_colour() {
    let offsets = |first: usize| {
        let segments = first..first + HEADER_COLOURS;
        segments.map(|segment| header_offset(segment * SEGMENT_SIZE + 12345))
    };
    for first in [0, 16, 0x8000] {
        let colours = (0..HEADER_COLOURS).map(|colour| colour * HEADER_COLOUR_STEP);
        assert!(offsets(first).eq(colours));
    }
    let last = offsets(0).max().expect("some");
    assert_eq!(last + HEADER_SIZE_MAX, HEADER_PAGES * PAGE_SIZE);
}

#[test]
fn a_page_is_counted_from_its_segments_start() {
    for page in [0, 1, 511] {
        let address = 7 * SEGMENT_SIZE + page * PAGE_SIZE;
        assert_eq!(page_of(address), page);
        assert_eq!(page_of(address + PAGE_SIZE - 1), page);
    }
}
