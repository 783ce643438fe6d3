// SPDX-License-Identifier: BSD-2-Clause
//! The compact form: a summary, then the operations, each a postcard record.
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{BLOCK_BYTES_MAX, SLOTS_MAX};

#[cfg(test)]
mod tests;

pub(crate) const MAGIC: [u8; 4] = *b"KMTR";

#[derive(Serialize, Deserialize)]
pub(crate) struct Header {
    pub magic: [u8; 4],
    pub summary: Summary,
}

/// What a trace needs, known before its first operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of operations; the frees of blocks left at the end are not among them.
    pub operations: u64,
    /// Size of the table of blocks: slots are 0 to this. Also the most blocks live at one time.
    pub slots: u32,
    /// Bytes of the largest block, as asked for.
    pub block_bytes_max: u64,
    /// Most bytes live at one time, as asked for.
    pub live_bytes_max: u64,
    /// Blocks that are live after the last operation.
    pub live_at_end: u32,
}

/// An operation on the block in a slot. Allocations take an empty slot, the others a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// kmalloc of `size` bytes.
    Allocate {
        /// Where the block goes.
        slot: u32,
        /// Bytes.
        size: u64,
    },
    /// kcalloc of `count` elements of `size` bytes.
    AllocateZeroed {
        /// Where the block goes.
        slot: u32,
        /// Elements.
        count: u64,
        /// Bytes of one; the product is at most [`BLOCK_BYTES_MAX`].
        size: u64,
    },
    /// krealloc to `size` bytes.
    Resize {
        /// Which block.
        slot: u32,
        /// Bytes.
        size: u64,
    },
    /// kfree.
    Free {
        /// Which block; its slot is empty afterwards.
        slot: u32,
    },
}

/// The bytes are no trace in compact form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A trace in compact form, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    summary: Summary,
    records: &'a [u8],
}

/// Walks over the operations of a [`Trace`].
#[derive(Clone, Debug)]
pub struct Operations<'a> {
    records: &'a [u8],
    left: u64,
    slots: u32,
}

impl<'a> Trace<'a> {
    /// Reads the summary; the operations are checked one by one as they are walked over.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the bytes don't begin as a trace does, or the summary is out of range.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, records) =
            postcard::take_from_bytes::<Header>(bytes).map_err(|_| Malformed)?;
        if header.magic != MAGIC || header.summary.slots > SLOTS_MAX {
            return Err(Malformed);
        }
        Ok(Self {
            summary: header.summary,
            records,
        })
    }

    /// What the trace needs.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Its operations in order. After one that is malformed, and after the last, the walk ends.
    pub fn operations(&self) -> Operations<'a> {
        Operations {
            records: self.records,
            left: self.summary.operations,
            slots: self.summary.slots,
        }
    }
}

impl Operation {
    /// The slot of the block that it is about.
    pub fn slot(&self) -> u32 {
        match *self {
            Self::Allocate { slot, .. }
            | Self::AllocateZeroed { slot, .. }
            | Self::Resize { slot, .. }
            | Self::Free { slot } => slot,
        }
    }

    /// Bytes that the block has afterwards; `None` if the product overflows, which no compiled trace holds.
    pub fn bytes(&self) -> Option<u64> {
        match *self {
            Self::Allocate { size, .. } | Self::Resize { size, .. } => Some(size),
            Self::AllocateZeroed { count, size, .. } => count.checked_mul(size),
            Self::Free { .. } => Some(0),
        }
    }

    fn is_in_range(&self, slots: u32) -> bool {
        self.slot() < slots && self.bytes().is_some_and(|bytes| bytes <= BLOCK_BYTES_MAX)
    }
}

impl Iterator for Operations<'_> {
    type Item = Result<Operation, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Result<Operation, Malformed>> {
        self.left = self.left.checked_sub(1)?;
        match postcard::take_from_bytes::<Operation>(self.records) {
            Ok((operation, rest)) if operation.is_in_range(self.slots) => {
                self.records = rest;
                Some(Ok(operation))
            }
            _ => {
                self.left = 0;
                Some(Err(Malformed))
            }
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a trace in compact form")
    }
}

impl core::error::Error for Malformed {}
