// SPDX-License-Identifier: BSD-2-Clause
use super::*;

#[test]
fn address_and_place_are_inverse() {
    for window in Window::ALL {
        for (segment, page) in [(0, 0), (1, 511), (32_767, 3)] {
            let address = address_of(window, page_number(segment, page));
            assert_eq!(Window::of(address), Some(window));
            assert_eq!(place_of(address), (segment, page));
            assert_eq!(place_of(address + 4095), (segment, page));
        }
    }
}

#[test]
fn pages_are_found_aligned_and_lowest_first() {
    let mut segment = Segment::FREE;
    segment.take_pages(0, 3);
    assert_eq!(segment.find_pages(1, 1), Some(3));
    assert_eq!(segment.find_pages(4, 4), Some(4));
    segment.take_pages(8, 1);
    assert_eq!(segment.find_pages(16, 16), Some(16));
    assert_eq!(segment.find_pages(504, 1), None);
    segment.give_pages(0, 3);
    assert_eq!(segment.find_pages(8, 8), Some(0));
    assert_eq!(segment.used, 1);
}

#[test]
fn pages_are_found_as_by_looking_at_each() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        ((state >> 33) as usize) % bound
    };
    for _ in 0..2000 {
        let mut segment = Segment::FREE;
        for _ in 0..below(12) {
            let first = below(SEGMENT_PAGES);
            let count = (1 + below(120)).min(SEGMENT_PAGES - first);
            if (first..first + count).all(|page| segment.is_free(page)) {
                segment.take_pages(first, count);
            }
        }
        let (count, align) = (1 + below(SEGMENT_PAGES), 1 << below(10));
        let starts = (0..SEGMENT_PAGES + 1 - count).step_by(align);
        let fits = |start: &usize| (*start..start + count).all(|page| segment.is_free(page));
        assert_eq!(segment.find_pages(count, align), starts.clone().find(fits));
    }
}

#[test]
fn segments_open_and_close_in_any_order() {
    let mut segments = Segments::new(8);
    let mut head = NONE;
    for segment in [2, 3, 5] {
        segments.open(segment, ClientIndex(1), Window::Served, &mut head);
    }
    assert_eq!(segments.find(3, 1), None, "longest is two");
    assert_eq!(segments.find(2, 1), Some(0));
    segments.close(3, 0, &mut head);
    assert_eq!(head, 5);
    assert_eq!(segments.get(5).unwrap().next, 2);
    segments.close(5, 0, &mut head);
    segments.close(2, 0, &mut head);
    assert_eq!(head, NONE);
    assert_eq!(segments.find(8, 1), Some(0));
}

#[test]
fn a_few_pages_are_found_in_gaps_of_every_length() {
    for (gap, count) in (1..=64).flat_map(|gap| (2..=64).map(move |count| (gap, count))) {
        // A gap and a page that is taken, again and again up to where there is room.
        let mut segment = Segment::FREE;
        let taken = (0..256).skip(gap).step_by(gap + 1);
        let last = taken.inspect(|page| segment.take_pages(*page, 1)).last();
        let expected = if count <= gap {
            Some(0)
        } else {
            last.map(|last| last + 1)
        };
        assert_eq!(segment.find_pages(count, 1), expected, "{count} of {gap}");
    }
}
