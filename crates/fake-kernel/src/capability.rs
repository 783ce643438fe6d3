// SPDX-License-Identifier: BSD-2-Clause
//! Slots and the derivation tree. Every object has one capability, so the tree of capabilities is that of objects; but
//! for frames, whose capability can be copied, so that each copy is mapped in a place of its own.

use kernel_sequences::Release;
use kmalloc_server::kernel::{ClientIndex, ClientObject, Mapping, Object, Slot, Table};
use kmalloc_server::physical::{Chunk, Large, Page};
use std::collections::BTreeMap;

/// A capability and the object behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The untyped that the object was made of; `None` for what boot gave.
    pub parent: Option<Slot>,
    /// The frame's first capability, that this one is a copy of; `None` too when that is gone.
    pub original: Option<Slot>,
    /// Whether it came with the object, so that what was made of it goes when it is revoked.
    pub(crate) is_first: bool,
    /// The object's physical address.
    pub address: u64,
    /// What it is.
    pub kind: Kind,
}

/// What a capability is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Untyped memory.
    Untyped {
        /// log2 of its bytes.
        size_bits: u32,
        /// Bytes from its start that objects have been made of.
        watermark: u64,
        /// What was made of it and still is.
        children: Vec<Slot>,
    },
    /// A frame.
    Frame {
        /// log2 of its bytes: 12 or 21.
        size_bits: u32,
        /// Where it is mapped by this capability: in one place at the most.
        usage: FrameUse,
        /// Copies of this capability.
        copies: usize,
    },
    /// A table of an address space.
    Table {
        /// Its level.
        level: Table,
        /// The address space that it was hooked into, and where. That lasts until the table is unmapped, whatever becomes
        /// of the tables above it.
        place: Option<(Page, usize)>,
    },
    /// A table of a function's address space.
    IoTable {
        /// Whether it is hooked in.
        hooked: bool,
    },
    /// An object of a client's.
    Client(ClientObject),
}

/// Where a frame is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUse {
    /// Nowhere.
    Unmapped,
    /// In an address space.
    Client {
        /// Which: the page of its root when it was mapped.
        space: Page,
        /// Its number, by which the kernel finds it.
        asid: u16,
        /// Where.
        address: usize,
        /// How.
        how: Mapping,
    },
    /// In the address space of a function.
    Function {
        /// Which.
        number: u8,
        /// Where.
        address: u64,
    },
    /// In the server, as part of a ledger.
    Ledger {
        /// The ledger's segment.
        segment: u32,
    },
}

impl Capability {
    /// A fresh object made of `parent` at `address`.
    pub(crate) fn new(parent: Option<Slot>, address: u64, object: Object) -> Capability {
        let kind = match object {
            Object::Untyped(size_bits) => Kind::Untyped {
                size_bits,
                watermark: 0,
                children: Vec::new(),
            },
            Object::Frame | Object::LargeFrame => Kind::Frame {
                size_bits: if object == Object::LargeFrame { 21 } else { 12 },
                usage: FrameUse::Unmapped,
                copies: 0,
            },
            Object::Table(level) => Kind::Table { level, place: None },
            Object::IoTable => Kind::IoTable { hooked: false },
            Object::Client(which) => Kind::Client(which),
        };
        Capability {
            parent,
            original: None,
            is_first: true,
            address,
            kind,
        }
    }
}

/// log2 of the bytes of an object, as on x86_64.
pub(crate) fn size_bits(object: Object, release: Release) -> u32 {
    let is_mcs = release == Release::ThirteenMcs;
    match object {
        Object::Untyped(bits) => bits,
        Object::Frame | Object::Table(_) | Object::IoTable => 12,
        Object::LargeFrame => 21,
        Object::Client(ClientObject::Tcb(_)) => 11,
        // 2^6 slots of 2^5 bytes.
        Object::Client(ClientObject::CNode) => 11,
        Object::Client(ClientObject::SchedContext(_)) => 7,
        Object::Client(ClientObject::Notification | ClientObject::Parking) if is_mcs => 6,
        Object::Client(
            ClientObject::Notification | ClientObject::Parking | ClientObject::Reply,
        ) => 5,
        Object::Client(ClientObject::FaultEndpoint) => {
            panic!("a fault endpoint is minted, not made")
        }
    }
}

/// All slots. Those that boot's memory decides the number of are rows, for scans over all of them.
#[derive(Debug, Default)]
pub(crate) struct Capabilities {
    larges: Vec<Option<Capability>>,
    large_frames: Vec<Option<Capability>>,
    chunks: Vec<Option<Capability>>,
    pages: Vec<Option<Capability>>,
    clients: BTreeMap<(ClientIndex, ClientObject), Capability>,
    scratch: Option<Capability>,
    copies: BTreeMap<u32, Capability>,
    devices: BTreeMap<u32, Capability>,
}

impl Capabilities {
    /// Empty slots for `pages` pages of memory.
    pub(crate) fn new(pages: usize) -> Capabilities {
        Capabilities {
            larges: vec![None; pages / 512],
            large_frames: vec![None; pages / 512],
            chunks: vec![None; pages / 16],
            pages: vec![None; pages],
            clients: BTreeMap::new(),
            scratch: None,
            copies: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Capability> {
        match slot {
            Slot::Large(large) => self.larges.get(large.index())?.as_ref(),
            Slot::LargeFrame(large) => self.large_frames.get(large.index())?.as_ref(),
            Slot::Chunk(chunk) => self.chunks.get(chunk.index())?.as_ref(),
            Slot::Page(page) => self.pages.get(page.index())?.as_ref(),
            Slot::Client(client, which) => self.clients.get(&(client, which)),
            Slot::Scratch => self.scratch.as_ref(),
            Slot::Copy(copy) => self.copies.get(&copy),
            Slot::Device(number) => self.devices.get(&number),
        }
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Capability> {
        match slot {
            Slot::Large(large) => self.larges.get_mut(large.index())?.as_mut(),
            Slot::LargeFrame(large) => self.large_frames.get_mut(large.index())?.as_mut(),
            Slot::Chunk(chunk) => self.chunks.get_mut(chunk.index())?.as_mut(),
            Slot::Page(page) => self.pages.get_mut(page.index())?.as_mut(),
            Slot::Client(client, which) => self.clients.get_mut(&(client, which)),
            Slot::Scratch => self.scratch.as_mut(),
            Slot::Copy(copy) => self.copies.get_mut(&copy),
            Slot::Device(number) => self.devices.get_mut(&number),
        }
    }

    /// Every copy of a frame's capability, by its slot.
    pub(crate) fn copies(&self) -> impl Iterator<Item = (u32, &Capability)> {
        self.copies
            .iter()
            .map(|(copy, capability)| (*copy, capability))
    }

    /// Puts a capability into an empty slot, and on the list of its parent.
    pub(crate) fn insert(&mut self, slot: Slot, capability: Capability) {
        if let Some(parent) = capability.parent.and_then(|parent| self.get_mut(parent))
            && let Kind::Untyped { children, .. } = &mut parent.kind
        {
            children.push(slot);
        }
        self.count_copy(capability.original, |copies| copies + 1);
        let old = match slot {
            Slot::Large(large) => self.larges[large.index()].replace(capability),
            Slot::LargeFrame(large) => self.large_frames[large.index()].replace(capability),
            Slot::Chunk(chunk) => self.chunks[chunk.index()].replace(capability),
            Slot::Page(page) => self.pages[page.index()].replace(capability),
            Slot::Client(client, which) => self.clients.insert((client, which), capability),
            Slot::Scratch => self.scratch.replace(capability),
            Slot::Copy(copy) => self.copies.insert(copy, capability),
            Slot::Device(number) => self.devices.insert(number, capability),
        };
        assert!(old.is_none(), "{slot:?} was occupied");
    }

    /// Empties a slot, and takes it off the list of its parent; what was made of it goes on that list instead.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Capability> {
        let capability = match slot {
            Slot::Large(large) => self.larges.get_mut(large.index())?.take(),
            Slot::LargeFrame(large) => self.large_frames.get_mut(large.index())?.take(),
            Slot::Chunk(chunk) => self.chunks.get_mut(chunk.index())?.take(),
            Slot::Page(page) => self.pages.get_mut(page.index())?.take(),
            Slot::Client(client, which) => self.clients.remove(&(client, which)),
            Slot::Scratch => self.scratch.take(),
            Slot::Copy(copy) => self.copies.remove(&copy),
            Slot::Device(number) => self.devices.remove(&number),
        }?;
        if let Some(parent) = capability.parent.and_then(|parent| self.get_mut(parent))
            && let Kind::Untyped { children, .. } = &mut parent.kind
        {
            children.retain(|child| *child != slot);
        }
        self.count_copy(capability.original, |copies| copies - 1);
        match &capability.kind {
            Kind::Untyped { children, .. } => self.hand_up(children, capability.parent),
            Kind::Frame { copies: 1.., .. } => {
                let copies = self.all().filter(|(_, other)| other.original == Some(slot));
                let copies: Vec<Slot> = copies.map(|(slot, _)| slot).collect();
                self.hand_up(&copies, capability.parent);
            }
            _ => {}
        }
        Some(capability)
    }

    /// What was made of something that is gone belongs to what that was made of.
    fn hand_up(&mut self, orphans: &[Slot], to: Option<Slot>) {
        for orphan in orphans {
            if let Some(orphan) = self.get_mut(*orphan) {
                orphan.parent = to;
                orphan.original = None;
            }
        }
        if let Some(Kind::Untyped { children, .. }) = to
            .and_then(|to| self.get_mut(to))
            .map(|parent| &mut parent.kind)
        {
            children.extend(orphans);
        }
    }

    /// A copy of the capability in a slot.
    pub(crate) fn copy_of(&self, slot: Slot) -> Option<Slot> {
        let is_copy = |other: &&Capability| other.original == Some(slot);
        self.all()
            .find(|(_, other)| is_copy(other))
            .map(|(copy, _)| copy)
    }

    /// Whether there is another capability for the frame in a slot.
    pub(crate) fn has_others(&self, slot: Slot) -> bool {
        let Some(frame) = self.get(slot) else {
            return false;
        };
        let size = |capability: &Capability| match capability.kind {
            Kind::Frame { size_bits, .. } => Some(size_bits),
            _ => None,
        };
        self.all().any(|(other, capability)| {
            other != slot && capability.address == frame.address && size(capability) == size(frame)
        })
    }

    /// Everything, by slot.
    fn all(&self) -> impl Iterator<Item = (Slot, &Capability)> {
        fn row<'a>(
            slots: &'a [Option<Capability>],
            name: impl Fn(u32) -> Slot + 'a,
        ) -> impl Iterator<Item = (Slot, &'a Capability)> {
            let slots = slots.iter().zip(0..);
            slots.filter_map(move |(capability, number)| Some((name(number), capability.as_ref()?)))
        }
        row(&self.larges, |number| Slot::Large(Large(number)))
            .chain(row(&self.large_frames, |number| {
                Slot::LargeFrame(Large(number))
            }))
            .chain(row(&self.chunks, |number| Slot::Chunk(Chunk(number))))
            .chain(row(&self.pages, |number| Slot::Page(Page(number))))
            .chain(
                self.clients.iter().map(|((client, which), capability)| {
                    (Slot::Client(*client, *which), capability)
                }),
            )
            .chain(
                self.scratch
                    .iter()
                    .map(|capability| (Slot::Scratch, capability)),
            )
            .chain(
                self.copies()
                    .map(|(copy, capability)| (Slot::Copy(copy), capability)),
            )
            .chain(
                self.devices
                    .iter()
                    .map(|(number, capability)| (Slot::Device(*number), capability)),
            )
    }

    fn count_copy(&mut self, original: Option<Slot>, change: impl Fn(usize) -> usize) {
        if let Some(original) = original.and_then(|original| self.get_mut(original))
            && let Kind::Frame { copies, .. } = &mut original.kind
        {
            *copies = change(*copies);
        }
    }
}
