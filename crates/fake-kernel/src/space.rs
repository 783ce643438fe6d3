// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces: four levels of tables and what is mapped through them.

use kmalloc_server::kernel::{Slot, Table};
use kmalloc_server::physical::{Large, Page};
use std::collections::BTreeMap;
use std::ops::Range;

/// The end of the addresses that a client can have.
pub(crate) const USER_END: usize = 0x7fff_ffff_f000;

/// An address space, with an ASID.
#[derive(Debug)]
pub struct Space {
    /// A name that no other address space ever has.
    pub(crate) identity: u64,
    /// Tables by the address that they begin at.
    tables: BTreeMap<(Table, usize), Page>,
    pages: BTreeMap<usize, Slot>,
    larges: BTreeMap<usize, Large>,
    devices: BTreeMap<usize, u32>,
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
    start..start + size
}

impl Space {
    pub(crate) fn new(identity: u64) -> Space {
        Space {
            identity,
            tables: BTreeMap::new(),
            pages: BTreeMap::new(),
            larges: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }

    /// Frames of 4 KiB: address, and the capability that each is mapped by.
    pub fn pages(&self) -> impl Iterator<Item = (usize, Slot)> {
        self.pages.iter().map(|(address, slot)| (*address, *slot))
    }

    /// Frames of 2 MiB: address and frame.
    pub fn larges(&self) -> impl Iterator<Item = (usize, Large)> {
        self.larges
            .iter()
            .map(|(address, large)| (*address, *large))
    }

    /// Frames of device memory: address and number.
    pub fn devices(&self) -> impl Iterator<Item = (usize, u32)> {
        self.devices
            .iter()
            .map(|(address, frame)| (*address, *frame))
    }

    /// Tables: level, first address, object.
    pub fn tables(&self) -> impl Iterator<Item = (Table, usize, Page)> {
        self.tables
            .iter()
            .map(|((level, address), page)| (*level, *address, *page))
    }

    /// Whether a page or large page is mapped in `range`.
    pub(crate) fn is_mapped_in(&self, range: Range<usize>) -> bool {
        self.pages.range(range.clone()).next().is_some()
            || self.larges.range(range.clone()).next().is_some()
            || self.devices.range(range).next().is_some()
    }

    /// The highest table that must stand over `address` before a table of `level` can be hooked in, and does not.
    pub(crate) fn missing_above(&self, level: Table, address: usize) -> Option<Table> {
        [Table::Pdpt, Table::PageDirectory, Table::PageTable]
            .into_iter()
            .filter(|above| *above > level)
            .find(|above| !self.has_table(*above, address))
    }

    /// The highest table that must stand over `address` before a page can be mapped, and does not.
    pub(crate) fn missing_above_page(&self, address: usize) -> Option<Table> {
        self.missing_above(Table::PageTable, address)
            .or_else(|| (!self.has_table(Table::PageTable, address)).then_some(Table::PageTable))
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

    /// Unhooks a table, and with it the tables below.
    pub(crate) fn remove_table(&mut self, level: Table, address: usize) {
        let range = reach(level, address);
        self.tables
            .retain(|(below, start), _| *below > level || !range.contains(start));
    }

    pub(crate) fn page_at(&self, address: usize) -> Option<Slot> {
        self.pages.get(&(address >> 12 << 12)).copied()
    }

    pub(crate) fn large_at(&self, address: usize) -> Option<Large> {
        self.larges.get(&(address >> 21 << 21)).copied()
    }

    pub(crate) fn insert_page(&mut self, address: usize, frame: Slot) {
        self.pages.insert(address, frame);
    }

    pub(crate) fn insert_large(&mut self, address: usize, large: Large) {
        self.larges.insert(address, large);
    }

    pub(crate) fn remove_page(&mut self, address: usize) {
        self.pages.remove(&address);
    }

    pub(crate) fn remove_large(&mut self, address: usize) {
        self.larges.remove(&address);
    }

    pub(crate) fn device_at(&self, address: usize) -> Option<u32> {
        self.devices.get(&(address >> 12 << 12)).copied()
    }

    pub(crate) fn insert_device(&mut self, address: usize, number: u32) {
        self.devices.insert(address, number);
    }

    pub(crate) fn remove_device(&mut self, address: usize) {
        self.devices.remove(&address);
    }
}
