// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces: four levels of tables and what is mapped through them.

use kmalloc_server::kernel::{Mapping, Slot, Table};
use kmalloc_server::physical::{Large, Page};
use std::collections::BTreeMap;
use std::ops::Range;

/// An address space, with an ASID.
#[derive(Debug)]
pub struct Space {
    /// A name that no other address space ever has.
    pub(crate) identity: u64,
    /// Its number, which another one may have later.
    pub(crate) asid: u16,
    /// Tables by the address that they begin at.
    tables: BTreeMap<(Table, usize), Page>,
    /// Entries of page tables and page directories by the address that they begin at.
    mapped: BTreeMap<usize, Mapped>,
}

/// What an entry of a table says, and the capability that it was made by. That may be gone: an entry is memory's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapped {
    pub(crate) slot: Slot,
    /// The frame's physical address.
    pub(crate) place: u64,
    /// log2 of its bytes.
    pub(crate) size_bits: u32,
    pub(crate) how: Mapping,
}

/// log2 of the bytes that a table maps.
fn reach_bits(level: Table) -> u32 {
    match level {
        Table::PageTable => 21,
        Table::PageDirectory => 30,
        Table::Pdpt => 39,
        Table::VSpace => 48,
    }
}

/// The addresses that a table of `level` over `address` maps.
pub(crate) fn reach(level: Table, address: usize) -> Range<usize> {
    let size = 1usize << reach_bits(level);
    let start = address / size * size;
    start..start.saturating_add(size)
}

impl Space {
    pub(crate) fn new(identity: u64, asid: u16) -> Space {
        Space {
            identity,
            asid,
            tables: BTreeMap::new(),
            mapped: BTreeMap::new(),
        }
    }

    /// Frames of 4 KiB: address, and the capability that each is mapped by.
    pub fn pages(&self) -> impl Iterator<Item = (usize, Slot)> {
        let slots = self.mapped.iter();
        slots.filter_map(|(address, mapped)| {
            matches!(mapped.slot, Slot::Page(_) | Slot::Copy(_)).then_some((*address, mapped.slot))
        })
    }

    /// Frames of 2 MiB: address and frame.
    pub fn larges(&self) -> impl Iterator<Item = (usize, Large)> {
        let slots = self.mapped.iter();
        slots.filter_map(|(address, mapped)| match mapped.slot {
            Slot::LargeFrame(large) => Some((*address, large)),
            _ => None,
        })
    }

    /// Frames of device memory: address and number.
    pub fn devices(&self) -> impl Iterator<Item = (usize, u32)> {
        let slots = self.mapped.iter();
        slots.filter_map(|(address, mapped)| match mapped.slot {
            Slot::Device(number) => Some((*address, number)),
            _ => None,
        })
    }

    /// Tables: level, first address, object.
    pub fn tables(&self) -> impl Iterator<Item = (Table, usize, Page)> {
        self.tables
            .iter()
            .map(|((level, address), page)| (*level, *address, *page))
    }

    /// Whether anything is mapped at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.mapped.is_empty()
    }

    /// Whether a page or large page is mapped in `range`.
    pub(crate) fn is_mapped_in(&self, range: Range<usize>) -> bool {
        self.mapped.range(range).next().is_some()
    }

    /// The highest table that must stand over `address` before a table of `level` can be hooked in, and does not.
    pub(crate) fn missing_above(&self, level: Table, address: usize) -> Option<Table> {
        [Table::Pdpt, Table::PageDirectory, Table::PageTable]
            .into_iter()
            .filter(|above| *above > level)
            .find(|above| !self.has_table(*above, address))
    }

    /// The highest table that must stand over `address` before a frame can be mapped, and does not.
    pub(crate) fn missing_above_frame(&self, size_bits: u32, address: usize) -> Option<Table> {
        self.missing_above(Table::PageTable, address).or_else(|| {
            let is_missing = size_bits == 12 && !self.has_table(Table::PageTable, address);
            is_missing.then_some(Table::PageTable)
        })
    }

    pub(crate) fn has_table(&self, level: Table, address: usize) -> bool {
        self.tables
            .contains_key(&(level, reach(level, address).start))
    }

    pub(crate) fn insert_table(&mut self, level: Table, address: usize, table: Page) {
        self.tables
            .insert((level, reach(level, address).start), table);
    }

    /// Whether it is this table that stands there.
    pub(crate) fn has_exactly(&self, level: Table, address: usize, table: Page) -> bool {
        self.tables.get(&(level, reach(level, address).start)) == Some(&table)
    }

    /// Unhooks a table, and with it the tables below and what is mapped through them.
    pub(crate) fn remove_table(&mut self, level: Table, address: usize) {
        let range = reach(level, address);
        self.tables
            .retain(|(below, start), _| *below > level || !range.contains(start));
        self.mapped.retain(|start, _| !range.contains(start));
    }

    /// What is mapped at an address, and how far behind its beginning the address is.
    pub(crate) fn at(&self, address: usize) -> Option<(&Mapped, usize)> {
        let (start, mapped) = self.mapped.range(..=address).next_back()?;
        let offset = address - start;
        (offset < 1 << mapped.size_bits).then_some((mapped, offset))
    }

    pub(crate) fn insert(&mut self, address: usize, mapped: Mapped) {
        self.mapped.insert(address, mapped);
    }

    /// Unmaps the frame at `place` if it is mapped at just this address.
    pub(crate) fn remove(&mut self, address: usize, place: u64, size_bits: u32) {
        let is_it = |mapped: &Mapped| mapped.place == place && mapped.size_bits == size_bits;
        if self.mapped.get(&address).is_some_and(is_it) {
            self.mapped.remove(&address);
        }
    }
}
