// SPDX-License-Identifier: BSD-2-Clause
use kmalloc_manifest::System;

use super::*;
use crate::elf::fixture::{EXECUTE, READ, Segment, WRITE, elf64, load};
use crate::manifest;

fn root_task(symbols: &[(&str, u64, u64)]) -> Vec<u8> {
    let data = Segment {
        memory_bytes: 0x5432,
        ..load(READ | WRITE, 0x20_1000, &[7; 32])
    };
    elf64(
        0x20_0000,
        &[load(READ | EXECUTE, 0x20_0000, &[0x90; 64]), data],
        symbols,
    )
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

#[test]
fn the_archive_is_loaded_after_the_image_and_its_place_is_known() {
    let before = root_task(&[("SYSTEM_ARCHIVE", 0x20_1008, 16)]);
    let archive: Vec<u8> = (0..=255).cycle().take(5001).collect();
    let image = attach(&before, &archive).unwrap();
    let elf = Elf::parse(&image).unwrap();

    let segments: Vec<_> = elf.segments().collect();
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[2], (2, 0x20_7000, 5001));
    assert_eq!(image[elf.file_range(0x20_7000, 5001).unwrap()], archive);

    let place = elf.file_range(0x20_1008, 16).unwrap();
    assert_eq!(word(&image[place.start..][..8]), 0x20_7000);
    assert_eq!(word(&image[place.start + 8..][..8]), 5001);
    // The bytes on both sides of the place are as they were.
    assert_eq!(image[place.start - 8..place.start], [7; 8]);
    assert_eq!(image[place.end..place.end + 8], [7; 8]);
    assert_eq!(elf.symbol("SYSTEM_ARCHIVE"), Some((0x20_1008, 16)));
}

#[test]
fn a_root_task_without_a_place_is_refused() {
    for (symbols, reason) in [
        (&[][..], "no symbol SYSTEM_ARCHIVE"),
        (&[("SYSTEM_ARCHIVE", 0x20_1008, 8)], "8 bytes instead of 16"),
        (&[("SYSTEM_ARCHIVE", 0x20_2000, 16)], ".bss"),
    ] {
        let error = attach(&root_task(symbols), b"archive")
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(attach(b"no ELF", b"archive").is_err());
}

#[test]
fn the_archive_holds_what_the_manifest_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.toml");
    std::fs::write(
        &file,
        "[[program]]\nname = \"p\"\nelf = \"p\"\n\
         [[client]]\nname = \"a\"\nprogram = \"p\"\nmemory_limit = \"1M\"\narguments = [\"x\", \"\"]\n\
         [[client]]\nname = \"b\"\nprogram = \"p\"\nmemory_limit = 9\nstart = false\nexpect = \"alive\"\n",
    )
    .unwrap();
    let manifest = manifest::load(&file).unwrap();
    let archive = archive(&manifest, &[b"ELF".to_vec()]).unwrap();
    let system = System::decode(&archive).unwrap();
    assert_eq!(system.program(0).unwrap().elf, b"ELF");
    let clients: Vec<_> = system.clients().collect();
    assert_eq!(clients[0].arguments.iter().collect::<Vec<_>>(), ["x", ""]);
    assert_eq!(clients[0].memory_limit_bytes, 1 << 20);
    assert_eq!(
        (
            clients[1].name,
            clients[1].start,
            clients[1].memory_limit_bytes
        ),
        ("b", false, 9)
    );
    assert_eq!(clients[1].expect, kmalloc_manifest::Expectation::Alive);
}
