// SPDX-License-Identifier: BSD-2-Clause
//! Which operation comes next.

use crate::arena::{self, LARGES, SLOTS};
use crate::belief::Belief;
use crate::operation::{CENSUS_SLOTS, Operation};
use crate::outcome::Outcome;
use crate::random::Random;
use crate::recipes;
use crate::{RETYPE_MAX, Release};
use alloc::vec::Vec;
use kmalloc_server::kernel::Slot;
use kmalloc_server::physical::{Large, Page};

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

/// What waits to be done at the most.
const PENDING_MAX: usize = 64;

/// Generates one sequence after the other. It allocates only when it is made.
#[derive(Debug)]
pub struct Generator {
    pub(crate) release: Release,
    pub(crate) retype_max: usize,
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
    /// A generator for a release, with kernels of which one retype makes [`RETYPE_MAX`] objects.
    pub fn new(release: Release) -> Generator {
        Generator {
            release,
            retype_max: RETYPE_MAX,
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

    /// The same for kernels that are configured for another number of objects in one retype.
    pub fn with_retype_max(self, retype_max: usize) -> Generator {
        Generator { retype_max, ..self }
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

    /// The objects that one retype makes at the most.
    pub fn retype_max(&self) -> usize {
        self.retype_max
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
            Operation::MapPages {
                first,
                space,
                address,
                ..
            } => {
                for index in 0..outcome.value as u32 {
                    let at = address + ((index as usize) << 12);
                    let frame = Slot::Page(Page(first.0 + index));
                    self.belief.set_mapped(frame, Some((space, at)));
                }
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
}
