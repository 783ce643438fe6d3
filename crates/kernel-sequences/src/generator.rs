// SPDX-License-Identifier: BSD-2-Clause
//! Which operation comes next.

use crate::arena::{self, CHUNKS, LARGES, OBJECTS, PAGES, SLOTS};
use crate::belief::{Belief, Held};
use crate::operation::{CENSUS_SLOTS, Operation};
use crate::outcome::Outcome;
use crate::random::Random;
use crate::recipes;
use crate::{Access, Release};
use alloc::vec::Vec;
use kmalloc_protocol::Cache;
use kmalloc_server::kernel::{ClientIndex, Mapping, Object, Slot, Table};
use kmalloc_server::physical::{Chunk, Large, Page};

/// What a sequence is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Untypeds, their watermarks, and what is made of them.
    Memory,
    /// Address spaces.
    Mapping,
    /// Frames with several capabilities.
    Sharing,
    /// The server's ledgers.
    Ledgers,
    /// More address spaces than there are ASIDs.
    Asids,
}

/// Objects that one retype makes at the most.
const RETYPE_MAX: usize = 256;
/// What waits to be done at the most.
const PENDING_MAX: usize = 64;
/// Pages that most operations are about, so that they meet.
const BUSY_PAGES: usize = 6 * 16;

/// Generates one sequence after the other. It allocates only when it is made.
#[derive(Debug)]
pub struct Generator {
    pub(crate) release: Release,
    pub(crate) random: Random,
    pub(crate) belief: Belief,
    pub(crate) theme: Theme,
    /// What comes next, the last one first.
    pending: Vec<Operation>,
    /// Steps until the sequence is cleared away.
    left: usize,
    /// The address space after which ASIDs are used up.
    pub(crate) next_asid: u32,
    /// Frames of the ledgers, in the order in which they were pushed.
    pub(crate) pushed: Vec<(u32, Page)>,
    clearing: usize,
}

impl Generator {
    /// A generator for a release.
    pub fn new(release: Release) -> Generator {
        Generator {
            release,
            random: Random::new(0),
            belief: Belief::new(),
            theme: Theme::Memory,
            pending: Vec::with_capacity(PENDING_MAX),
            left: 0,
            next_asid: 0,
            pushed: Vec::with_capacity(2 * PENDING_MAX),
            clearing: 0,
        }
    }

    /// Begins the sequence of a seed.
    pub fn begin(&mut self, seed: u64) {
        self.random = Random::new(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5e41);
        self.belief.reset();
        self.pending.clear();
        self.pushed.clear();
        self.next_asid = 0;
        self.clearing = 0;
        (self.theme, self.left) = match seed % 32 {
            31 => (Theme::Asids, 1200),
            seed => match seed % 8 {
                0 | 4 => (Theme::Memory, 120),
                1..=3 => (Theme::Mapping, 220),
                5 | 6 => (Theme::Sharing, 160),
                _ => (Theme::Ledgers, 120),
            },
        };
        recipes::begin(self);
    }

    /// The release that it generates for.
    pub fn release(&self) -> Release {
        self.release
    }

    /// What the sequence that has begun is about.
    pub fn theme(&self) -> Theme {
        self.theme
    }

    /// Has these done next, in their order, as far as there is room.
    pub(crate) fn plan(&mut self, operations: &[Operation]) {
        if self.pending.len() + operations.len() <= PENDING_MAX {
            self.pending.extend(operations.iter().rev());
        }
    }

    /// The next operation; `None` at the end of the sequence.
    pub fn next_operation(&mut self) -> Option<Operation> {
        if self.left > 0 {
            self.left -= 1;
            let operation = match self.pending.pop() {
                Some(planned) => planned,
                None => self.invent(),
            };
            return Some(operation);
        }
        // What was begun is ended, so that nothing is left that a kernel can't clear away.
        if let Some(planned) = self.pending.pop() {
            return Some(planned);
        }
        self.clear_away()
    }

    /// The last operations: everything is seen once more, and what was made of the large pages goes.
    fn clear_away(&mut self) -> Option<Operation> {
        if let Some(&(segment, frame)) = self.pushed.last() {
            return Some(Operation::PopLedger { segment, frame });
        }
        let step = self.clearing;
        let rounds = SLOTS.div_ceil(CENSUS_SLOTS);
        // The busy pages, clients, and the slots for copies; the rest seldom has anything to tell.
        let looked: [usize; 6] = [0, 2, 3, 4, rounds - 1, rounds - 2];
        if let Some(round) = looked.get(step) {
            self.clearing += 1;
            return Some(Operation::Census(round * CENSUS_SLOTS));
        }
        if self.release == Release::Five
            && let Some(frame) = self.belief.shared_and_mapped()
        {
            return Some(Operation::UnmapPage(frame));
        }
        self.clearing += 1;
        match step - looked.len() {
            large @ ..LARGES => Some(Operation::Revoke(Slot::Large(Large(large as u32)))),
            LARGES => Some(Operation::Census(arena::CLIENT_NUMBERS.start)),
            _ => None,
        }
    }

    /// Takes note of what came of an operation.
    pub fn learn(&mut self, operation: &Operation, outcome: Outcome) {
        match *operation {
            // Not asked for again, whatever came of it: the end of a sequence waits for these.
            Operation::UnmapPage(frame) => self.belief.set_mapped(frame, None),
            Operation::PopLedger { frame, .. } => {
                self.pushed.retain(|(_, other)| *other != frame);
                // What the entries said is still there, and nobody may count on it.
                self.plan(&[Operation::Scrub(frame)]);
            }
            _ if outcome.is_done() => self.learn_done(operation),
            _ => {}
        }
    }

    fn learn_done(&mut self, operation: &Operation) {
        match *operation {
            Operation::Retype {
                untyped,
                object,
                first,
                count,
            } => self.belief.make(untyped, object, first, count),
            Operation::Copy { frame, to } => self.belief.copy(frame, to),
            Operation::Delete(slot) => self.belief.delete(slot),
            Operation::Revoke(slot) => self.belief.revoke(slot),
            Operation::MapPage {
                frame,
                space,
                address,
                ..
            } => self.belief.set_mapped(frame, Some((space, address))),
            Operation::MapTable { table, .. } => self.belief.set_hooked(table, true),
            Operation::UnmapPageTable(table) => self.belief.set_hooked(table, false),
            Operation::AssignAsid(space) => self.belief.set_hooked(space, true),
            Operation::PushLedger { segment, frame } => self.pushed.push((segment, frame)),
            _ => {}
        }
    }

    fn invent(&mut self) -> Operation {
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
            0..=9 => self.map_page(),
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

    // What operations are about.

    /// A page, mostly one that others are about too; never one that the ledgers may have.
    pub(crate) fn page(&mut self) -> Page {
        let end = if self.random.one_in(16) {
            PAGES - recipes::LEDGER_PAGES
        } else {
            BUSY_PAGES
        };
        Page(self.random.below(end) as u32)
    }

    fn slot(&mut self) -> Slot {
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

    fn copy_slot(&mut self) -> Slot {
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
    fn invocable(&mut self) -> Slot {
        let slot = self.slot_with(|held| matches!(held, Held::Frame { .. }));
        self.unless_messages(slot)
    }

    /// An empty slot instead of what is not to be invoked.
    fn unless_messages(&self, slot: Slot) -> Slot {
        match self.belief.held(slot) {
            Held::Messages => Slot::Scratch,
            _ => slot,
        }
    }

    pub(crate) fn frame(&mut self) -> Slot {
        self.slot_with(|held| matches!(held, Held::Frame { .. }))
    }

    fn frame_page(&mut self) -> Page {
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

    fn table(&mut self) -> Page {
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

    fn root(&mut self) -> Page {
        let level = Table::VSpace;
        let is_hooked = self.random.one_in(4);
        match self.slot_with(|held| held == Held::Table { level, is_hooked }) {
            Slot::Page(page) => page,
            _ => self.page(),
        }
    }

    fn space(&mut self) -> Page {
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

    fn object(&mut self) -> Object {
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

    fn level(&mut self) -> Table {
        let levels = [
            Table::PageTable,
            Table::PageDirectory,
            Table::Pdpt,
            Table::VSpace,
        ];
        self.random.of(levels)
    }

    fn how(&mut self) -> Mapping {
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

    // The operations.

    fn retype(&mut self) -> Operation {
        let untyped = self.slot_with(|held| held == Held::Untyped);
        let untyped = self.unless_messages(untyped);
        let object = self.object();
        let count = match self.random.below(16) {
            0 => self.random.of([0, RETYPE_MAX, RETYPE_MAX + 1, usize::MAX]),
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
            count: fit(first, count),
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
        if !is_space || address >= 0xffff_ff80_0000_0000 {
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
fn fit(first: Slot, count: usize) -> usize {
    let room = match first {
        _ if count > RETYPE_MAX => return count,
        Slot::Page(page) => PAGES - recipes::LEDGER_PAGES - page.index(),
        Slot::Chunk(chunk) => CHUNKS - chunk.index(),
        // The kernel sees the end of the CNode.
        Slot::Copy(copy) if copy as usize + 8 >= arena::ROW_SLOTS => RETYPE_MAX,
        Slot::Copy(_) => 1,
        _ => 1,
    };
    count.min(room)
}
