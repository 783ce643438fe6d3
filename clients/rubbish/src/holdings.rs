// SPDX-License-Identifier: BSD-2-Clause
//! What the server has given this program, as its own replies said. What it may answer next follows from that.

use kmalloc::{Stats, Window};

/// The most things that are kept account of.
pub const THINGS_MAX: usize = 640;
/// Pages of a segment.
const SEGMENT_BYTES: u64 = 2 << 20;

/// Memory that the server has given, or a name for some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A served block.
    Block,
    /// A bucket of `Grant`.
    Bucket,
    /// A segment. Its size is what is reserved for it.
    Segment,
    /// A large region.
    Large,
    /// DMA memory.
    Dma,
    /// A dataspace that is attached.
    Attached,
    /// A dataspace; its address is its token.
    Dataspace,
}

/// A thing of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Thing {
    /// What it is.
    pub kind: Kind,
    /// Where it begins.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
}

impl Kind {
    /// Where such memory lies.
    fn window(self) -> Option<Window> {
        match self {
            Kind::Block => Some(Window::Served),
            Kind::Bucket | Kind::Segment => Some(Window::Resident),
            Kind::Large => Some(Window::Large),
            Kind::Dma => Some(Window::Dma),
            Kind::Attached => Some(Window::Shared),
            Kind::Dataspace => None,
        }
    }
}

/// All of it.
pub struct Holdings {
    things: [Thing; THINGS_MAX],
    count: usize,
}

impl Holdings {
    /// Nothing.
    pub const fn new() -> Holdings {
        let nothing = Thing {
            kind: Kind::Block,
            address: 0,
            size: 0,
        };
        Holdings {
            things: [nothing; THINGS_MAX],
            count: 0,
        }
    }

    /// What is held.
    pub fn things(&self) -> &[Thing] {
        &self.things[..self.count]
    }

    /// The thing of this kind that begins here.
    pub fn at(&self, kind: Kind, address: u64) -> Option<Thing> {
        let mut things = self.things().iter();
        things
            .find(|thing| thing.kind == kind && thing.address == address)
            .copied()
    }

    /// Takes note of memory that was given. It must lie where such memory does, aligned as it must be, and nowhere that this
    /// program has memory already.
    pub fn add(&mut self, kind: Kind, address: u64, size: u64) -> Result<(), &'static str> {
        let align = match kind {
            Kind::Block if size < 4096 => size,
            Kind::Segment => SEGMENT_BYTES,
            Kind::Dataspace => 1,
            _ => 4096,
        };
        if size == 0 || !address.is_multiple_of(align) {
            return Err("memory without bytes, or not aligned");
        }
        if let Some(window) = kind.window() {
            let Some(end) = address.checked_add(size) else {
                return Err("memory that has no end");
            };
            if Window::of(address as usize) != Some(window)
                || Window::of(end as usize - 1) != Some(window)
            {
                return Err("memory outside of its window");
            }
            let apart = |thing: &Thing| {
                thing.kind == Kind::Dataspace
                    || end <= thing.address
                    || thing.address + thing.size <= address
            };
            if !self.things().iter().all(apart) {
                return Err("memory that is held already");
            }
        } else if self.at(kind, address).is_some() {
            return Err("a token that is in use already");
        }
        let place = self.things.get_mut(self.count).ok_or("too many things")?;
        *place = Thing {
            kind,
            address,
            size,
        };
        self.count += 1;
        Ok(())
    }

    /// Takes note that something was given back.
    pub fn remove(&mut self, kind: Kind, address: u64) {
        let is_it = |thing: &Thing| thing.kind == kind && thing.address == address;
        if let Some(index) = self.things().iter().position(is_it) {
            self.count -= 1;
            self.things[index] = self.things[self.count];
        }
    }

    /// Whether the server's figures are the sums of what is held. Segments are not among them: how many of their pages are
    /// mapped is not kept account of here.
    pub fn agree_with(&self, stats: &Stats) -> bool {
        let sum = |kind: Kind| {
            let things = self.things().iter().filter(|thing| thing.kind == kind);
            things.fold((0, 0), |(count, bytes), thing| {
                (count + 1, bytes + thing.size)
            })
        };
        let (blocks, block_bytes) = sum(Kind::Block);
        blocks == stats.blocks
            && block_bytes == stats.block_bytes
            && sum(Kind::Dma).1 == stats.dma_bytes
            && sum(Kind::Dataspace).1 <= stats.dataspace_bytes
            && sum(Kind::Large).1 + sum(Kind::Bucket).1 <= stats.region_bytes
    }
}
