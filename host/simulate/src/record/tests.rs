// SPDX-License-Identifier: BSD-2-Clause
use super::*;

fn trace(events: &[[u64; 4]], limit: u64) -> (Recording, Vec<String>) {
    let bytes: Vec<u8> = events
        .iter()
        .flatten()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    let recording = Recording::of(&bytes, limit);
    let text = recording.finish("prog x", limit);
    kmalloc_trace::compile(text.as_bytes()).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(String::from)
        .collect();
    (recording, lines)
}

#[test]
fn events_become_lines_with_small_ids() {
    let (recording, lines) = trace(
        &[
            [1, 0x1000, 10, 0],
            [2, 0x2000, 3, 8],
            [3, 0x3000, 90, 0x1000],
            [4, 0x2000, 0, 0],
            [1, 0x1000, 5, 0],
            [3, 0x3000, 100, 0x3000],
        ],
        u64::MAX,
    );
    assert_eq!(
        lines,
        ["a 0 10", "z 1 3 8", "r 0 90", "f 1", "a 1 5", "r 0 100"]
    );
    assert_eq!((recording.operations, recording.strangers), (6, 0));
    let text = recording.finish("prog x", u64::MAX);
    assert!(text.starts_with(
        "# Recorded by `./simulate record` from:\n#   prog x\n# 6 operations; 2 blocks"
    ));
}

#[test]
fn sizes_of_zero_are_written_as_one() {
    let (_, lines) = trace(&[[1, 1, 0, 0], [2, 2, 0, 7], [3, 1, 0, 1]], u64::MAX);
    assert_eq!(lines, ["a 0 1", "z 1 1 7", "r 0 1"]);
}

#[test]
fn blocks_from_before_are_left_out() {
    let events = [
        [4, 0x9000, 0, 0],
        [3, 0x1000, 50, 0x9000],
        [4, 0x1000, 0, 0],
    ];
    let (recording, lines) = trace(&events, u64::MAX);
    assert_eq!(lines, ["a 0 50", "f 0"]);
    assert_eq!(recording.strangers, 2);
}

#[test]
fn an_unseen_free_is_made_up_for() {
    let (_, lines) = trace(
        &[[1, 0x1000, 5, 0], [1, 0x1000, 6, 0], [4, 0x1000, 0, 0]],
        u64::MAX,
    );
    assert_eq!(lines, ["a 0 5", "f 0", "a 1 6", "f 1"]);
    let events = [
        [1, 0x1000, 5, 0],
        [1, 0x2000, 6, 0],
        [3, 0x1000, 7, 0x2000],
        [1, 0x3000, 8, 0],
    ];
    let (_, lines) = trace(&events, u64::MAX);
    assert_eq!(lines, ["a 0 5", "a 1 6", "f 0", "r 1 7", "a 0 8"]);
}

#[test]
fn recording_ends_at_the_limit_or_in_the_middle_of_an_event() {
    let (recording, lines) = trace(&[[1, 1, 1, 0], [1, 2, 1, 0], [1, 3, 1, 0]], 2);
    assert_eq!((recording.operations, lines.len()), (2, 2));
    assert_eq!(Recording::of(&[0; 31], u64::MAX).operations, 0);
}
