// SPDX-License-Identifier: BSD-2-Clause
//! Why a request failed.

use core::fmt;

/// Why a request failed. A request that failed changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The client's memory limit does not allow it. All in bytes.
    OverQuota {
        /// What the client may have.
        limit: u64,
        /// What it has.
        committed: u64,
        /// What it asked for on top.
        requested: u64,
    },
    /// The server has not that much memory left.
    OutOfMemory {
        /// Bytes in the largest block that it could still give, 0 where that is not known.
        largest_free: u64,
    },
    /// Enough memory is free, but no run of it is contiguous.
    NoContiguousRun,
    /// No memory below the address that the device can reach.
    AddressLimit,
    /// The server or the client is out of capability slots.
    OutOfSlots,
    /// The window of the address space that the request needs is full.
    OutOfAddressSpace,
    /// The size overflows, or is none that can be served.
    BadSize,
    /// The alignment is not a power of two, or none that can be served.
    BadAlignment,
    /// A flag that does not exist.
    BadFlags,
    /// The pointer is not the start of a block.
    BadPointer,
    /// The block was freed before.
    DoubleFree,
    /// The block is another client's.
    NotOwner,
    /// The server did not understand the request, or the client did not understand the reply.
    BadMessage,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::OverQuota {
                limit,
                committed,
                requested,
            } => write!(
                formatter,
                "over quota: {requested} bytes asked for with {committed} of {limit} in use"
            ),
            Error::OutOfMemory { largest_free } => {
                write!(
                    formatter,
                    "out of memory: the largest free block has {largest_free} bytes"
                )
            }
            Error::NoContiguousRun => {
                formatter.write_str("no contiguous run of memory is long enough")
            }
            Error::AddressLimit => formatter.write_str("no free memory below the address limit"),
            Error::OutOfSlots => formatter.write_str("out of capability slots"),
            Error::OutOfAddressSpace => formatter.write_str("out of address space"),
            Error::BadSize => formatter.write_str("the size overflows or can't be served"),
            Error::BadAlignment => {
                formatter.write_str("the alignment is not a power of two or can't be served")
            }
            Error::BadFlags => formatter.write_str("no such flag"),
            Error::BadPointer => formatter.write_str("the pointer is not the start of a block"),
            Error::DoubleFree => formatter.write_str("the block was freed before"),
            Error::NotOwner => formatter.write_str("the block is another client's"),
            Error::BadMessage => formatter.write_str("a message could not be decoded"),
        }
    }
}

impl core::error::Error for Error {}
