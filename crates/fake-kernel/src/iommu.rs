// SPDX-License-Identifier: BSD-2-Clause
//! What PCI functions reach through an IOMMU: an address space for each, of tables and pages, as those of clients.

use crate::FakeKernel;
use crate::capability::{Capability, FrameUse, Kind};
use crate::failure::code;
use crate::memory::Writer;
use crate::view::Fault;
use kmalloc_server::kernel::{Refused, Slot};
use kmalloc_server::pci::{FunctionAddress, command, register};
use kmalloc_server::physical::Page;
use std::collections::BTreeMap;

/// What a function reaches.
#[derive(Debug)]
pub struct IoSpace {
    /// Where the function is.
    pub function: FunctionAddress,
    /// Tables below the highest, by level and the address that they begin at; level 0 is the lowest.
    tables: BTreeMap<(u8, u64), Page>,
    /// Frames by address: the copies that they are mapped by.
    pages: BTreeMap<u64, u32>,
}

/// The address that the table of `level` over `address` begins at.
fn start_of(level: u8, address: u64) -> u64 {
    let bits = 12 + 9 * (u32::from(level) + 1);
    address >> bits << bits
}

impl IoSpace {
    /// Tables: level and first address, and the object.
    pub fn tables(&self) -> impl Iterator<Item = ((u8, u64), Page)> {
        self.tables.iter().map(|(place, table)| (*place, *table))
    }

    /// Frames: address, and the number of the copy that each is mapped by.
    pub fn pages(&self) -> impl Iterator<Item = (u64, u32)> {
        self.pages.iter().map(|(address, copy)| (*address, *copy))
    }

    /// The highest level over `address` that has no table, of those below the highest of all.
    fn missing(&self, levels: u8, address: u64) -> Option<u8> {
        (0..levels - 1).rev().find(|level| {
            !self
                .tables
                .contains_key(&(*level, start_of(*level, address)))
        })
    }
}

impl FakeKernel {
    /// What each function reaches that has an address space, by its number.
    pub fn io_spaces(&self) -> impl Iterator<Item = (u8, &IoSpace)> {
        let spaces = self.machine.io_spaces.iter();
        spaces.map(|(number, space)| (*number, space))
    }

    /// Writes as a function that masters the bus.
    ///
    /// # Errors
    /// Where it reaches nothing; it has written up to there.
    pub fn device_write(
        &mut self,
        function: FunctionAddress,
        address: u64,
        data: &[u8],
    ) -> Result<(), Fault> {
        let mut at = address;
        let mut rest = data;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(4096 - at as usize % 4096));
            let (place, writer) = self.reached(function, at)?;
            self.memory.write(place, writer, piece);
            at += piece.len() as u64;
            rest = behind;
        }
        Ok(())
    }

    /// Where a function's access to `address` ends up, and in whose memory that is.
    fn reached(&self, function: FunctionAddress, address: u64) -> Result<(u64, Writer), Fault> {
        let fault = Fault {
            address: address as usize,
        };
        let device = self.machine.functions.get(&function).ok_or(fault)?;
        if device.word(register::COMMAND) & command::BUS_MASTER == 0 {
            return Err(fault);
        }
        let mut spaces = self.machine.io_spaces.values();
        let space = spaces.find(|space| space.function == function);
        let space = space.ok_or(fault)?;
        let page = address >> 12 << 12;
        let copy = space.pages.get(&page).ok_or(fault)?;
        let copy = self.capability(Slot::Copy(*copy)).ok_or(fault)?;
        let owner = copy.original.and_then(|original| self.writer_of(original));
        Ok((copy.address + address % 4096, owner.ok_or(fault)?))
    }

    /// Whose memory a mapped frame is.
    fn writer_of(&self, frame: Slot) -> Option<Writer> {
        match self.capability(frame)?.kind {
            Kind::Frame {
                usage: FrameUse::Client { space, .. },
                ..
            } => Some(Writer::Space(self.spaces.get(&space)?.identity)),
            _ => None,
        }
    }

    /// Whether a frame is mapped by this capability.
    pub(crate) fn is_mapped(&self, frame: Slot) -> bool {
        matches!(
            self.capability(frame).map(|frame| &frame.kind),
            Some(Kind::Frame { usage, .. }) if *usage != FrameUse::Unmapped
        )
    }

    pub(crate) fn open_space(
        &mut self,
        number: u8,
        function: FunctionAddress,
    ) -> Result<(), Refused> {
        assert!(self.machine.io_levels > 0, "there is no IOMMU");
        let space = IoSpace {
            function,
            tables: BTreeMap::new(),
            pages: BTreeMap::new(),
        };
        let old = self.machine.io_spaces.insert(number, space);
        assert!(old.is_none(), "function {number} has an address space");
        Ok(())
    }

    pub(crate) fn hook_io_table(
        &mut self,
        table: Page,
        number: u8,
        address: u64,
    ) -> Result<(), Refused> {
        let slot = Slot::Page(table);
        let kind = self.capability(slot).map(|table| table.kind.clone());
        if kind != Some(Kind::IoTable { hooked: false }) {
            let reason = format!("{table:?} is {kind:?}");
            return self.refuse("map_io_table", code::INVALID_CAPABILITY, reason);
        }
        let levels = self.machine.io_levels;
        let Some(space) = self.machine.io_spaces.get_mut(&number) else {
            let reason = format!("function {number} has no address space");
            return self.refuse("map_io_table", code::INVALID_CAPABILITY, reason);
        };
        let Some(level) = space.missing(levels, address) else {
            let reason = format!("all tables over {address:#x} are there");
            return self.refuse("map_io_table", code::DELETE_FIRST, reason);
        };
        space
            .tables
            .insert((level, start_of(level, address)), table);
        self.set_hooked(slot, true);
        Ok(())
    }

    /// # Panics
    /// When the table is not hooked in, or something is mapped through it: a kernel would drop that in silence.
    pub(crate) fn unhook_io_table(&mut self, table: Page) {
        let mut spaces = self.machine.io_spaces.values_mut();
        let found = spaces.find_map(|space| {
            let place = *space.tables.iter().find(|(_, known)| **known == table)?.0;
            Some((space, place))
        });
        let Some((space, (level, start))) = found else {
            panic!("{table:?} to be unhooked is in no function's address space");
        };
        let is_under = |address: u64| start_of(level, address) == start;
        assert!(
            !space.pages.keys().any(|address| is_under(*address))
                && !space
                    .tables
                    .keys()
                    .any(|(below, at)| *below < level && is_under(*at)),
            "{table:?} of level {level} goes while something is mapped through it"
        );
        space.tables.remove(&(level, start));
        self.set_hooked(Slot::Page(table), false);
    }

    fn set_hooked(&mut self, slot: Slot, now: bool) {
        if let Some(Capability {
            kind: Kind::IoTable { hooked },
            ..
        }) = self.capabilities.get_mut(slot)
        {
            *hooked = now;
        }
    }

    pub(crate) fn map_for_function(
        &mut self,
        copy: Slot,
        number: u8,
        address: u64,
    ) -> Result<(), Refused> {
        let (
            Slot::Copy(name),
            Some(Kind::Frame {
                size_bits, usage, ..
            }),
        ) = (copy, self.capability(copy).map(|copy| copy.kind.clone()))
        else {
            let reason = format!("{copy:?} is no copy of a frame");
            return self.refuse("map_io_page", code::INVALID_CAPABILITY, reason);
        };
        if size_bits != 12 || usage != FrameUse::Unmapped || !address.is_multiple_of(4096) {
            let reason = format!("{copy:?} of 2^{size_bits} bytes at {address:#x} is {usage:?}");
            return self.refuse("map_io_page", code::INVALID_CAPABILITY, reason);
        }
        let levels = self.machine.io_levels;
        let Some(space) = self.machine.io_spaces.get_mut(&number) else {
            let reason = format!("function {number} has no address space");
            return self.refuse("map_io_page", code::INVALID_CAPABILITY, reason);
        };
        if let Some(level) = space.missing(levels, address) {
            let reason = format!("no table of level {level} over {address:#x}");
            return self.refuse("map_io_page", code::FAILED_LOOKUP, reason);
        }
        if space.pages.contains_key(&address) {
            let reason = format!("function {number} has a page at {address:#x}");
            return self.refuse("map_io_page", code::DELETE_FIRST, reason);
        }
        space.pages.insert(address, name);
        self.set_usage(copy, FrameUse::Function { number, address });
        Ok(())
    }

    /// Takes a frame out of the function's address space that it is mapped in, if it is.
    pub(crate) fn forget_reach(&mut self, slot: Slot) {
        let Some(Kind::Frame {
            usage: FrameUse::Function { number, address },
            ..
        }) = self.capability(slot).map(|frame| frame.kind.clone())
        else {
            return;
        };
        if let Some(space) = self.machine.io_spaces.get_mut(&number) {
            space.pages.remove(&address);
        }
        self.set_usage(slot, FrameUse::Unmapped);
    }
}

#[cfg(test)]
mod tests;
