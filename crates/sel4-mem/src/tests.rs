// SPDX-License-Identifier: BSD-2-Clause

use super::{compare, copy, copy_overlapping, differ, fill, length};

const ROOM: usize = 64;

fn numbered() -> [u8; ROOM] {
    core::array::from_fn(|index| index as u8)
}

#[test]
fn copies_every_length() {
    for length in 0..ROOM {
        let source = numbered();
        let mut memory = [0xff; ROOM];
        // SAFETY: both are longer than `length`.
        let returned = unsafe { copy(memory.as_mut_ptr(), source.as_ptr(), length) };
        assert_eq!(returned, memory.as_mut_ptr());
        assert_eq!(memory[..length], source[..length]);
        assert!(memory[length..].iter().all(|byte| *byte == 0xff));
    }
}

#[test]
fn copies_over_itself_at_every_distance_and_length() {
    for from in 0..24 {
        for to in 0..24 {
            for length in 0..ROOM - 24 {
                let mut expected = numbered();
                expected.copy_within(from..from + length, to);
                let mut memory = numbered();
                let base = memory.as_mut_ptr();
                // SAFETY: both ranges are inside `memory`.
                let returned = unsafe { copy_overlapping(base.add(to), base.add(from), length) };
                assert_eq!(returned.addr(), base.addr() + to);
                assert_eq!(memory, expected, "{length} bytes from {from} to {to}");
            }
        }
    }
}

#[test]
fn fills_nothing_beside() {
    for start in 0..20 {
        for length in 0..ROOM - 20 {
            let mut expected = numbered();
            expected[start..start + length].fill(0xa5);
            let mut memory = numbered();
            // SAFETY: the range is inside `memory`.
            unsafe { fill(memory.as_mut_ptr().add(start), 0x3a5, length) };
            assert_eq!(memory, expected, "{length} bytes at {start}");
        }
    }
}

#[test]
fn compares_as_slices_do() {
    for length in 0..40 {
        for change in 0..length {
            for byte in [0, 255] {
                let (left, mut right) = (numbered(), numbered());
                right[change] = byte;
                // SAFETY: both are longer than `length`.
                let (order, different) = unsafe {
                    (
                        compare(left.as_ptr(), right.as_ptr(), length),
                        differ(left.as_ptr(), right.as_ptr(), length),
                    )
                };
                let expected = left[..length].cmp(&right[..length]);
                assert_eq!(order.cmp(&0), expected, "{length}: {byte} at {change}");
                assert_eq!(different != 0, expected.is_ne());
            }
        }
    }
}

#[test]
fn finds_the_end_of_a_text() {
    for end in 0..ROOM {
        let mut text = [0xff; ROOM + 1];
        text[end..].fill(0);
        // SAFETY: there is a zero byte in it.
        assert_eq!(unsafe { length(text.as_ptr()) }, end);
    }
}
