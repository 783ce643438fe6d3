// SPDX-License-Identifier: BSD-2-Clause
//! Operations that stand alone.

use crate::arena::{CHUNKS, LARGES, PAGES, SLOTS};
use crate::belief::Held;
use crate::generator::{Generator, Theme};
use crate::operation::{CENSUS_SLOTS, Operation};
use crate::pick::BUSY_PAGES;
use crate::{Access, Release, arena, recipes};
use kmalloc_server::kernel::{ClientIndex, Object, Slot, Table};
use kmalloc_server::physical::{Chunk, Large, Page};

/// The kernel's own addresses, which threads leave alone.
const KERNEL_START: usize = 0xffff_ff80_0000_0000;

impl Generator {
    /// Any operation of the theme, or now and then of another.
    pub(crate) fn invent(&mut self) -> Operation {
        let theme = if self.random.one_in(8) {
            self.random
                .of([Theme::Memory, Theme::Mapping, Theme::Sharing])
        } else {
            self.theme
        };
        match theme {
            Theme::Memory => self.invent_memory(),
            Theme::Mapping => self.invent_mapping(),
            Theme::Sharing => self.invent_sharing(),
            Theme::Ledgers => recipes::ledgers(self),
            Theme::Asids => recipes::asids(self),
        }
    }

    fn invent_memory(&mut self) -> Operation {
        match self.random.below(20) {
            0..=8 => self.retype(),
            9..=12 => self.delete(),
            13 => self.revoke(),
            14 => self.write_page(),
            15 => self.digest(),
            16 => Operation::Census(self.random.below(SLOTS.div_ceil(CENSUS_SLOTS)) * CENSUS_SLOTS),
            17 => Operation::SizeOf(self.object()),
            18 => Operation::FrameAddress(self.invocable()),
            _ => recipes::reuse(self),
        }
    }

    fn invent_mapping(&mut self) -> Operation {
        match self.random.below(32) {
            0..=7 => self.map_page(),
            8..=9 => self.map_pages(),
            10..=14 => self.map_table(),
            15..=20 => self.touch(),
            21..=23 => self.unmap_page(),
            24 => Operation::UnmapPageTable(self.table()),
            25 => Operation::AssignAsid(self.root()),
            26 => self.delete(),
            27 => self.retype(),
            28 => self.write_page(),
            29 => self.digest(),
            30 => self.revoke(),
            _ => recipes::space(self),
        }
    }

    fn invent_sharing(&mut self) -> Operation {
        match self.random.below(24) {
            0..=5 => self.copy(),
            6..=9 => self.map_page(),
            10..=11 => self.unmap_page(),
            12..=14 => self.touch(),
            15 => self.delete(),
            16 => self.revoke(),
            17..=18 => self.write_page(),
            19..=20 => self.digest(),
            21 => Operation::FrameAddress(self.invocable()),
            22 => Operation::CopyPage {
                from: self.frame_page(),
                to: self.frame_page(),
            },
            _ => recipes::deleted_copy(self),
        }
    }

    fn retype(&mut self) -> Operation {
        let untyped = self.slot_with(|held| held == Held::Untyped);
        let untyped = self.unless_messages(untyped);
        let object = self.object();
        let count = match self.random.below(16) {
            0 => {
                let most = self.retype_max;
                self.random.of([0, most, most + 1, usize::MAX])
            }
            1..=7 => 1 + self.random.below(20),
            _ => 1,
        };
        let first = match (object, self.random.below(16)) {
            // The end of a CNode is near.
            (_, 0) => Slot::Copy((arena::ROW_SLOTS - 1 - self.random.below(8)) as u32),
            (_, 1) => self.copy_slot(),
            (Object::Client(which), _) => {
                Slot::Client(ClientIndex(self.random.below(arena::CLIENTS) as u16), which)
            }
            (Object::LargeFrame, _) => Slot::LargeFrame(Large(self.random.below(LARGES) as u32)),
            (Object::Untyped(16..=20), _) => Slot::Chunk(Chunk(self.random.below(8) as u32)),
            _ => self.empty_page(),
        };
        Operation::Retype {
            untyped,
            object,
            first,
            count: fit(first, count, self.retype_max),
        }
    }

    /// Mostly the first of some empty slots.
    fn empty_page(&mut self) -> Slot {
        let page = self.page();
        let behind = |number: &usize| {
            self.belief
                .is_empty(Slot::Page(Page(page.0 + *number as u32)))
        };
        let distance = if page.index() < BUSY_PAGES {
            (0..BUSY_PAGES).find(behind).unwrap_or(0)
        } else {
            0
        };
        Slot::Page(Page(page.0 + distance as u32))
    }

    fn copy(&mut self) -> Operation {
        let frame = self.frame();
        // Only frames are copied, and what is not there; of other capabilities one kernel can't make a copy and falls over.
        let frame = match self.belief.held(frame) {
            Held::Frame { .. } | Held::Nothing => frame,
            _ => Slot::Scratch,
        };
        // The server has windows for pages only, so no large frame gets into a slot of pages.
        let is_large = matches!(self.belief.held(frame), Held::Frame { is_large: true, .. });
        let to = if self.random.one_in(8) && !is_large {
            self.slot()
        } else {
            self.copy_slot()
        };
        Operation::Copy { frame, to }
    }

    fn delete(&mut self) -> Operation {
        let slot = self.slot_with(|held| held != Held::Nothing);
        match slot {
            // What boot gave would be gone for good.
            Slot::Large(_) => self.retype(),
            slot => self.without_dangling(slot, Operation::Delete(slot)),
        }
    }

    fn revoke(&mut self) -> Operation {
        let mut slot = self.slot_with(|held| matches!(held, Held::Untyped | Held::Frame { .. }));
        // With a large page goes nearly everything.
        if matches!(slot, Slot::Large(_)) && self.theme != Theme::Memory && !self.random.one_in(8) {
            slot = self.frame();
        }
        self.without_dangling(slot, Operation::Revoke(slot))
    }

    /// On 5.0.0 a capability that goes leaves its mapping behind while the frame has others, and memory that is mapped
    /// could become a table: such frames are unmapped first. What is left behind, [`recipes::deleted_copy`] looks at.
    fn without_dangling(&mut self, slot: Slot, operation: Operation) -> Operation {
        if self.release != Release::Five {
            return operation;
        }
        let in_the_way = match (operation, self.belief.held(slot)) {
            (
                Operation::Delete(_),
                Held::Frame {
                    mapped: Some(_), ..
                },
            ) => self.belief.is_shared(slot).then_some(slot),
            (Operation::Delete(_), _) => None,
            _ => self.belief.shared_and_mapped(),
        };
        in_the_way.map_or(operation, Operation::UnmapPage)
    }

    pub(crate) fn map_page(&mut self) -> Operation {
        let frame = if self.random.one_in(3) {
            self.frame()
        } else {
            self.slot_with(|held| matches!(held, Held::Frame { mapped: None, .. }))
        };
        let frame = self.unless_messages(frame);
        let address = self.address();
        let address = match self.belief.held(frame) {
            Held::Frame { is_large: true, .. } if !self.random.one_in(8) => address >> 21 << 21,
            _ => address,
        };
        Operation::MapPage {
            frame,
            space: self.space(),
            address,
            how: self.how(),
        }
    }

    fn map_pages(&mut self) -> Operation {
        Operation::MapPages {
            first: self.frame_page(),
            count: 1 + self.random.below(5),
            space: self.space(),
            address: self.address(),
            how: self.how(),
        }
    }

    /// Of 5.0.0 nobody asks to unmap a frame that is not mapped: it gives no answer.
    fn unmap_page(&mut self) -> Operation {
        let frame = self.slot_with(|held| {
            matches!(
                held,
                Held::Frame {
                    mapped: Some(_),
                    ..
                }
            )
        });
        let frame = self.unless_messages(frame);
        match self.belief.held(frame) {
            Held::Frame { mapped: None, .. } if self.release == Release::Five => self.map_page(),
            _ => Operation::UnmapPage(frame),
        }
    }

    fn map_table(&mut self) -> Operation {
        let table = self.table();
        let level = match self.belief.held(Slot::Page(table)) {
            Held::Table { level, .. } if !self.random.one_in(12) => level,
            _ => self.level(),
        };
        Operation::MapTable {
            table,
            level,
            space: self.space(),
            address: self.address(),
        }
    }

    fn touch(&mut self) -> Operation {
        let is_mapped = |held| {
            matches!(
                held,
                Held::Frame {
                    mapped: Some(_),
                    ..
                }
            )
        };
        let frame = self.slot_with(is_mapped);
        let (space, address) = match self.belief.held(frame) {
            Held::Frame {
                mapped: Some(at), ..
            } if !self.random.one_in(6) => at,
            _ => (self.space(), self.address()),
        };
        let is_space = self.belief.held(Slot::Page(space))
            == Held::Table {
                level: Table::VSpace,
                is_hooked: true,
            };
        // Addresses of the kernel are looked at by the kernel, and not by threads.
        if !is_space || address >= KERNEL_START {
            return self.map_page();
        }
        let offset = self.random.of([0, 8, 64, 4088]);
        let access = if self.random.one_in(2) {
            Access::Write(self.random.word())
        } else {
            Access::Read
        };
        Operation::Touch {
            space,
            address: (address >> 12 << 12) + offset,
            access,
        }
    }

    fn write_page(&mut self) -> Operation {
        Operation::WritePage {
            frame: self.frame_page(),
            offset: self.random.of([0, 64, 4032]),
            pattern: self.random.word(),
        }
    }

    fn digest(&mut self) -> Operation {
        let frame = self.slot_with(|held| {
            matches!(
                held,
                Held::Frame {
                    is_large: false,
                    ..
                }
            )
        });
        match self.belief.held(frame) {
            Held::Frame {
                is_large: false, ..
            } => Operation::Digest(frame),
            _ => Operation::Scrub(self.frame_page()),
        }
    }
}

/// As many objects as the arena has slots for from `first` on; more than a retype may make stay as they are.
fn fit(first: Slot, count: usize, retype_max: usize) -> usize {
    let room = match first {
        _ if count > retype_max => return count,
        Slot::Page(page) => PAGES - recipes::LEDGER_PAGES - page.index(),
        Slot::Chunk(chunk) => CHUNKS - chunk.index(),
        // The kernel sees the end of the CNode.
        Slot::Copy(copy) if copy as usize + 8 >= arena::ROW_SLOTS => retype_max,
        Slot::Copy(_) => 1,
        _ => 1,
    };
    count.min(room)
}
