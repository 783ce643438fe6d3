// SPDX-License-Identifier: BSD-2-Clause
//! The parts of a program that are loaded. The host tool has checked the file; what it can't have checked is refused
//! here all the same.

use kmalloc_server::spawn::Load;
use object::LittleEndian;
use object::elf::{FileHeader64, PF_W, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// Parts of a program at the most.
pub const LOADS_MAX: usize = 8;

/// A program, ready to be mapped.
pub struct Image<'a> {
    /// First instruction.
    pub entry: usize,
    loads: [Load<'a>; LOADS_MAX],
    count: usize,
}

impl<'a> Image<'a> {
    /// The parts of `file`; what is wrong with it otherwise.
    pub fn parse(file: &'a [u8]) -> Result<Image<'a>, &'static str> {
        let header =
            FileHeader64::<LittleEndian>::parse(file).map_err(|_| "it is no ELF64 file")?;
        let endian = LittleEndian;
        let parts = header
            .program_headers(endian, file)
            .map_err(|_| "its program headers lie outside of it")?;
        let empty = Load {
            address: 0,
            data: &[],
            size: 0,
            writable: false,
        };
        let mut image = Image {
            entry: header.e_entry(endian) as usize,
            loads: [empty; LOADS_MAX],
            count: 0,
        };
        for part in parts
            .iter()
            .filter(|part| part.p_type(endian) == PT_LOAD && part.p_memsz(endian) > 0)
        {
            let place = image
                .loads
                .get_mut(image.count)
                .ok_or("it has more than 8 parts")?;
            *place = Load {
                address: part.p_vaddr(endian) as usize,
                data: part
                    .data(endian, file)
                    .map_err(|()| "a part lies outside of the file")?,
                size: part.p_memsz(endian) as usize,
                writable: part.p_flags(endian).contains(PF_W),
            };
            image.count += 1;
        }
        Ok(image)
    }

    /// The parts.
    pub fn loads(&self) -> &[Load<'a>] {
        self.loads.get(..self.count).unwrap_or(&[])
    }
}
