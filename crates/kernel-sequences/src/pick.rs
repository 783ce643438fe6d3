// SPDX-License-Identifier: BSD-2-Clause
//! What operations are about: slots, objects, addresses.

use crate::arena::{self, LARGES, OBJECTS, PAGES, SLOTS};
use crate::belief::Held;
use crate::generator::Generator;
use crate::{Release, recipes};
use kmalloc_protocol::Cache;
use kmalloc_server::kernel::{Mapping, Object, Slot, Table};
use kmalloc_server::physical::{Chunk, Large, Page};

/// Pages that most operations are about, so that they meet.
pub(crate) const BUSY_PAGES: usize = 6 * 16;

impl Generator {
    /// A page, mostly one that others are about too; never one that the ledgers may have.
    pub(crate) fn page(&mut self) -> Page {
        let end = if self.random.one_in(16) {
            PAGES - recipes::LEDGER_PAGES
        } else {
            BUSY_PAGES
        };
        Page(self.random.below(end) as u32)
    }

    pub(crate) fn slot(&mut self) -> Slot {
        match self.random.below(12) {
            0 => Slot::Chunk(Chunk(self.random.below(8) as u32)),
            1 => Slot::LargeFrame(Large(self.random.below(LARGES) as u32)),
            2 => arena::slot(
                arena::CLIENT_NUMBERS.start + self.random.below(arena::CLIENT_NUMBERS.len()),
            ),
            3..=4 => self.copy_slot(),
            _ => Slot::Page(self.page()),
        }
    }

    pub(crate) fn copy_slot(&mut self) -> Slot {
        let [first, last] = arena::COPIES;
        Slot::Copy(if self.random.one_in(8) {
            last.start + self.random.below(last.len())
        } else {
            first.start + self.random.below(first.len())
        } as u32)
    }

    /// A slot that holds what is wanted, if there is one, or now and then any.
    pub(crate) fn slot_with(&mut self, wanted: impl Fn(Held) -> bool) -> Slot {
        let any = self.slot();
        if self.random.one_in(24) {
            return any;
        }
        let from = match self.random.below(4) {
            0 => self.random.below(SLOTS),
            1 => arena::CLIENT_NUMBERS.end + self.random.below(SLOTS - arena::CLIENT_NUMBERS.end),
            _ => arena::PAGE_NUMBERS.start + self.random.below(BUSY_PAGES),
        };
        match self.belief.find(from, wanted) {
            Some(found) if !recipes::is_reserved(self, found) => found,
            _ => any,
        }
    }

    /// A slot that can be invoked.
    pub(crate) fn invocable(&mut self) -> Slot {
        let slot = self.slot_with(|held| matches!(held, Held::Frame { .. }));
        self.unless_messages(slot)
    }

    /// An empty slot instead of what is not to be invoked.
    pub(crate) fn unless_messages(&self, slot: Slot) -> Slot {
        match self.belief.held(slot) {
            Held::Messages => Slot::Scratch,
            _ => slot,
        }
    }

    pub(crate) fn frame(&mut self) -> Slot {
        self.slot_with(|held| matches!(held, Held::Frame { .. }))
    }

    pub(crate) fn frame_page(&mut self) -> Page {
        match self.slot_with(|held| {
            matches!(
                held,
                Held::Frame {
                    is_large: false,
                    mapped: None,
                    ..
                }
            )
        }) {
            Slot::Page(page) => page,
            _ => self.page(),
        }
    }

    pub(crate) fn table(&mut self) -> Page {
        let root_too = self.random.one_in(6);
        let wanted = |held| match held {
            Held::Table { level, .. } => level != Table::VSpace || root_too,
            _ => false,
        };
        match self.slot_with(wanted) {
            Slot::Page(page) => page,
            _ => self.page(),
        }
    }

    pub(crate) fn root(&mut self) -> Page {
        let level = Table::VSpace;
        let is_hooked = self.random.one_in(4);
        match self.slot_with(|held| held == Held::Table { level, is_hooked }) {
            Slot::Page(page) => page,
            _ => self.page(),
        }
    }

    pub(crate) fn space(&mut self) -> Page {
        let wanted = |held| {
            held == Held::Table {
                level: Table::VSpace,
                is_hooked: true,
            }
        };
        match self.slot_with(wanted) {
            Slot::Page(page) => page,
            _ => self.page(),
        }
    }

    /// An address: few, at the edges of tables and of what clients may have, so that mappings meet.
    pub(crate) fn address(&mut self) -> usize {
        if self.random.one_in(24) {
            return self.random.of([
                0,
                0x7fff_ffff_e000,
                0x7fff_ffff_f000,
                0x7fff_ffe0_0000,
                0xffff_ff7f_ffff_f000,
                0xffff_ff80_0000_0000,
                0xffff_ff80_0020_0000,
            ]);
        }
        let base = self.random.of([
            recipes::HERE,
            recipes::HERE,
            recipes::HERE,
            recipes::HERE + (1 << 21),
            recipes::HERE + (1 << 30),
            0x7fff_ffe0_0000,
            0xffff_8000_0000_0000,
        ]);
        let page = self.random.of([0, 0, 0, 1, 2, 511]) << 12;
        let skewed = if self.random.one_in(24) { 8 } else { 0 };
        base + page + skewed
    }

    pub(crate) fn object(&mut self) -> Object {
        match self.random.below(16) {
            0..=4 => Object::Frame,
            5 => Object::LargeFrame,
            6..=9 => Object::Table(self.level()),
            10 => {
                let count = match self.release {
                    Release::ThirteenMcs => OBJECTS.len(),
                    _ => arena::OBJECTS_EVERYWHERE,
                };
                Object::Client(OBJECTS[self.random.below(count)])
            }
            11 => Object::Untyped(self.random.of([0, 3, 4, 8, 9, 22, 47, 48, 63])),
            _ => Object::Untyped(self.random.of([12, 12, 13, 14, 16, 16, 20, 21])),
        }
    }

    pub(crate) fn level(&mut self) -> Table {
        let levels = [
            Table::PageTable,
            Table::PageDirectory,
            Table::Pdpt,
            Table::VSpace,
        ];
        self.random.of(levels)
    }

    pub(crate) fn how(&mut self) -> Mapping {
        Mapping {
            writable: !self.random.one_in(3),
            cache: self.random.of([
                Cache::Coherent,
                Cache::Coherent,
                Cache::Coherent,
                Cache::WriteCombining,
                Cache::Uncached,
            ]),
        }
    }
}
