// SPDX-License-Identifier: BSD-2-Clause
//! ELF files made for tests.

/// A segment of a made file: its bytes lie one after another behind the headers.
#[derive(Clone, Debug)]
pub struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub address: u64,
    pub bytes: Vec<u8>,
    pub memory_bytes: u64,
}

pub const LOAD: u32 = 1;
pub const READ: u32 = 4;
pub const WRITE: u32 = 2;
pub const EXECUTE: u32 = 1;

/// A segment to load, as large in memory as in the file.
pub fn load(flags: u32, address: u64, bytes: &[u8]) -> Segment {
    let memory_bytes = bytes.len() as u64;
    Segment {
        kind: LOAD,
        flags,
        address,
        bytes: bytes.to_vec(),
        memory_bytes,
    }
}

/// A static ELF64 file with these segments and symbols (name, address, bytes).
pub fn elf64(entry: u64, segments: &[Segment], symbols: &[(&str, u64, u64)]) -> Vec<u8> {
    let mut contents = Vec::new();
    let mut headers = Vec::new();
    let contents_at = 64 + 56 * segments.len() as u64;
    for segment in segments {
        let offset = contents_at + contents.len() as u64;
        headers.extend_from_slice(&segment.kind.to_le_bytes());
        headers.extend_from_slice(&segment.flags.to_le_bytes());
        let physical = segment.address & 0xffff_ffff;
        let length = segment.bytes.len() as u64;
        for field in [
            offset,
            segment.address,
            physical,
            length,
            segment.memory_bytes,
            1,
        ] {
            headers.extend_from_slice(&field.to_le_bytes());
        }
        contents.extend_from_slice(&segment.bytes);
    }
    let (names, table) = symbol_table(symbols);
    let names_at = contents_at + contents.len() as u64;
    let table_at = names_at + names.len() as u64;
    let sections_at = table_at + table.len() as u64;

    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for field in [entry, 64, sections_at] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(&0_u32.to_le_bytes());
    for field in [64, 56, segments.len() as u16, 64, 3, 1] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend(headers);
    file.extend(contents);
    file.extend_from_slice(&names);
    file.extend_from_slice(&table);
    // No section, the names (of sections too), the symbols.
    file.extend([0; 64]);
    file.extend(section(3, names_at, names.len() as u64, 0, 0));
    file.extend(section(2, table_at, table.len() as u64, 1, 24));
    file
}

fn symbol_table(symbols: &[(&str, u64, u64)]) -> (Vec<u8>, Vec<u8>) {
    let mut names = vec![0];
    let mut table = vec![0; 24];
    for (name, address, bytes) in symbols {
        table.extend_from_slice(&(names.len() as u32).to_le_bytes());
        // A global object in the first section.
        table.extend_from_slice(&[0x11, 0, 1, 0]);
        table.extend_from_slice(&address.to_le_bytes());
        table.extend_from_slice(&bytes.to_le_bytes());
        names.extend_from_slice(name.as_bytes());
        names.push(0);
    }
    (names, table)
}

fn section(kind: u32, offset: u64, bytes: u64, link: u32, entry_bytes: u64) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&0_u32.to_le_bytes());
    header.extend_from_slice(&kind.to_le_bytes());
    for field in [0, 0, offset, bytes] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    header.extend_from_slice(&link.to_le_bytes());
    header.extend_from_slice(&0_u32.to_le_bytes());
    for field in [1, entry_bytes] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    header
}
