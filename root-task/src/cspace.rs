// SPDX-License-Identifier: BSD-2-Clause
//! The server's own CSpace: a slot for every object there can be, by arithmetic.
//!
//! The CNode that the kernel gives has too few slots for the frames of a large machine (2^12 by default), so the root
//! task moves to one of its own, which has them all. It is the only one: an address is the number of a slot, and the
//! kernel finds it in one step with no bits left over, which would cost it 10 instructions a look-up. What boot knows lies
//! where it was.

use core::ops::Range;
use kmalloc_server::client::CLIENTS_MAX;
use kmalloc_server::copy_count;
use kmalloc_server::kernel::{ClientObject, Slot};
use kmalloc_server::machine::DEVICE_FRAMES_MAX;
use kmalloc_server::physical::{LARGE_CHUNKS, LARGE_PAGES};
use sel4::{AbsoluteCPtr, CNodeCapData, CPtr, CPtrBits, cap};

/// Slots for what the root task makes for itself.
const BOOT_SLOTS: usize = 2048;
/// Objects that a client has outside its pages.
const CLIENT_SLOTS: usize = ClientObject::COUNT;

/// Where the slots of each kind begin.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pages: usize,
    chunks: usize,
    larges: usize,
    large_frames: usize,
    clients: usize,
    devices: usize,
    boot: usize,
    copies: usize,
    /// log2 of the slots of the CNode.
    pub bits: usize,
}

impl Layout {
    /// Slots for `pages` pages of physical memory, behind the first `known` slots.
    pub fn new(pages: usize, known: usize) -> Layout {
        let larges = pages.div_ceil(LARGE_PAGES);
        let chunks_at = known + pages;
        let larges_at = chunks_at + larges * LARGE_CHUNKS;
        let large_frames_at = larges_at + larges;
        let clients_at = large_frames_at + larges;
        let devices_at = clients_at + CLIENTS_MAX * CLIENT_SLOTS;
        let boot_at = devices_at + DEVICE_FRAMES_MAX as usize;
        let slots = (boot_at + BOOT_SLOTS + 1 + copy_count(pages)).next_power_of_two();
        Layout {
            pages: known,
            chunks: chunks_at,
            larges: larges_at,
            large_frames: large_frames_at,
            clients: clients_at,
            devices: devices_at,
            boot: boot_at,
            // The last ones of all.
            copies: slots - copy_count(pages),
            bits: slots.ilog2() as usize,
        }
    }

    /// The number of a slot.
    #[inline]
    pub fn number(&self, slot: Slot) -> usize {
        match slot {
            Slot::Page(page) => self.pages + page.index(),
            Slot::Chunk(chunk) => self.chunks + chunk.index(),
            Slot::Large(large) => self.larges + large.index(),
            Slot::LargeFrame(large) => self.large_frames + large.index(),
            Slot::Client(client, which) => {
                self.clients + client.index() * CLIENT_SLOTS + which.number()
            }
            Slot::Copy(copy) => self.copies + copy as usize,
            Slot::Device(frame) => self.devices + frame as usize,
            Slot::Scratch => self.boot_slots().end,
        }
    }

    /// Numbers of the slots for what the root task makes for itself.
    pub fn boot_slots(&self) -> Range<usize> {
        self.boot..self.boot + BOOT_SLOTS
    }

    /// The address of a slot.
    #[inline]
    pub fn cptr(&self, slot: Slot) -> CPtr {
        address(self.number(slot))
    }

    /// The path of the slot with this number, for operations on CNodes; `top` is the CNode, without a guard.
    pub fn path(&self, top: cap::CNode, number: usize) -> AbsoluteCPtr {
        top.absolute_cptr_from_bits_with_depth(number as CPtrBits, self.bits)
    }

    /// The guard with which the CNode is a CSpace.
    pub fn guard(&self) -> CNodeCapData {
        CNodeCapData::skip_high_bits(self.bits)
    }
}

/// The address of the slot with this number.
#[inline]
pub fn address(number: usize) -> CPtr {
    CPtr::from_bits(number as CPtrBits)
}
