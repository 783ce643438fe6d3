// SPDX-License-Identifier: BSD-2-Clause
//! From the text form to the compact one, with every check that a trace as a whole needs.
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use crate::compact::{Header, MAGIC};
use crate::{Line, LineError, Operation, SLOTS_MAX, Summary, parse_line};

#[cfg(test)]
mod tests;

/// Why a trace was refused, and in which line of the text (the first is 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceError {
    /// The line is wrong by itself.
    Line(usize, LineError),
    /// The line is not UTF-8.
    NotText(usize),
    /// An allocation names an id whose block is still live.
    IdInUse(usize, u64),
    /// An `r` or `f` names an id without a live block.
    UnknownId(usize, u64),
    /// More than [`SLOTS_MAX`] blocks would be live.
    TooManyBlocks(usize),
    /// The sizes of all live blocks together overflow 64 bits.
    TooManyBytes(usize),
    /// There is no operation in the whole text.
    Empty,
}

struct Block {
    slot: u32,
    bytes: u64,
}

#[derive(Default)]
struct Compiler {
    live: BTreeMap<u64, Block>,
    free_slots: Vec<u32>,
    live_bytes: u64,
    summary: Summary,
    records: Vec<u8>,
}

/// Checks a trace in text form and gives its compact form, for [`Trace::decode`](crate::Trace::decode).
///
/// # Errors
///
/// The first thing that is wrong, with its line.
pub fn compile(text: &[u8]) -> Result<Vec<u8>, TraceError> {
    let mut compiler = Compiler::default();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = core::str::from_utf8(line).map_err(|_| TraceError::NotText(number))?;
        if let Some(line) = parse_line(line).map_err(|error| TraceError::Line(number, error))? {
            compiler.add(number, line)?;
        }
    }
    compiler.finish()
}

impl Compiler {
    fn add(&mut self, number: usize, line: Line) -> Result<(), TraceError> {
        let operation = match line {
            Line::Allocate { id, size } => Operation::Allocate {
                slot: self.allocate(number, id, size)?,
                size,
            },
            Line::AllocateZeroed { id, count, size } => {
                let slot = self.allocate(number, id, count.saturating_mul(size))?;
                Operation::AllocateZeroed { slot, count, size }
            }
            // As in Linux, another size of 0 frees.
            Line::Free { id } | Line::Resize { id, size: 0 } => self.free(number, id)?,
            Line::Resize { id, size } => {
                let block = self
                    .live
                    .get_mut(&id)
                    .ok_or(TraceError::UnknownId(number, id))?;
                self.live_bytes -= block.bytes;
                block.bytes = size;
                let slot = block.slot;
                self.count(number, size)?;
                Operation::Resize { slot, size }
            }
        };
        self.summary.operations += 1;
        let records = core::mem::take(&mut self.records);
        // A growing vector can't refuse a record.
        self.records = postcard::to_extend(&operation, records).unwrap_or_default();
        Ok(())
    }

    fn free(&mut self, number: usize, id: u64) -> Result<Operation, TraceError> {
        let block = self
            .live
            .remove(&id)
            .ok_or(TraceError::UnknownId(number, id))?;
        self.live_bytes -= block.bytes;
        self.free_slots.push(block.slot);
        Ok(Operation::Free { slot: block.slot })
    }

    fn allocate(&mut self, number: usize, id: u64, bytes: u64) -> Result<u32, TraceError> {
        if self.live.contains_key(&id) {
            return Err(TraceError::IdInUse(number, id));
        }
        let slot = match self.free_slots.pop() {
            Some(slot) => slot,
            None if self.summary.slots == SLOTS_MAX => {
                return Err(TraceError::TooManyBlocks(number));
            }
            None => {
                self.summary.slots += 1;
                self.summary.slots - 1
            }
        };
        self.live.insert(id, Block { slot, bytes });
        self.count(number, bytes)?;
        Ok(slot)
    }

    fn count(&mut self, number: usize, bytes: u64) -> Result<(), TraceError> {
        let live = self
            .live_bytes
            .checked_add(bytes)
            .ok_or(TraceError::TooManyBytes(number))?;
        self.live_bytes = live;
        self.summary.live_bytes_max = self.summary.live_bytes_max.max(live);
        self.summary.block_bytes_max = self.summary.block_bytes_max.max(bytes);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, TraceError> {
        if self.summary.operations == 0 {
            return Err(TraceError::Empty);
        }
        // At most SLOTS_MAX blocks are live, so the count fits.
        self.summary.live_at_end = self.live.len() as u32;
        let header = Header {
            magic: MAGIC,
            summary: self.summary,
        };
        let mut bytes = postcard::to_extend(&header, Vec::new()).map_err(|_| TraceError::Empty)?;
        bytes.append(&mut self.records);
        Ok(bytes)
    }
}

impl TraceError {
    /// The line that is wrong; `None` if the text as a whole is.
    pub fn line(&self) -> Option<usize> {
        match *self {
            Self::Line(number, _)
            | Self::NotText(number)
            | Self::IdInUse(number, _)
            | Self::UnknownId(number, _)
            | Self::TooManyBlocks(number)
            | Self::TooManyBytes(number) => Some(number),
            Self::Empty => None,
        }
    }
}

/// Without the line number: whoever prints it puts the file's name before both.
impl fmt::Display for TraceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(_, error) => error.fmt(formatter),
            Self::NotText(_) => formatter.write_str("not UTF-8 text"),
            Self::IdInUse(_, id) => write!(formatter, "id {id} is still live"),
            Self::UnknownId(_, id) => write!(formatter, "id {id} has no live block"),
            Self::TooManyBlocks(_) => write!(formatter, "more than {SLOTS_MAX} live blocks"),
            Self::TooManyBytes(_) => formatter.write_str("size overflow over all live blocks"),
            Self::Empty => formatter.write_str("no operation in it"),
        }
    }
}

impl core::error::Error for TraceError {}
