// SPDX-License-Identifier: BSD-2-Clause
//! What a client must have, as simple as can be: a map from addresses to sizes and contents.

use crate::system::{PAGE, System};
use kmalloc_protocol::Request;
use kmalloc_server::client::Counters;
use kmalloc_server::kernel::ClientIndex;
use std::collections::BTreeMap;

/// Freed addresses that are remembered.
const PAST_MAX: usize = 64;

/// Kinds of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Served,
    Bucket,
    Large,
    Dma,
}

/// Memory that a client has.
#[derive(Clone, Copy, Debug)]
pub struct Item {
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

/// A client's memory.
pub struct Model {
    pub client: ClientIndex,
    pub limit: u64,
    pub reserved: u64,
    pub items: BTreeMap<u64, Item>,
    past: Vec<u64>,
}

impl Model {
    pub fn new(client: ClientIndex, limit: u64, reserved: u64) -> Model {
        Model {
            client,
            limit,
            reserved,
            items: BTreeMap::new(),
            past: Vec::new(),
        }
    }

    pub fn addresses(&self) -> Vec<u64> {
        self.items.keys().copied().collect()
    }

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

    pub fn remember(&mut self, address: u64) {
        if self.past.len() == PAST_MAX {
            self.past.remove(0);
        }
        self.past.push(address);
    }

    /// Bytes that it would leave if it ended now.
    pub fn held(&self) -> u64 {
        self.items.values().map(|item| item.size).sum()
    }

    fn held_of(&self, kinds: &[Kind]) -> u64 {
        self.items
            .values()
            .filter(|item| kinds.contains(&item.kind))
            .map(|item| item.size)
            .sum()
    }

    /// The server counts the same.
    pub fn check_counters(&self, counters: &Counters) {
        assert_eq!(
            counters.blocks,
            self.addresses_of(Kind::Served).len() as u64
        );
        assert_eq!(counters.block_bytes, self.held_of(&[Kind::Served]));
        assert_eq!(
            counters.region_pages * PAGE,
            self.held_of(&[Kind::Bucket, Kind::Large])
        );
        assert_eq!(counters.dma_pages * PAGE, self.held_of(&[Kind::Dma]));
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
    }
}
