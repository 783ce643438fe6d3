// SPDX-License-Identifier: BSD-2-Clause

//! Where things stand in the boot information, as pure functions of its bytes.

use core::ops::Range;

/// Where things stand, in bytes from the start. All numbers are words, lowest byte first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    sched_control: Option<usize>,
    untyped: usize,
    untyped_list: usize,
    /// Bytes of one entry of the list.
    pub descriptor_size: usize,
    descriptor_size_bits: usize,
    descriptor_is_device: usize,
}

// Up to the slots of the image every release agrees.
const IO_PAGE_TABLE_LEVELS: usize = 24;
const IPC_BUFFER: usize = 32;
const EMPTY: usize = 40;
const USER_IMAGE_FRAMES: usize = 72;

const WORD: usize = 8;
const REGION: usize = 2 * WORD;

#[allow(dead_code, reason = "the kernel in use has one of them")]
impl Layout {
    /// Release 5. Packed: the size of the CNode is one byte, so everything from there on is odd.
    pub const PACKED: Self = Self {
        sched_control: None,
        untyped: 153,
        untyped_list: 153 + REGION,
        descriptor_size: 12,
        descriptor_size_bits: 10,
        descriptor_is_device: 11,
    };

    /// Release 13 and later.
    pub const ALIGNED: Self = Self {
        sched_control: None,
        untyped: 152,
        untyped_list: 152 + REGION,
        descriptor_size: 16,
        descriptor_size_bits: 8,
        descriptor_is_device: 9,
    };

    /// Release 13 and later, MCS.
    pub const ALIGNED_MCS: Self = Self {
        sched_control: Some(152),
        untyped: 152 + REGION,
        untyped_list: 152 + 2 * REGION,
        ..Self::ALIGNED
    };

    /// Levels of paging structures of the machine's IOMMUs; 0 where there is none.
    pub fn io_page_table_levels(&self, bytes: &[u8]) -> u64 {
        word(bytes, IO_PAGE_TABLE_LEVELS)
    }

    /// Address of the IPC buffer.
    pub fn ipc_buffer(&self, bytes: &[u8]) -> u64 {
        word(bytes, IPC_BUFFER)
    }

    /// The empty slots.
    pub fn empty(&self, bytes: &[u8]) -> Range<usize> {
        region(bytes, EMPTY)
    }

    /// The slots of the image's frames.
    pub fn user_image_frames(&self, bytes: &[u8]) -> Range<usize> {
        region(bytes, USER_IMAGE_FRAMES)
    }

    /// The slots of the authority over time, on kernels that have it.
    pub fn sched_control(&self, bytes: &[u8]) -> Option<Range<usize>> {
        self.sched_control.map(|offset| region(bytes, offset))
    }

    /// The slots of untypeds.
    pub fn untyped(&self, bytes: &[u8]) -> Range<usize> {
        region(bytes, self.untyped)
    }

    /// The bytes of the list of untypeds, one descriptor for each slot, as far as `bytes` reach.
    pub fn untyped_list<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let list = bytes.get(self.untyped_list..).unwrap_or_default();
        let room = list.len() / self.descriptor_size;
        let count = self.untyped(bytes).len().min(room);
        &list[..count * self.descriptor_size]
    }

    /// The physical address in a descriptor.
    pub fn descriptor_paddr(&self, descriptor: &[u8]) -> u64 {
        word(descriptor, 0)
    }

    /// The size in a descriptor, as a logarithm.
    pub fn descriptor_size_bits(&self, descriptor: &[u8]) -> u8 {
        descriptor[self.descriptor_size_bits]
    }

    /// Whether a descriptor is of a device's memory.
    pub fn descriptor_is_device(&self, descriptor: &[u8]) -> bool {
        descriptor[self.descriptor_is_device] != 0
    }
}

fn word(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; WORD];
    word.copy_from_slice(&bytes[offset..][..WORD]);
    u64::from_le_bytes(word)
}

fn region(bytes: &[u8], offset: usize) -> Range<usize> {
    word(bytes, offset) as usize..word(bytes, offset + WORD) as usize
}
