// SPDX-License-Identifier: BSD-2-Clause
//! Dataspaces: whole pages that several clients can have mapped; the table of them. What their makers do with them is in
//! `share`, what those do who attach them in `attach`.
//!
//! The frames stay charged to the maker until the last one lets go, even where the maker has died: its place in the
//! registry is kept for as long. What the server keeps of a dataspace is one place in a table of fixed size.
//!
//! A dataspace is on one list of one client at the most: while its maker holds it, on the maker's; when nobody holds it or
//! has it attached, on that of the dead client that gives its pages back, page by page.

use crate::bits::BitSet;
use crate::kernel::ClientIndex;
use alloc::vec;
use alloc::vec::Vec;
use kmalloc_bucket::ledger::NONE;

/// Dataspaces that there can be at once.
pub const DATASPACES_MAX: usize = 1024;
/// Dataspaces that one client can have made and that are still there, so that no client takes them all.
pub const DATASPACES_OF_CLIENT_MAX: u16 = 64;
/// Clients that a dataspace can be shared with.
pub const RECIPIENTS_MAX: usize = 8;

pub(crate) const INDEX_BITS: u32 = DATASPACES_MAX.ilog2();

/// A client that a dataspace is shared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its handle; 0 is nobody's.
    pub handle: u64,
    /// Whether it may write.
    pub writable: bool,
}

/// A dataspace.
#[derive(Clone, Copy, Debug)]
pub struct Dataspace {
    /// The number of its birth, never used twice; 0 where there is no dataspace.
    pub serial: u64,
    /// Who made it and is charged for it.
    pub maker: ClientIndex,
    /// Whether the maker has not let go of it.
    pub held: bool,
    /// Who may attach it besides the maker.
    pub recipients: [Recipient; RECIPIENTS_MAX],
    /// The first of its pages, in the order of their offsets.
    pub first: u32,
    /// How many pages it has.
    pub pages: u32,
    /// How many copies of the capabilities of its frames there are.
    pub copies: u32,
    next: u32,
    previous: u32,
}

impl Dataspace {
    const VACANT: Dataspace = Dataspace {
        serial: 0,
        maker: ClientIndex(u16::MAX),
        held: false,
        recipients: [Recipient {
            handle: 0,
            writable: false,
        }; RECIPIENTS_MAX],
        first: NONE,
        pages: 0,
        copies: 0,
        next: NONE,
        previous: NONE,
    };
}

/// All dataspaces.
#[derive(Debug)]
pub(crate) struct Dataspaces {
    places: Vec<Dataspace>,
    vacant: BitSet,
    /// The number of the last one's birth.
    serial: u64,
}

impl Dataspaces {
    pub(crate) fn new() -> Dataspaces {
        let mut vacant = BitSet::new(DATASPACES_MAX);
        vacant.insert_range(0..DATASPACES_MAX);
        Dataspaces {
            places: vec![Dataspace::VACANT; DATASPACES_MAX],
            vacant,
            serial: 0,
        }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Dataspace> {
        self.places.get(index as usize)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Dataspace> {
        self.places.get_mut(index as usize)
    }

    /// Those that there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Dataspace> {
        self.places.iter().filter(|place| place.serial != 0)
    }

    /// A new one without pages, at the head of its maker's list, which begins at `head`; `None` where the table is full.
    pub(crate) fn open(&mut self, maker: ClientIndex, head: &mut u32) -> Option<u32> {
        let index = self.vacant.first()? as u32;
        self.vacant.remove(index as usize);
        self.serial += 1;
        let serial = self.serial;
        *self.get_mut(index)? = Dataspace {
            serial,
            maker,
            held: true,
            ..Dataspace::VACANT
        };
        self.link(index, head);
        Some(index)
    }

    pub(crate) fn close(&mut self, index: u32) {
        if let Some(place) = self.get_mut(index) {
            *place = Dataspace::VACANT;
            self.vacant.insert(index as usize);
        }
    }

    pub(crate) fn link(&mut self, index: u32, head: &mut u32) {
        let next = core::mem::replace(head, index);
        if let Some(old_head) = self.get_mut(next) {
            old_head.previous = index;
        }
        if let Some(place) = self.get_mut(index) {
            (place.next, place.previous) = (next, NONE);
        }
    }

    pub(crate) fn unlink(&mut self, index: u32, head: &mut u32) {
        let Some(place) = self.get_mut(index) else {
            return;
        };
        let (previous, next) = (place.previous, place.next);
        (place.next, place.previous) = (NONE, NONE);
        match self.get_mut(previous) {
            Some(before) => before.next = next,
            None => *head = next,
        }
        if let Some(after) = self.get_mut(next) {
            after.previous = previous;
        }
    }
}
