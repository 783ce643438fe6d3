// SPDX-License-Identifier: BSD-2-Clause
//! The kernel as QEMU's `-kernel` takes it: QEMU's multiboot loader reads ELF32 only, so the same segments are written
//! anew behind ELF32 headers.
use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

#[cfg(test)]
mod tests;

const ENDIAN: Endianness = Endianness::Little;
const HEADER_BYTES: u32 = 52;
const PROGRAM_HEADER_BYTES: u32 = 32;
/// The loader looks for the multiboot header only so far.
const MULTIBOOT_HEADER_END: usize = 8192;
const MULTIBOOT_MAGIC: [u8; 4] = 0x1bad_b002_u32.to_le_bytes();

/// The ELF32 file with the segments of the ELF64 file `kernel`.
///
/// # Errors
///
/// If `kernel` is no ELF64 file that multiboot can load below 4 GiB.
pub fn to_elf32(kernel: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(kernel).context("not an ELF64 file")?;
    let entry = u32::try_from(header.e_entry(ENDIAN)).context("its entry is above 4 GiB")?;
    let all = header
        .program_headers(ENDIAN, kernel)
        .context("its program headers")?;
    let segments: Vec<_> = all
        .iter()
        .filter(|segment| segment.p_type(ENDIAN) == PT_LOAD)
        .collect();
    ensure!(!segments.is_empty(), "it has no segment to load");

    let count = u16::try_from(segments.len())?;
    let mut file = elf32_header(entry, count);
    let mut offset = HEADER_BYTES + PROGRAM_HEADER_BYTES * u32::from(count);
    let mut contents = Vec::new();
    for segment in segments {
        let bytes = segment
            .data(ENDIAN, kernel)
            .ok()
            .context("a segment lies outside the file")?;
        let length = u32::try_from(bytes.len())?;
        let physical =
            u32::try_from(segment.p_paddr(ENDIAN)).context("a segment is loaded above 4 GiB")?;
        for field in [
            PT_LOAD.0,
            offset,
            // Only the physical address counts before the kernel has made its own mappings.
            segment.p_vaddr(ENDIAN) as u32,
            physical,
            length,
            u32::try_from(segment.p_memsz(ENDIAN)).context("a segment is larger than 4 GiB")?,
            segment.p_flags(ENDIAN).0,
            1,
        ] {
            file.extend_from_slice(&field.to_le_bytes());
        }
        contents.extend_from_slice(bytes);
        offset = offset
            .checked_add(length)
            .context("it is larger than 4 GiB")?;
    }
    file.append(&mut contents);
    let head = &file[..file.len().min(MULTIBOOT_HEADER_END)];
    ensure!(
        head.windows(4).any(|word| word == MULTIBOOT_MAGIC),
        "it has no multiboot header in its first {MULTIBOOT_HEADER_END} bytes"
    );
    Ok(file)
}

fn elf32_header(entry: u32, count: u16) -> Vec<u8> {
    // Class 32 bits, little-endian, version 1; then padding.
    let mut header = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halfwords = |header: &mut Vec<u8>, fields: &[u16]| {
        fields
            .iter()
            .for_each(|field| header.extend_from_slice(&field.to_le_bytes()));
    };
    let words = |header: &mut Vec<u8>, fields: &[u32]| {
        fields
            .iter()
            .for_each(|field| header.extend_from_slice(&field.to_le_bytes()));
    };
    let (executable, i386) = (2, 3);
    halfwords(&mut header, &[executable, i386]);
    // Version, entry, program headers right behind, no sections, no flags.
    words(&mut header, &[1, entry, HEADER_BYTES, 0, 0]);
    halfwords(
        &mut header,
        &[
            HEADER_BYTES as u16,
            PROGRAM_HEADER_BYTES as u16,
            count,
            0,
            0,
            0,
        ],
    );
    header
}
