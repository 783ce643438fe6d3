// SPDX-License-Identifier: BSD-2-Clause
//! What a generator remembers of the slots: just enough to ask for things that mean something, and to leave out what a
//! kernel has no answer to. It is no second model: what an operation should give, it does not know.

use crate::arena::{self, SLOTS};
use alloc::vec;
use alloc::vec::Vec;
use kmalloc_server::kernel::{ClientObject, Object, Slot, Table};
use kmalloc_server::physical::Page;

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    Untyped,
    Frame {
        is_large: bool,
        /// Where its capability says that it is mapped; that may be over.
        mapped: Option<(Page, usize)>,
        /// The same in all capabilities for one frame.
        family: u32,
        rank: Rank,
    },
    Table {
        level: Table,
        /// Whether it was hooked in, or was given an ASID.
        is_hooked: bool,
    },
    /// A notification or a reply object: to a kernel its invocation is a message, whatever it was meant to be.
    Messages,
    /// Some other object.
    Object,
}

/// How a frame's capability came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// With the frame.
    First,
    /// As a copy of the one in this slot, or of a copy of that.
    CopyOf(u16),
    /// As a copy, and the first one is gone.
    Orphan,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    held: Held,
    /// The slot of the untyped that it was made of.
    parent: Option<u16>,
}

const EMPTY: Entry = Entry {
    held: Held::Nothing,
    parent: None,
};

/// All slots of the arena.
#[derive(Debug)]
pub(crate) struct Belief {
    entries: Vec<Entry>,
    families: u32,
}

impl Belief {
    pub(crate) fn new() -> Belief {
        Belief {
            entries: vec![EMPTY; SLOTS],
            families: 0,
        }
    }

    /// Large pages, and nothing else.
    pub(crate) fn reset(&mut self) {
        self.entries.fill(EMPTY);
        for entry in &mut self.entries[..arena::LARGES] {
            entry.held = Held::Untyped;
        }
    }

    pub(crate) fn held(&self, slot: Slot) -> Held {
        arena::number(slot).map_or(Held::Nothing, |number| self.entries[number].held)
    }

    pub(crate) fn is_empty(&self, slot: Slot) -> bool {
        self.held(slot) == Held::Nothing
    }

    fn put(&mut self, slot: Slot, held: Held, parent: Option<Slot>) {
        if let Some(number) = arena::number(slot) {
            let parent = parent.and_then(arena::number).map(|parent| parent as u16);
            self.entries[number] = Entry { held, parent };
        }
    }

    /// Objects were made.
    pub(crate) fn make(&mut self, untyped: Slot, object: Object, first: Slot, count: usize) {
        for slot in (0..count).filter_map(|distance| arena::behind(first, distance)) {
            self.families += 1;
            let held = match object {
                Object::Untyped(_) => Held::Untyped,
                Object::Frame | Object::LargeFrame => Held::Frame {
                    is_large: object == Object::LargeFrame,
                    mapped: None,
                    family: self.families,
                    rank: Rank::First,
                },
                Object::Table(level) => Held::Table {
                    level,
                    is_hooked: false,
                },
                Object::Client(
                    ClientObject::Notification | ClientObject::Parking | ClientObject::Reply,
                ) => Held::Messages,
                Object::Client(_) | Object::IoTable => Held::Object,
            };
            self.put(slot, held, Some(untyped));
        }
    }

    /// A frame's capability was copied.
    pub(crate) fn copy(&mut self, frame: Slot, to: Slot) {
        let Some(number) = arena::number(frame) else {
            return;
        };
        let entry = self.entries[number];
        if let Held::Frame {
            is_large,
            family,
            rank,
            ..
        } = entry.held
        {
            let parent = entry.parent.map(|parent| arena::slot(parent.into()));
            let held = Held::Frame {
                is_large,
                mapped: None,
                family,
                rank: match rank {
                    Rank::First => Rank::CopyOf(number as u16),
                    rank => rank,
                },
            };
            self.put(to, held, parent);
        }
    }

    /// A slot was emptied; what was made of it belongs to what it was made of.
    pub(crate) fn delete(&mut self, slot: Slot) {
        let Some(number) = arena::number(slot) else {
            return;
        };
        let gone = core::mem::replace(&mut self.entries[number], EMPTY);
        for entry in &mut self.entries {
            if entry.parent == Some(number as u16) {
                entry.parent = gone.parent;
            }
            if let Held::Frame { rank, .. } = &mut entry.held
                && *rank == Rank::CopyOf(number as u16)
            {
                *rank = Rank::Orphan;
            }
        }
    }

    /// Everything that was made of an untyped is gone, or every copy of a frame's first capability.
    pub(crate) fn revoke(&mut self, slot: Slot) {
        let Some(number) = arena::number(slot) else {
            return;
        };
        match self.entries[number].held {
            Held::Untyped => {
                for other in 0..SLOTS {
                    if self.descends(other, number as u16) {
                        self.entries[other].held = Held::Nothing;
                    }
                }
                for entry in &mut self.entries {
                    if entry.held == Held::Nothing {
                        entry.parent = None;
                    }
                }
            }
            Held::Frame { .. } => {
                for entry in &mut self.entries {
                    if let Held::Frame { rank, .. } = entry.held
                        && rank == Rank::CopyOf(number as u16)
                    {
                        *entry = EMPTY;
                    }
                }
            }
            _ => {}
        }
    }

    fn descends(&self, number: usize, from: u16) -> bool {
        let mut at = self.entries[number].parent;
        while let Some(parent) = at {
            if parent == from {
                return true;
            }
            at = self.entries[usize::from(parent)].parent;
        }
        false
    }

    pub(crate) fn set_mapped(&mut self, frame: Slot, at: Option<(Page, usize)>) {
        if let Some(number) = arena::number(frame)
            && let Held::Frame { mapped, .. } = &mut self.entries[number].held
        {
            *mapped = at;
        }
    }

    pub(crate) fn set_hooked(&mut self, table: Page, hooked: bool) {
        if let Some(number) = arena::number(Slot::Page(table))
            && let Held::Table { is_hooked, .. } = &mut self.entries[number].held
        {
            *is_hooked = hooked;
        }
    }

    /// Whether a frame has more capabilities than this one.
    pub(crate) fn is_shared(&self, slot: Slot) -> bool {
        let Held::Frame { family, .. } = self.held(slot) else {
            return false;
        };
        let same = |entry: &&Entry| matches!(entry.held, Held::Frame { family: other, .. } if other == family);
        self.entries.iter().filter(same).count() > 1
    }

    /// A mapped capability of a frame that has others too.
    pub(crate) fn shared_and_mapped(&self) -> Option<Slot> {
        let is_mapped = |number: &usize| {
            matches!(
                self.entries[*number].held,
                Held::Frame {
                    mapped: Some(_),
                    ..
                }
            )
        };
        (0..SLOTS)
            .filter(is_mapped)
            .map(arena::slot)
            .find(|slot| self.is_shared(*slot))
    }

    /// The first slot from a number on, all around, that holds what is wanted.
    pub(crate) fn find(&self, from: usize, wanted: impl Fn(Held) -> bool) -> Option<Slot> {
        (from..SLOTS)
            .chain(0..from)
            .find(|number| wanted(self.entries[*number].held))
            .map(arena::slot)
    }
}
