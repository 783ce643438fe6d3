// SPDX-License-Identifier: BSD-2-Clause
use super::fixture::{EXECUTE, READ, Segment, WRITE, elf64, load};
use super::*;

fn text() -> Segment {
    load(READ | EXECUTE, 0x40_0000, &[0x90; 100])
}

fn data() -> Segment {
    load(READ | WRITE, 0x40_1000, &[1; 50])
}

fn refusal(entry: u64, segments: &[Segment]) -> ElfError {
    check_client(&elf64(entry, segments, &[])).unwrap_err()
}

#[test]
fn a_program_passes() {
    assert_eq!(
        check_client(&elf64(0x40_0010, &[text(), data()], &[])),
        Ok(())
    );
}

#[test]
fn other_files_are_refused() {
    assert_eq!(check_client(b""), Err(ElfError::NotElf64));
    assert_eq!(check_client(b"#!/bin/sh\necho"), Err(ElfError::NotElf64));
    let mut file = elf64(0x40_0010, &[text()], &[]);
    file[4] = 1;
    assert_eq!(check_client(&file), Err(ElfError::NotElf64));
    let mut file = elf64(0x40_0010, &[text()], &[]);
    file[18] = 0xb7;
    assert_eq!(check_client(&file), Err(ElfError::NotX86));
    let mut file = elf64(0x40_0010, &[text()], &[]);
    file[16] = 3;
    assert_eq!(check_client(&file), Err(ElfError::NotFixed));
}

#[test]
fn every_truncation_of_what_is_loaded_is_refused() {
    let file = elf64(0x40_0010, &[text(), data()], &[]);
    for length in 0..64 + 2 * 56 + 150 {
        assert!(check_client(&file[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn what_needs_a_dynamic_linker_is_refused() {
    for (kind, error) in [
        (2, ElfError::Dynamic),
        (3, ElfError::Dynamic),
        (7, ElfError::ThreadLocal),
    ] {
        let special = Segment { kind, ..data() };
        assert_eq!(refusal(0x40_0010, &[text(), special]), error);
    }
}

#[test]
fn segments_are_checked() {
    assert_eq!(refusal(0x40_0010, &[]), ElfError::NoSegments);
    assert_eq!(
        refusal(0x40_0010, &[Segment { kind: 4, ..text() }]),
        ElfError::NoSegments
    );
    let shrunk = Segment {
        memory_bytes: 10,
        ..data()
    };
    assert_eq!(
        refusal(0x40_0010, &[text(), shrunk]),
        ElfError::LargerThanMemory(1)
    );
    let low = load(READ, 0x3f_f000, &[0; 8]);
    assert_eq!(
        refusal(0x40_0010, &[text(), low]),
        ElfError::OutsideWindow(1, 0x3f_f000, 0x3f_f008)
    );
    let long = Segment {
        memory_bytes: 1 << 36,
        ..data()
    };
    assert!(matches!(
        refusal(0x40_0010, &[text(), long]),
        ElfError::OutsideWindow(1, ..)
    ));
    let endless = Segment {
        memory_bytes: u64::MAX,
        ..data()
    };
    assert!(matches!(
        refusal(0x40_0010, &[text(), endless]),
        ElfError::OutsideWindow(1, ..)
    ));
}

#[test]
fn segments_on_one_page_are_refused() {
    let same_page = load(READ | WRITE, 0x40_0800, &[1; 8]);
    assert_eq!(
        refusal(0x40_0010, &[text(), same_page.clone()]),
        ElfError::Overlap(0, 1)
    );
    assert_eq!(
        refusal(0x40_0010, &[same_page, text()]),
        ElfError::Overlap(0, 1)
    );
    let around = Segment {
        memory_bytes: 0x2000,
        ..text()
    };
    assert_eq!(
        refusal(0x40_0010, &[around, data()]),
        ElfError::Overlap(0, 1)
    );
}

#[test]
fn the_entry_must_be_code() {
    for entry in [0, 0x3f_ffff, 0x40_0064, 0x40_1000, u64::MAX] {
        assert_eq!(refusal(entry, &[text(), data()]), ElfError::Entry(entry));
    }
}

#[test]
fn symbols_and_their_bytes_are_found() {
    let file = elf64(
        0x40_0010,
        &[text(), data()],
        &[("other", 1, 2), ("place", 0x40_1008, 16)],
    );
    let elf = Elf::parse(&file).unwrap();
    assert_eq!(elf.symbol("place"), Some((0x40_1008, 16)));
    assert_eq!(elf.symbol("plac"), None);
    let range = elf.file_range(0x40_1008, 16).unwrap();
    assert_eq!(file[range], [1; 16]);
    assert_eq!(elf.file_range(0x40_1030, 16), None);
    assert_eq!(elf.file_range(0, 1), None);
}
