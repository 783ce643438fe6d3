// SPDX-License-Identifier: BSD-2-Clause
//! The root task's image: its ELF file with the system's archive in one more segment.
use anyhow::{Context, Result, ensure};
use kmalloc_manifest::{Client, Devices, Program, Settings, Texts, encode};
use object::elf::{PF_R, PT_LOAD};

use crate::elf::Elf;
use crate::manifest::Manifest;

#[cfg(test)]
mod tests;

/// Where the root task looks up its archive: two `u64`, address and length.
const PLACE_SYMBOL: &str = "SYSTEM_ARCHIVE";
const PLACE_BYTES: u64 = 16;
const PAGE_BYTES: u64 = 4096;

/// Bytes of a program header, and where the file header says where they are and how many.
const PROGRAM_HEADER_BYTES: usize = 56;
const PROGRAM_HEADERS_OFFSET_AT: usize = 32;
const PROGRAM_HEADERS_COUNT_AT: usize = 56;

/// The archive of a system. `elfs` has each program's ELF file, in the manifest's order.
///
/// # Errors
///
/// If a list is longer than the archive's format allows.
pub fn archive(manifest: &Manifest, elfs: &[Vec<u8>]) -> Result<Vec<u8>> {
    let programs: Vec<_> = manifest
        .programs
        .iter()
        .zip(elfs)
        .map(|(program, elf)| Program {
            name: &program.name,
            elf,
        })
        .collect();
    let terminate = |texts: &[String]| -> String {
        let terminated = texts.iter().map(|text| format!("{text}\0"));
        terminated.collect()
    };
    let terminated: Vec<[String; 3]> = manifest
        .clients
        .iter()
        .map(|client| [&client.arguments, &client.starts, &client.kills].map(|it| terminate(it)))
        .collect();
    let devices: Vec<Vec<u8>> = manifest
        .clients
        .iter()
        .map(|client| {
            let packed =
                |(vendor, device): &(u16, u16)| [vendor.to_le_bytes(), device.to_le_bytes()];
            client.devices.iter().flat_map(packed).flatten().collect()
        })
        .collect();
    let clients: Result<Vec<_>> = manifest
        .clients
        .iter()
        .zip(&terminated)
        .zip(&devices)
        .map(|((client, [arguments, starts, kills]), devices)| {
            Ok(Client {
                name: &client.name,
                program: u32::try_from(client.program)?,
                arguments: Texts::new(arguments).context("arguments")?,
                priority: client.priority,
                budget: client.budget,
                memory_limit_bytes: client.memory_limit.0,
                memory_reserved_bytes: client.memory_reserved.0,
                slot_limit: client.slot_limit,
                start: client.start,
                service: client.service,
                serves: manifest.endpoint(&client.serves),
                calls: manifest.endpoint(&client.calls),
                movable: client.movable,
                devices: Devices::new(devices).context("devices")?,
                expect: client.expect,
                on_failure: client.on_failure,
                restarts_max: client.restarts_max,
                starts: Texts::new(starts).context("starts")?,
                kills: Texts::new(kills).context("kills")?,
                children_max: client.children_max,
                report: client.report,
                data: &client.data,
            })
        })
        .collect();
    let settings = Settings {
        pressure_mark_bytes: manifest.run.pressure_mark.map(|mark| mark.0),
    };
    encode(settings, &programs, &clients?).context("the system can't be packed")
}

/// `root_task` with `archive` in a read-only segment right after its highest address, and its place patched in.
///
/// The file keeps its layout: the segment's bytes and the longer table of program headers are added at its end, so
/// symbols stay where debuggers look for them.
///
/// # Errors
///
/// If `root_task` is no root task: no static ELF file for x86-64, or without the symbol for the place.
pub fn attach(root_task: &[u8], archive: &[u8]) -> Result<Vec<u8>> {
    let elf = Elf::parse(root_task).context("the root task can't be loaded")?;
    let (place, place_bytes) = elf
        .symbol(PLACE_SYMBOL)
        .with_context(|| format!("the root task has no symbol {PLACE_SYMBOL}"))?;
    ensure!(
        place_bytes == PLACE_BYTES,
        "the root task's {PLACE_SYMBOL} has {place_bytes} bytes instead of {PLACE_BYTES}"
    );
    let place = elf.file_range(place, PLACE_BYTES).with_context(|| {
        format!(
            "the root task's {PLACE_SYMBOL} is not in the file: it must be in .data, not in .bss"
        )
    })?;
    let ends = elf
        .segments()
        .map(|(_, start, bytes)| start.saturating_add(bytes));
    let address = ends.max().unwrap_or_default().next_multiple_of(PAGE_BYTES);
    let length = archive.len() as u64;

    let mut image = root_task.to_vec();
    // Offset and address of a segment are equal modulo the page size.
    image.resize(image.len().next_multiple_of(PAGE_BYTES as usize), 0);
    let offset = image.len() as u64;
    image.extend_from_slice(archive);
    image.resize(image.len().next_multiple_of(8), 0);

    let headers_offset = image.len() as u64;
    let headers = elf.program_header_bytes();
    let count = u16::try_from(headers.len() / PROGRAM_HEADER_BYTES + 1)?;
    image.extend_from_slice(headers);
    image.extend_from_slice(&segment_header(offset, address, length));
    put(
        &mut image,
        PROGRAM_HEADERS_OFFSET_AT,
        &headers_offset.to_le_bytes(),
    );
    put(&mut image, PROGRAM_HEADERS_COUNT_AT, &count.to_le_bytes());
    put(&mut image, place.start, &address.to_le_bytes());
    put(&mut image, place.start + 8, &length.to_le_bytes());
    Ok(image)
}

fn segment_header(offset: u64, address: u64, length: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(PROGRAM_HEADER_BYTES);
    header.extend_from_slice(&PT_LOAD.0.to_le_bytes());
    header.extend_from_slice(&PF_R.0.to_le_bytes());
    // Physical address as virtual; as many bytes in memory as in the file.
    for field in [offset, address, address, length, length, PAGE_BYTES] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    header
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}
