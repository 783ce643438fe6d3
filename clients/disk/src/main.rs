// SPDX-License-Identifier: BSD-2-Clause
//! A virtio disk, driven by the crate `virtio-drivers` over `kmalloc_dma`: every byte is read and its SHA-256 compared with
//! the one that the host has, which is the argument; then parts are written, read back, and put back as they were.
#![no_std]
#![no_main]

mod disk;
mod hal;
mod transport;

use client_test::{Outcome, Test, check, check_eq, ok};
use disk::Disk;
use kmalloc::served::DmaMemory;
use sha2::{Digest, Sha256};

kmalloc::main!(main);

const TESTS: &[Test] = &[
    ("every_byte_of_the_disk", every_byte),
    ("what_is_written_is_read_back", written_and_read),
];

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// A disk is this large at the least, so that many requests go round.
const DISK_BYTES_MIN: usize = 8 << 20;

fn main() -> u8 {
    client_test::run(TESTS)
}

fn bytes(memory: &mut DmaMemory) -> &mut [u8] {
    // SAFETY: the memory is this program's, and no request is under way.
    unsafe { core::slice::from_raw_parts_mut(memory.address.as_ptr(), memory.size) }
}

/// Whether a text is these bytes in hexadecimal.
fn is_hexadecimal(text: &str, sum: &[u8]) -> bool {
    text.len() == 2 * sum.len()
        && sum.iter().enumerate().all(|(place, byte)| {
            let digits = text.get(2 * place..2 * place + 2);
            digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) == Some(*byte)
        })
}

fn every_byte() -> Outcome {
    let expected = kmalloc::arguments().next().unwrap_or_default();
    let mut disk = ok!(Disk::start());
    check!(disk.bytes() >= DISK_BYTES_MIN);
    let mut memory = ok!(hal::allocate(PIECE));
    let mut digest = Sha256::new();
    let mut start = 0;
    while start < disk.bytes() {
        let length = PIECE.min(disk.bytes() - start);
        let piece = &mut bytes(&mut memory)[..length];
        ok!(disk.read(start, piece));
        digest.update(&*piece);
        start += length;
    }
    kmalloc::println!("# {} bytes read", disk.bytes());
    drop(disk);
    hal::free(memory.address);
    hal::stop();
    check!(is_hexadecimal(expected, &digest.finalize()));
    Ok(())
}

fn written_and_read() -> Outcome {
    let mut disk = ok!(Disk::start());
    let mut before = ok!(hal::allocate(PIECE));
    let mut memory = ok!(hal::allocate(PIECE));
    let last = (disk.bytes() - PIECE) / 512 * 512;
    for (seed, start) in [0, 512, 3 << 20, last].into_iter().enumerate() {
        ok!(disk.read(start, bytes(&mut before)));
        let value = |place: usize| (place * 13 + place / 512 + seed * 101) as u8;
        for (place, byte) in bytes(&mut memory).iter_mut().enumerate() {
            *byte = value(place);
        }
        ok!(disk.write(start, bytes(&mut memory)));
        bytes(&mut memory).fill(0);
        ok!(disk.read(start, bytes(&mut memory)));
        for (place, byte) in bytes(&mut memory).iter().enumerate() {
            check_eq!((place, *byte), (place, value(place)));
        }
        ok!(disk.write(start, bytes(&mut before)));
        ok!(disk.read(start, bytes(&mut memory)));
        check!(bytes(&mut memory) == bytes(&mut before));
    }
    drop(disk);
    hal::free(before.address);
    hal::free(memory.address);
    hal::stop();
    Ok(())
}
