// SPDX-License-Identifier: BSD-2-Clause
//! Checks of ELF files, so that a broken program is refused here and not at boot.
use object::elf::{
    ELFDATA2LSB, EM_X86_64, ET_EXEC, FileHeader64, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_TLS,
    ProgramHeader64,
};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, pod};

#[cfg(test)]
pub mod fixture;
#[cfg(test)]
mod tests;

/// Where client programs are linked to.
pub const CLIENT_ADDRESS_MIN: u64 = 0x40_0000;
/// The end of the address window that images may lie in.
pub const CLIENT_ADDRESS_END: u64 = 1 << 36;

/// Why a file can't be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    #[error("not an ELF64 file")]
    NotElf64,
    #[error("not for x86-64")]
    NotX86,
    #[error("not linked to fixed addresses (-static -no-pie)")]
    NotFixed,
    #[error("it asks for a dynamic linker; link it statically (-static -no-pie)")]
    Dynamic,
    #[error("it has thread-local storage, which nothing here sets up")]
    ThreadLocal,
    #[error("it has no segment to load")]
    NoSegments,
    #[error("segment {0} lies outside the file: the file was cut off")]
    OutsideFile(usize),
    #[error("segment {0} has more bytes in the file than in memory")]
    LargerThanMemory(usize),
    #[error("segment {0} lies at {1:#x} to {2:#x}, outside {min:#x} to {end:#x}", min = CLIENT_ADDRESS_MIN, end = CLIENT_ADDRESS_END)]
    OutsideWindow(usize, u64, u64),
    #[error("segments {0} and {1} overlap or share a page")]
    Overlap(usize, usize),
    #[error("the entry {0:#x} is in no executable segment")]
    Entry(u64),
}

/// A file whose headers could be read.
pub struct Elf<'a> {
    header: &'a FileHeader64<Endianness>,
    segments: Vec<(usize, &'a ProgramHeader64<Endianness>)>,
    bytes: &'a [u8],
}

const PAGE_BYTES: u64 = 4096;
const ENDIAN: Endianness = Endianness::Little;

impl<'a> Elf<'a> {
    /// Reads the headers of a program for x86-64 that is linked to fixed addresses.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let header = FileHeader64::<Endianness>::parse(bytes).map_err(|_| ElfError::NotElf64)?;
        if header.e_ident.data != ELFDATA2LSB || header.e_machine(ENDIAN) != EM_X86_64 {
            return Err(ElfError::NotX86);
        }
        if header.e_type(ENDIAN) != ET_EXEC {
            return Err(ElfError::NotFixed);
        }
        let all = header
            .program_headers(ENDIAN, bytes)
            .map_err(|_| ElfError::NotElf64)?;
        for segment in all {
            match segment.p_type(ENDIAN) {
                PT_INTERP | PT_DYNAMIC => return Err(ElfError::Dynamic),
                PT_TLS if segment.p_memsz(ENDIAN) > 0 => return Err(ElfError::ThreadLocal),
                _ => {}
            }
        }
        let loaded = all.iter().enumerate().filter(|(_, segment)| {
            segment.p_type(ENDIAN) == PT_LOAD && segment.p_memsz(ENDIAN) > 0
        });
        let elf = Self {
            header,
            segments: loaded.collect(),
            bytes,
        };
        elf.check_file()?;
        Ok(elf)
    }

    /// Segments to load: index in the file, address, bytes in memory.
    pub fn segments(&self) -> impl Iterator<Item = (usize, u64, u64)> {
        let place = |segment: &ProgramHeader64<Endianness>| {
            (segment.p_vaddr(ENDIAN), segment.p_memsz(ENDIAN))
        };
        self.segments.iter().map(move |(index, segment)| {
            let (address, bytes) = place(segment);
            (*index, address, bytes)
        })
    }

    /// Where in the file the bytes at `address` lie, if `length` of them are there.
    pub fn file_range(&self, address: u64, length: u64) -> Option<std::ops::Range<usize>> {
        self.segments.iter().find_map(|(_, segment)| {
            let skip = address.checked_sub(segment.p_vaddr(ENDIAN))?;
            if skip.checked_add(length)? > segment.p_filesz(ENDIAN) {
                return None;
            }
            let start = usize::try_from(segment.p_offset(ENDIAN) + skip).ok()?;
            Some(start..start + usize::try_from(length).ok()?)
        })
    }

    /// Address and length of a symbol.
    pub fn symbol(&self, name: &str) -> Option<(u64, u64)> {
        let (_, address, length) = self.find_symbol(|found, _, _| found == name)?;
        Some((address, length))
    }

    /// The first symbol whose name, address and length are right, with these.
    pub fn find_symbol(
        &self,
        is_right: impl Fn(&str, u64, u64) -> bool,
    ) -> Option<(&'a str, u64, u64)> {
        use object::read::elf::Sym as _;
        let sections = self.header.sections(ENDIAN, self.bytes).ok()?;
        let symbols = sections
            .symbols(ENDIAN, self.bytes, object::elf::SHT_SYMTAB)
            .ok()?;
        symbols.iter().find_map(|symbol| {
            let name = str::from_utf8(symbols.symbol_name(ENDIAN, symbol).ok()?).ok()?;
            let (address, length) = (symbol.st_value(ENDIAN), symbol.st_size(ENDIAN));
            is_right(name, address, length).then_some((name, address, length))
        })
    }

    /// The `length` bytes at `address`, if the file has them.
    pub fn bytes_at(&self, address: u64, length: u64) -> Option<&'a [u8]> {
        self.bytes.get(self.file_range(address, length)?)
    }

    /// The name of the function that `address` is in.
    pub fn function_at(&self, address: u64) -> Option<&'a str> {
        let holds = |_: &str, start, length| {
            let inside = address.checked_sub(start);
            inside.is_some_and(|inside| inside < length)
        };
        Some(self.find_symbol(holds)?.0)
    }

    /// The program headers as they lie in the file.
    pub fn program_header_bytes(&self) -> &'a [u8] {
        let headers = self.header.program_headers(ENDIAN, self.bytes);
        pod::bytes_of_slice(headers.unwrap_or_default())
    }

    fn check_file(&self) -> Result<(), ElfError> {
        if self.segments.is_empty() {
            return Err(ElfError::NoSegments);
        }
        for (index, segment) in &self.segments {
            if segment.data(ENDIAN, self.bytes).is_err() {
                return Err(ElfError::OutsideFile(*index));
            }
            if segment.p_filesz(ENDIAN) > segment.p_memsz(ENDIAN) {
                return Err(ElfError::LargerThanMemory(*index));
            }
        }
        Ok(())
    }
}

/// Checks that the root task can load `bytes` as a client program.
///
/// # Errors
///
/// The first reason why it can't.
pub fn check_client(bytes: &[u8]) -> Result<(), ElfError> {
    let elf = Elf::parse(bytes)?;
    let mut ranges = Vec::new();
    for (index, start, length) in elf.segments() {
        let end = start.saturating_add(length);
        if start < CLIENT_ADDRESS_MIN || end > CLIENT_ADDRESS_END {
            return Err(ElfError::OutsideWindow(index, start, end));
        }
        // Pages have one set of rights, so two segments can't share one.
        ranges.push((start / PAGE_BYTES, end.div_ceil(PAGE_BYTES), index));
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let [(_, end, first), (start, _, second)] = pair else {
            continue;
        };
        if start < end {
            return Err(ElfError::Overlap(*first, *second));
        }
    }
    let entry = elf.header.e_entry(ENDIAN);
    let holds_entry = |segment: &ProgramHeader64<Endianness>| {
        let offset = entry.checked_sub(segment.p_vaddr(ENDIAN));
        segment.p_flags(ENDIAN).0 & PF_X.0 != 0
            && offset.is_some_and(|offset| offset < segment.p_filesz(ENDIAN))
    };
    if !elf.segments.iter().any(|(_, segment)| holds_entry(segment)) {
        return Err(ElfError::Entry(entry));
    }
    Ok(())
}
