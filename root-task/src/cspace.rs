// SPDX-License-Identifier: BSD-2-Clause
//! The server's own CSpace: a slot for every object there can be, by arithmetic.
//!
//! The CNode that the kernel gives has too few slots for the frames of a large machine (2^12 by default), so the root
//! task moves to a CSpace with a top CNode of its own. What is a page, a frame or a table, has its slot in there, so the
//! kernel finds it in one step: each further step would make a mapping dearer by a fifteenth. The kernel's own CNode is in
//! slot 0, so that every address known at boot stays what it was, and CNodes of 2^12 slots for all the rest follow it.

use kmalloc_server::client::CLIENTS_MAX;
use kmalloc_server::copy_count;
use kmalloc_server::kernel::{ClientObject, Slot};
use kmalloc_server::machine::DEVICE_FRAMES_MAX;
use kmalloc_server::physical::{LARGE_CHUNKS, LARGE_PAGES};
use sel4::{AbsoluteCPtr, cap};

/// log2 of the slots in a CNode of the second level.
pub const LEAF_BITS: usize = 12;
/// Slots in a CNode of the second level.
pub const LEAF_SLOTS: usize = 1 << LEAF_BITS;
/// Objects that a client has outside its pages.
const CLIENT_SLOTS: usize = ClientObject::COUNT;

/// Where a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is this entry of the top CNode.
    Top(usize),
    /// It has this number in the row of all slots of the second level.
    Leaf(usize),
}

/// Where the slots of each kind begin.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    // Numbers in the row of the second level, which begins with the chunks.
    larges: usize,
    large_frames: usize,
    clients: usize,
    copies: usize,
    boot: usize,
    end: usize,
    /// The entry of the top CNode for page 0.
    first_page: usize,
    /// log2 of the slots that an entry of the top CNode stands for.
    stride_bits: usize,
    /// log2 of the slots of the top CNode.
    pub top_bits: usize,
}

impl Layout {
    /// Slots for `pages` pages of physical memory, on a kernel whose own CNode has 2^`root_bits` slots.
    pub fn new(pages: usize, root_bits: usize) -> Layout {
        let larges = pages.div_ceil(LARGE_PAGES);
        let whole = |slots: usize| slots.next_multiple_of(LEAF_SLOTS);
        let larges_at = whole(larges * LARGE_CHUNKS);
        let large_frames_at = larges_at + whole(larges);
        let clients_at = large_frames_at + whole(larges);
        let copies_at = clients_at + whole(CLIENTS_MAX * CLIENT_SLOTS);
        let boot_at = copies_at + whole(copy_count(pages));
        let end = boot_at + LEAF_SLOTS;
        // The kernel's own CNode, those of the second level, and the endpoint.
        let first_page = end / LEAF_SLOTS + 2;
        Layout {
            larges: larges_at,
            large_frames: large_frames_at,
            clients: clients_at,
            copies: copies_at,
            boot: boot_at,
            end,
            first_page,
            stride_bits: root_bits.max(LEAF_BITS),
            top_bits: (first_page + pages).next_power_of_two().ilog2() as usize,
        }
    }

    /// Where a slot lies.
    #[inline]
    pub fn place(&self, slot: Slot) -> Place {
        Place::Leaf(match slot {
            Slot::Page(page) => return Place::Top(self.first_page + page.index()),
            Slot::Chunk(chunk) => chunk.index(),
            Slot::Large(large) => self.larges + large.index(),
            Slot::LargeFrame(large) => self.large_frames + large.index(),
            Slot::Client(client, which) => {
                self.clients + client.index() * CLIENT_SLOTS + which.number()
            }
            Slot::Copy(copy) => self.copies + copy as usize,
            // Behind those of boot.
            Slot::Scratch => self.boot_end(),
            Slot::Device(frame) => self.boot_end() + 1 + frame as usize,
        })
    }

    /// How many slots lie in one CNode from a slot on.
    pub fn room(&self, slot: Slot) -> usize {
        match self.place(slot) {
            Place::Top(entry) => (1 << self.top_bits) - entry,
            Place::Leaf(number) => LEAF_SLOTS - number % LEAF_SLOTS,
        }
    }

    /// Numbers of the slots for what the root task makes for itself.
    pub fn boot_slots(&self) -> core::ops::Range<usize> {
        self.boot..self.boot_end()
    }

    fn boot_end(&self) -> usize {
        self.boot + LEAF_SLOTS - DEVICE_FRAMES_MAX as usize - 1
    }

    /// The CNodes of the second level: entries of the top CNode from 1 on.
    pub fn leaves(&self) -> core::ops::Range<usize> {
        1..self.end / LEAF_SLOTS + 1
    }

    /// The address of a slot.
    #[inline]
    pub fn address_of(&self, place: Place) -> sel4::CPtrBits {
        let (entry, slot) = match place {
            Place::Top(entry) => (entry, 0),
            Place::Leaf(number) => (number / LEAF_SLOTS + 1, number % LEAF_SLOTS),
        };
        ((entry << self.stride_bits) | slot) as sel4::CPtrBits
    }

    /// How far the address of a page's slot is behind that of the page before.
    pub fn page_stride(&self) -> sel4::CPtrBits {
        1 << self.stride_bits
    }

    /// The path of a slot, for operations on CNodes; `top` is the top CNode.
    pub fn path(&self, top: cap::CNode, place: Place) -> AbsoluteCPtr {
        let (address, depth) = match place {
            Place::Top(entry) => (entry as sel4::CPtrBits, self.top_bits),
            Place::Leaf(_) => (self.address_of(place), self.depth()),
        };
        top.absolute_cptr_from_bits_with_depth(address, depth)
    }

    /// The CNode that a slot lies in, and which of its slots it is, for what makes objects; `top` is the top CNode.
    pub fn cnode(&self, top: cap::CNode, place: Place) -> (AbsoluteCPtr, usize) {
        match place {
            Place::Top(entry) => (top.absolute_cptr_for_self(), entry),
            Place::Leaf(number) => {
                // Behind the kernel's own CNode.
                let leaf = Place::Top(number / LEAF_SLOTS + 1);
                (self.path(top, leaf), number % LEAF_SLOTS)
            }
        }
    }

    /// The entry of the top CNode that holds the server's endpoint.
    pub fn endpoint_entry(&self) -> usize {
        self.first_page - 1
    }

    /// Bits of an address below the top CNode's guard.
    pub fn depth(&self) -> usize {
        self.top_bits + self.stride_bits
    }

    /// Bits that the guard of a CNode of 2^`bits` slots at the second level skips.
    pub fn leaf_guard_bits(&self, bits: usize) -> usize {
        self.stride_bits - bits
    }
}
