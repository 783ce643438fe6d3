// SPDX-License-Identifier: BSD-2-Clause
use crate::padding::after6;
use core::fmt;
use postcard::fixint::le;
use serde::{Deserialize, Serialize};

/// Why a request was refused. Nothing has changed. The order of the variants is their number in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Error {
    /// The message is not a request.
    BadMessage(BadMessage),
    /// The client speaks another version of the protocol.
    BadVersion {
        /// The server's version.
        #[serde(with = "after6")]
        expected: u64,
        /// The message's label.
        #[serde(with = "le")]
        label: u64,
    },
    /// The flags have a bit that means nothing.
    BadFlags {
        /// The unknown bits.
        #[serde(with = "le")]
        unknown: u32,
    },
    /// A size that no memory could have, or 0 where that means nothing.
    BadSize {
        /// The size asked for.
        #[serde(with = "after6")]
        size: u64,
    },
    /// An alignment, boundary or cache mode that can't be had.
    BadAlignment {
        /// The number asked for.
        #[serde(with = "after6")]
        value: u64,
    },
    /// `count * size` is more than a `size_t` holds.
    Overflow {
        /// Elements.
        #[serde(with = "after6")]
        count: u64,
        /// Bytes in an element.
        #[serde(with = "le")]
        size: u64,
    },
    /// The client would have more than its limit.
    OverQuota {
        /// Its limit in bytes.
        #[serde(with = "after6")]
        limit: u64,
        /// What it has, in bytes; where it would give a share of its limit to a child, what is reserved for it if that is more.
        #[serde(with = "le")]
        committed: u64,
        /// What the step of the request that failed would have added, in bytes.
        #[serde(with = "le")]
        requested: u64,
    },
    /// The machine has not enough free memory.
    OutOfMemory {
        /// Bytes that are free.
        #[serde(with = "after6")]
        free: u64,
        /// Bytes asked for.
        #[serde(with = "le")]
        requested: u64,
    },
    /// There is enough free memory, but not in one piece.
    NoContiguousRun {
        /// Bytes of the largest free run that the request could have used.
        #[serde(with = "after6")]
        largest: u64,
        /// Bytes asked for.
        #[serde(with = "le")]
        requested: u64,
    },
    /// No memory at all lies at or below the address limit, or too little of it.
    AddressLimit {
        /// The limit asked for.
        #[serde(with = "after6")]
        max_addr: u64,
        /// Bytes of the largest free run below it.
        #[serde(with = "le")]
        largest: u64,
    },
    /// No address space, table or capability slot is left for the client.
    OutOfSlots {
        /// How many it may have.
        #[serde(with = "after6")]
        limit: u64,
    },
    /// Not the address of a block.
    BadPointer {
        /// The address.
        #[serde(with = "after6")]
        address: u64,
    },
    /// The block is free already.
    DoubleFree {
        /// The address.
        #[serde(with = "after6")]
        address: u64,
    },
    /// The address belongs to another client.
    NotOwner {
        /// The address.
        #[serde(with = "after6")]
        address: u64,
    },
    /// The memory is of another kind than the call is for: DMA memory, blocks, buckets.
    WrongKind {
        /// The address.
        #[serde(with = "after6")]
        address: u64,
    },
    /// The client may not do that.
    NotPermitted,
    /// The kernel refused what the server's books allow.
    Refused {
        /// The kernel's error number.
        #[serde(with = "le")]
        code: u32,
    },
    /// A handle, token or name of what is not there, or not any more.
    Stale {
        /// The handle or token; 0 for a name.
        #[serde(with = "after6")]
        handle: u64,
    },
    /// There is enough free memory, but too much of it has to be cleaned first; that is under way. The client library waits
    /// and asks again.
    BeingCleaned {
        /// Bytes that could be had now.
        #[serde(with = "after6")]
        usable: u64,
        /// Bytes that are free.
        #[serde(with = "le")]
        free: u64,
        /// Bytes that were asked for. If as many could be had now, but not in one run, it is worth asking again once all that
        /// is free is clean: [`AWAIT_ALL`](crate::AWAIT_ALL).
        #[serde(with = "le")]
        requested: u64,
    },
    /// The client has no such device: its manifest allows none, or it has not opened it.
    NoDevice {
        /// The number that was asked for.
        #[serde(with = "after6")]
        device: u64,
    },
    /// Another client has the device.
    DeviceBusy {
        /// The number that was asked for.
        #[serde(with = "after6")]
        device: u64,
    },
    /// Not a register of the device, or not one that a driver may write that to.
    BadRegister {
        /// Its offset, or the number of the base address.
        #[serde(with = "after6")]
        offset: u64,
    },
    /// The device has no interrupt, or shares its line with another one that is in use.
    SharedInterrupt {
        /// The line.
        #[serde(with = "after6")]
        line: u64,
    },
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum BadMessage {
    /// It has no words.
    Empty,
    /// It ends before its last field.
    Truncated,
    /// Its first byte names no request.
    UnknownRequest,
    /// A field has no meaning: text that is not UTF-8, a number encoded in more bytes than it needs.
    Encoding,
    /// More words than the request has, or padding that is not zero.
    Trailing,
    /// Capabilities came with it; they were not taken.
    Capabilities,
    /// Text longer than a message holds.
    TooLong,
}

impl Error {
    /// A small number for each error, for C (`kmalloc_last_error`) and statistics: 1 and up, in the order above.
    pub const fn number(&self) -> u32 {
        match self {
            Error::BadMessage(_) => 1,
            Error::BadVersion { .. } => 2,
            Error::BadFlags { .. } => 3,
            Error::BadSize { .. } => 4,
            Error::BadAlignment { .. } => 5,
            Error::Overflow { .. } => 6,
            Error::OverQuota { .. } => 7,
            Error::OutOfMemory { .. } => 8,
            Error::NoContiguousRun { .. } => 9,
            Error::AddressLimit { .. } => 10,
            Error::OutOfSlots { .. } => 11,
            Error::BadPointer { .. } => 12,
            Error::DoubleFree { .. } => 13,
            Error::NotOwner { .. } => 14,
            Error::WrongKind { .. } => 15,
            Error::NotPermitted => 16,
            Error::Refused { .. } => 17,
            Error::Stale { .. } => 18,
            Error::BeingCleaned { .. } => 19,
            Error::NoDevice { .. } => 20,
            Error::DeviceBusy { .. } => 21,
            Error::BadRegister { .. } => 22,
            Error::SharedInterrupt { .. } => 23,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::BadMessage(what) => write!(f, "the message is not a request: {what}"),
            Error::BadVersion { expected, label } => {
                write!(
                    f,
                    "the server speaks protocol version {expected}, the message has label {label:#x}"
                )
            }
            Error::BadFlags { unknown } => write!(f, "the flags have unknown bits {unknown:#x}"),
            Error::BadSize { size } => write!(f, "{size} bytes is not a size that can be had"),
            Error::BadAlignment { value } => {
                write!(f, "alignment, boundary or cache mode {value} can't be had")
            }
            Error::Overflow { count, size } => {
                write!(f, "{count} elements of {size} bytes overflow")
            }
            Error::OverQuota {
                limit,
                committed,
                requested,
            } => write!(
                f,
                "over quota: {requested} bytes more than the {committed} in use would pass the limit of {limit}"
            ),
            Error::OutOfMemory { free, requested } => {
                write!(f, "out of memory: {requested} bytes wanted, {free} free")
            }
            Error::NoContiguousRun { largest, requested } => {
                write!(
                    f,
                    "no contiguous run of {requested} bytes; the largest has {largest}"
                )
            }
            Error::AddressLimit { max_addr, largest } => {
                write!(
                    f,
                    "not enough memory at or below {max_addr:#x}; the largest free run has {largest} bytes"
                )
            }
            Error::OutOfSlots { limit } => write!(f, "no table or slot is left of {limit}"),
            Error::BadPointer { address } => {
                write!(f, "{address:#x} is not the address of a block")
            }
            Error::DoubleFree { address } => write!(f, "{address:#x} is free already"),
            Error::NotOwner { address } => write!(f, "{address:#x} belongs to another client"),
            Error::WrongKind { address } => write!(
                f,
                "{address:#x} is memory of another kind than this call is for"
            ),
            Error::NotPermitted => write!(f, "the client may not do that"),
            Error::Refused { code } => write!(f, "the kernel refused with error {code}"),
            Error::Stale { handle: 0 } => write!(f, "nobody alive has that name"),
            Error::Stale { handle } => {
                write!(f, "{handle:#x} names nothing that is there, or is any more")
            }
            Error::BeingCleaned {
                usable,
                free,
                requested,
            } if usable >= requested => write!(
                f,
                "{requested} bytes in one run wanted, which there is once all {free} free ones are clean, {usable} so far"
            ),
            Error::BeingCleaned {
                usable,
                free,
                requested,
            } => write!(
                f,
                "{requested} bytes wanted, {free} free, but only {usable} of them cleaned so far"
            ),
            Error::NoDevice { device } => write!(f, "the client has no device {device}"),
            Error::DeviceBusy { device } => write!(f, "another client has device {device}"),
            Error::BadRegister { offset } => {
                write!(
                    f,
                    "register {offset:#x} is not there, or not the driver's to write"
                )
            }
            Error::SharedInterrupt { line } => {
                write!(f, "interrupt line {line} can't be had by one device alone")
            }
        }
    }
}

impl core::error::Error for Error {}

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadMessage::Empty => "it is empty",
            BadMessage::Truncated => "it ends before its last field",
            BadMessage::UnknownRequest => "its first byte names no request",
            BadMessage::Encoding => "a field has no meaning",
            BadMessage::Trailing => "something follows its last field",
            BadMessage::Capabilities => "capabilities came with it",
            BadMessage::TooLong => "its text is too long",
        })
    }
}

#[cfg(test)]
mod tests;
