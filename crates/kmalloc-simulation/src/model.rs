// SPDX-License-Identifier: BSD-2-Clause
//! What a client must have, as simple as can be: a map from addresses to sizes and contents.

use crate::system::{PAGE, System};
use kmalloc_protocol::Request;
use kmalloc_server::client::Counters;
use kmalloc_server::kernel::ClientIndex;
use std::collections::BTreeMap;

/// Bytes of address space of a segment.
const SEGMENT: u64 = 2 << 20;
/// Freed addresses that are remembered.
const PAST_MAX: usize = 64;

/// Kinds of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block that the server keeps the books of.
    Served,
    /// A bucket, or a segment that was opened whole.
    Bucket,
    /// A region of whole pages.
    Large,
    /// DMA memory.
    Dma,
}

/// Memory that a client has.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// What kind of memory.
    pub kind: Kind,
    /// Usable bytes.
    pub size: u64,
    /// What the client has written all over it.
    pub word: u64,
}

impl Item {
    /// The request that gives it back.
    pub fn free(self, address: u64) -> Request<'static> {
        match self.kind {
            Kind::Served => Request::Kfree { address },
            Kind::Bucket | Kind::Large => Request::Release { address },
            Kind::Dma => Request::KfreeDma { address },
        }
    }

    /// Writes the pattern: every page of it, or both ends of a block.
    pub fn write(self, system: &mut System, client: ClientIndex, address: u64) {
        if self.size >= PAGE {
            system.fill(client, address, self.size, self.word);
        } else {
            system.write(client, address, &self.word.to_le_bytes());
            system.write(client, address + self.size - 8, &self.word.to_le_bytes());
        }
    }

    /// The pattern is there.
    pub fn check(self, system: &System, client: ClientIndex, address: u64) {
        for at in self.places(self.size) {
            assert_eq!(
                system.read_word(client, address + at),
                self.word,
                "{self:x?} of {client:?} at {address:#x}"
            );
        }
    }

    /// The pattern is there up to the smaller size, and zeros behind it.
    pub fn check_resized(self, system: &System, client: ClientIndex, address: u64, size: u64) {
        for at in self.places(size.min(self.size)) {
            if at < size.min(self.size) {
                assert_eq!(system.read_word(client, address + at), self.word);
            }
        }
        if size > self.size && self.size >= PAGE {
            assert!(system.is_zero(client, address + self.size, size - self.size));
        }
    }

    /// Offsets where the pattern is looked for.
    fn places(self, size: u64) -> Vec<u64> {
        if self.size < PAGE {
            return vec![0, self.size - 8];
        }
        (0..size).step_by(PAGE as usize).chain([size - 8]).collect()
    }
}

/// A segment that is open in part: the pages that are mapped, and what the client has written all over each.
pub type Segment = BTreeMap<u64, u64>;

/// A client's memory.
#[derive(Debug)]
pub struct Model {
    /// Its place in the server's registry.
    pub client: ClientIndex,
    /// Its handle.
    pub handle: u64,
    /// Who started it, by handle.
    pub parent: Option<u64>,
    /// Bytes that are set aside for it.
    pub reserved: u64,
    /// What it has, by address.
    pub items: BTreeMap<u64, Item>,
    /// Open segments, by address.
    pub segments: BTreeMap<u64, Segment>,
    past: Vec<u64>,
}

impl Model {
    /// A client that has nothing yet.
    pub fn new(client: ClientIndex, handle: u64, reserved: u64) -> Model {
        Model {
            client,
            handle,
            parent: None,
            reserved,
            items: BTreeMap::new(),
            segments: BTreeMap::new(),
            past: Vec::new(),
        }
    }

    /// Where its memory is, segments apart.
    pub fn addresses(&self) -> Vec<u64> {
        self.items.keys().copied().collect()
    }

    /// Whether it has something that begins at an address, or lies in an open segment.
    pub fn has(&self, address: u64) -> bool {
        let segment = self.segments.range(..=address).next_back();
        self.items.contains_key(&address) || segment.is_some_and(|(at, _)| address < at + SEGMENT)
    }

    /// Where its memory of one kind is.
    pub fn addresses_of(&self, kind: Kind) -> Vec<u64> {
        self.items
            .iter()
            .filter(|(_, item)| item.kind == kind)
            .map(|(address, _)| *address)
            .collect()
    }

    /// Addresses that were freed lately.
    pub fn past(&self) -> Vec<u64> {
        self.past.clone()
    }

    /// An address has been freed.
    pub fn remember(&mut self, address: u64) {
        if self.past.len() == PAST_MAX {
            self.past.remove(0);
        }
        self.past.push(address);
    }

    /// Bytes that it would leave if it ended now.
    pub fn held(&self) -> u64 {
        let items = self.items.values().map(|item| item.size).sum::<u64>();
        items + self.segment_bytes()
    }

    fn segment_bytes(&self) -> u64 {
        let pages = self.segments.values().map(|segment| segment.len() as u64);
        pages.sum::<u64>() * PAGE
    }

    /// The server counts the same.
    pub fn check_counters(&self, counters: &Counters) {
        let (mut blocks, mut held) = (0, [0; 4]);
        for item in self.items.values() {
            blocks += u64::from(item.kind == Kind::Served);
            held[item.kind as usize] += item.size;
        }
        assert_eq!(counters.blocks, blocks);
        assert_eq!(counters.block_bytes, held[Kind::Served as usize]);
        let regions = held[Kind::Bucket as usize] + held[Kind::Large as usize];
        assert_eq!(counters.region_pages * PAGE, regions + self.segment_bytes());
        assert_eq!(counters.dma_pages * PAGE, held[Kind::Dma as usize]);
    }

    /// Everything that it has is as it was left.
    pub fn check_contents(&self, system: &System) {
        for (address, item) in &self.items {
            item.check(system, self.client, *address);
        }
        for (address, segment) in &self.segments {
            for (page, word) in segment {
                let at = address + page * PAGE;
                assert_eq!(system.read_word(self.client, at), *word, "{at:#x}");
                assert_eq!(system.read_word(self.client, at + PAGE - 8), *word);
            }
        }
    }

    /// Nothing of the client's is in `address .. address + size`.
    pub fn check_apart(&self, address: u64, size: u64) {
        if let Some((at, item)) = self.items.range(..address + size).next_back() {
            assert!(
                at + item.size <= address,
                "{size:#x} bytes at {address:#x} are on {item:x?} of {:?} at {at:#x}",
                self.client
            );
        }
        if let Some((at, segment)) = self.segments.range(..address + size).next_back() {
            assert!(
                at + SEGMENT <= address,
                "{size:#x} bytes at {address:#x} are in the segment of {:?} at {at:#x}: {segment:x?}",
                self.client
            );
        }
    }
}
