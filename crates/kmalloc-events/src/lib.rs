// SPDX-License-Identifier: BSD-2-Clause
//! The trace channel: what the memory server tells of itself while it runs, over a serial port of its own.
//!
//! Each [`Record`] is one postcard value, framed by COBS: no byte of it is zero, and a zero byte follows. So a reader that
//! comes late, or that lost bytes, is in step again with the next zero. The figures in the records are those of
//! [`kmalloc_protocol::statistics`], the same that a client may ask for.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

use kmalloc_protocol::Cause;
use kmalloc_protocol::statistics::{
    BlockFigures, CallFigures, ClientFigures, FailureFigures, LargeFigures, MemoryFigures,
    UseFigures,
};
use serde::{Deserialize, Serialize};

/// The version of everything in this crate. It changes whenever an encoding does.
pub const VERSION: u16 = 1;

/// Bytes of the longest frame, its zero included.
pub const FRAME_BYTES_MAX: usize = 256;

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// When, in ticks of the processor's counter.
    pub ticks: u64,
    /// What.
    #[serde(borrow)]
    pub event: Event<'a>,
}

/// What happened. A `client` is a handle. The order of the variants is their number in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event<'a> {
    /// The channel begins.
    Begin {
        /// [`VERSION`].
        version: u16,
        /// Ticks of the processor's counter in a second.
        hertz: u64,
        /// Bytes of memory that the kernel gave.
        memory: u64,
        /// Of those, the ones that the server has for itself.
        server: u64,
    },
    /// A client has begun.
    Birth {
        /// Who.
        client: u64,
        /// Its parent; 0 if the root task started it.
        parent: u64,
        /// Its name in the manifest.
        name: &'a str,
        /// Its program's.
        program: &'a str,
    },
    /// A client got a run of pages.
    Grant {
        /// Who.
        client: u64,
        /// The first address; its window tells the kind of memory.
        address: u64,
        /// How many pages.
        pages: u32,
    },
    /// Pages of a client's segment were mapped.
    Map {
        /// Who.
        client: u64,
        /// The first address.
        address: u64,
        /// How many pages.
        pages: u32,
    },
    /// Pages of a client were unmapped.
    Free {
        /// Who.
        client: u64,
        /// The first address.
        address: u64,
        /// How many pages.
        pages: u32,
    },
    /// A client has attached a dataspace.
    Attach {
        /// Who.
        client: u64,
        /// The first address.
        address: u64,
        /// How many pages.
        pages: u32,
    },
    /// A client has faulted.
    Fault {
        /// Who.
        client: u64,
        /// How.
        cause: Cause,
        /// The address, capability or number that it is about.
        address: u64,
        /// The instruction.
        instruction: u64,
    },
    /// A client has ended.
    Death {
        /// Who.
        client: u64,
        /// How.
        cause: Cause,
        /// The status, or the number of an error, or what a fault is about.
        value: u64,
        /// Requests it made.
        calls: u64,
        /// The most bytes it had.
        peak: u64,
        /// What it still held.
        held: Held,
    },
    /// A request was served: one of many, those that are not told of are in the histograms.
    Call {
        /// Whose.
        client: u64,
        /// The request's number.
        operation: u8,
        /// How long it took, in ticks.
        ticks: u64,
        /// The number of the error, or 0.
        error: u32,
    },
    /// A sample: physical memory.
    Memory(MemoryFigures),
    /// A sample: an account.
    Account(ClientFigures),
    /// A sample: what a client has its memory for.
    Use(u64, UseFigures),
    /// A sample: why a client's requests were refused.
    Failures(u64, FailureFigures),
    /// A sample: the blocks of one segment of a client.
    Blocks(u64, BlockFigures),
    /// A sample: a large page.
    Large(LargeFigures),
    /// A sample: how long requests with this number took so far.
    Calls(u8, CallFigures),
    /// All samples of one round have been sent.
    Sampled,
    /// The channel ends.
    End {
        /// Whether the books balance.
        balanced: bool,
    },
}

/// What a client still held when it ended, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Served blocks, as a number.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Bytes of buckets and segments.
    pub resident_bytes: u64,
    /// Bytes of large regions.
    pub large_bytes: u64,
    /// Bytes of DMA memory.
    pub dma_bytes: u64,
    /// Bytes of dataspaces that it made.
    pub shared_bytes: u64,
}

impl Held {
    /// All bytes.
    pub const fn bytes(&self) -> u64 {
        self.block_bytes
            + self.resident_bytes
            + self.large_bytes
            + self.dma_bytes
            + self.shared_bytes
    }
}

/// The frame of a record, its zero included; `None` where it is longer than `frame`.
pub fn encode<'f>(record: &Record<'_>, frame: &'f mut [u8; FRAME_BYTES_MAX]) -> Option<&'f [u8]> {
    postcard::to_slice_cobs(record, frame)
        .ok()
        .map(|bytes| &*bytes)
}

/// The record in a frame, with its zero or without, which is decoded in place; `None` where it is none.
pub fn decode(frame: &mut [u8]) -> Option<Record<'_>> {
    postcard::from_bytes_cobs(frame).ok()
}

#[cfg(test)]
mod tests;
