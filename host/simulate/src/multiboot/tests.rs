// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::elf::fixture::{EXECUTE, READ, Segment, elf64, load};

fn word(file: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap())
}

fn boot_segment() -> Segment {
    load(
        READ | EXECUTE,
        0x10_0000,
        &[&MULTIBOOT_MAGIC[..], &[5; 28]].concat(),
    )
}

#[test]
fn segments_keep_bytes_and_physical_addresses() {
    let high = Segment {
        memory_bytes: 0x9000,
        ..load(READ | EXECUTE, 0xffff_ffff_8010_2000, b"kernel proper")
    };
    let file = to_elf32(&elf64(0x10_0004, &[boot_segment(), high], &[])).unwrap();
    assert_eq!(&file[..7], b"\x7fELF\x01\x01\x01");
    assert_eq!((word(&file, 24), word(&file, 28)), (0x10_0004, 52));
    assert_eq!(u16::from_le_bytes([file[44], file[45]]), 2);
    let second = 52 + 32;
    let offset = word(&file, second + 4) as usize;
    assert_eq!(word(&file, second + 8), 0x8010_2000);
    assert_eq!(word(&file, second + 12), 0x8010_2000);
    assert_eq!(
        (word(&file, second + 16), word(&file, second + 20)),
        (13, 0x9000)
    );
    assert_eq!(&file[offset..], b"kernel proper");
    assert_eq!(word(&file, 52 + 4) as usize, 52 + 64);
}

#[test]
fn what_multiboot_cannot_load_is_refused() {
    let refusal = |file: &[u8]| format!("{:#}", to_elf32(file).unwrap_err());
    assert!(refusal(b"").contains("not an ELF64 file"));
    assert!(refusal(&elf64(0, &[], &[])).contains("no segment"));
    let silent = load(READ, 0x10_0000, &[0; 64]);
    assert!(refusal(&elf64(0, &[silent], &[])).contains("multiboot header"));
    assert!(refusal(&elf64(1 << 32, &[boot_segment()], &[])).contains("entry"));
    let file = elf64(0, &[boot_segment()], &[]);
    assert!(refusal(&file[..130]).contains("outside the file"));
}
