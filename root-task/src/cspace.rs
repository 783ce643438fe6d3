// SPDX-License-Identifier: BSD-2-Clause
//! The server's own CSpace: a slot for every object there can be, by arithmetic.
//!
//! The CNode that the kernel gives has too few slots for the frames of a large machine (2^12 by default), so the root
//! task moves to a CSpace of two levels. Its top CNode has the kernel's own in slot 0, so that every address known at
//! boot stays what it was, and further CNodes of 2^12 slots behind it.

use kmalloc_server::client::CLIENTS_MAX;
use kmalloc_server::copy_count;
use kmalloc_server::kernel::{ClientObject, Slot};
use kmalloc_server::machine::DEVICE_FRAMES_MAX;
use kmalloc_server::physical::{LARGE_CHUNKS, LARGE_PAGES};

/// log2 of the slots in a CNode of the second level.
pub const LEAF_BITS: usize = 12;
/// Slots in a CNode of the second level.
pub const LEAF_SLOTS: usize = 1 << LEAF_BITS;
/// Objects that a client has outside its pages.
const CLIENT_SLOTS: usize = ClientObject::COUNT;

/// Where the slots of each kind begin, as numbers in the row of all slots behind the kernel's own CNode.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    chunks: usize,
    larges: usize,
    large_frames: usize,
    clients: usize,
    copies: usize,
    boot: usize,
    end: usize,
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
        let chunks_at = whole(pages);
        let larges_at = chunks_at + whole(larges * LARGE_CHUNKS);
        let large_frames_at = larges_at + whole(larges);
        let clients_at = large_frames_at + whole(larges);
        let copies_at = clients_at + whole(CLIENTS_MAX * CLIENT_SLOTS);
        let boot_at = copies_at + whole(copy_count(pages));
        let end = boot_at + LEAF_SLOTS;
        Layout {
            chunks: chunks_at,
            larges: larges_at,
            large_frames: large_frames_at,
            clients: clients_at,
            copies: copies_at,
            boot: boot_at,
            end,
            stride_bits: root_bits.max(LEAF_BITS),
            top_bits: (end / LEAF_SLOTS + 2).next_power_of_two().ilog2() as usize,
        }
    }

    /// The number of a slot.
    #[inline]
    pub fn number(&self, slot: Slot) -> usize {
        match slot {
            Slot::Page(page) => page.index(),
            Slot::Chunk(chunk) => self.chunks + chunk.index(),
            Slot::Large(large) => self.larges + large.index(),
            Slot::LargeFrame(large) => self.large_frames + large.index(),
            Slot::Client(client, which) => {
                self.clients + client.index() * CLIENT_SLOTS + which.number()
            }
            Slot::Copy(copy) => self.copies + copy as usize,
            // Behind those of boot.
            Slot::Scratch => self.boot_end(),
            Slot::Device(frame) => self.boot_end() + 1 + frame as usize,
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

    /// The first page whose frame slot lies in CNode `leaf`, if it holds slots of frames.
    pub fn first_page_of_leaf(&self, leaf: usize) -> Option<usize> {
        let first = (leaf - 1) * LEAF_SLOTS;
        (first < self.chunks).then_some(first)
    }

    /// Which entry of the top CNode holds slot `number`, and which slot of that CNode it is.
    pub fn leaf_of(number: usize) -> (usize, usize) {
        (number / LEAF_SLOTS + 1, number % LEAF_SLOTS)
    }

    /// The address of slot `number`.
    #[inline]
    pub fn address_of(&self, number: usize) -> sel4::CPtrBits {
        let (leaf, slot) = Self::leaf_of(number);
        ((leaf << self.stride_bits) | slot) as sel4::CPtrBits
    }

    /// The address of a whole entry of the top CNode; what lies there is found in one step.
    pub fn address_of_top(&self, entry: usize) -> sel4::CPtrBits {
        (entry << self.stride_bits) as sel4::CPtrBits
    }

    /// The entry of the top CNode that holds the server's endpoint.
    pub fn endpoint_entry(&self) -> usize {
        self.end / LEAF_SLOTS + 1
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
