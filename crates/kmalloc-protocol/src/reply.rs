// SPDX-License-Identifier: BSD-2-Clause
use crate::Error;
use crate::padding::after6;
use crate::statistics::Figures;
use postcard::fixint::le;
use serde::{Deserialize, Serialize};

/// What the server answers.
pub type Response = Result<Reply, Error>;

/// A success. The order of the variants is their number in a message: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done; there is nothing to say.
    Done,
    /// A block.
    Block {
        /// Its address.
        #[serde(with = "after6")]
        address: u64,
    },
    /// A new block for an old one, which is still allocated: the client copies, then frees the old one.
    Moved {
        /// The new block's address.
        #[serde(with = "after6")]
        address: u64,
        /// Bytes to copy from the old block.
        #[serde(with = "le")]
        copy: u64,
    },
    /// A number of bytes.
    Size {
        /// Usable bytes.
        #[serde(with = "after6")]
        size: u64,
    },
    /// DMA memory.
    Dma {
        /// Where the client sees it.
        #[serde(with = "after6")]
        address: u64,
        /// Where a device sees it.
        #[serde(with = "le")]
        dma_addr: u64,
        /// Bytes, whole pages.
        #[serde(with = "le")]
        size: u64,
    },
    /// Buckets or pages.
    Region {
        /// The first byte.
        #[serde(with = "after6")]
        address: u64,
        /// Bytes.
        #[serde(with = "le")]
        size: u64,
    },
    /// The client's figures.
    Stats(Stats),
    /// The time.
    Time {
        /// Microseconds since the server was booted.
        #[serde(with = "after6")]
        now_us: u64,
    },
    /// A client.
    Client {
        /// Its handle: of this life of this client, and never used again.
        #[serde(with = "after6")]
        handle: u64,
    },
    /// A child has ended, and everything that it had is back.
    Ended(Ended),
    /// What has happened.
    Events {
        /// Bits of [`Events`](crate::Events).
        #[serde(with = "le")]
        events: u32,
    },
    /// A dataspace.
    Dataspace {
        /// Its token, which no other dataspace ever has.
        #[serde(with = "after6")]
        token: u64,
        /// Bytes, whole pages.
        #[serde(with = "le")]
        size: u64,
    },
    /// A PCI function.
    Device {
        /// What to call it in requests.
        function: u8,
        /// Bus, device and function, as PCI packs them in 16 bits.
        #[serde(with = "le")]
        address: u32,
        /// Device in the high half, vendor in the low one.
        #[serde(with = "le")]
        id: u32,
        /// Class, subclass and interface.
        #[serde(with = "le")]
        class: u32,
    },
    /// A word.
    Value {
        /// The word.
        #[serde(with = "le")]
        value: u32,
    },
    /// A page of figures; what they are, the request says.
    Figures(Figures),
}

/// The end of a client, as its parent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The client's handle.
    #[serde(with = "after6")]
    pub handle: u64,
    /// The exit status; the address, capability or number that a fault is about; the number of the error
    /// ([`Error::number`](crate::Error::number)) of a client that could not be started.
    #[serde(with = "le")]
    pub value: u64,
    /// The instruction that faulted; of a client that was killed, where its first thread stood.
    #[serde(with = "le")]
    pub instruction: u64,
    /// Requests it made, as a number.
    #[serde(with = "le")]
    pub calls: u64,
    /// The most bytes that it had.
    #[serde(with = "le")]
    pub peak: u64,
    /// Bytes of memory that it had not given back itself.
    #[serde(with = "le")]
    pub held: u64,
    /// How it ended.
    pub cause: Cause,
}

/// How a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Cause {
    /// It said so; `value` is its status.
    Exit,
    /// It was killed.
    Killed,
    /// It could not be started; `value` is the number of the error.
    NotStarted,
    /// It touched memory that is not mapped, or not so.
    VmFault,
    /// It named a capability that is not there.
    CapFault,
    /// It made a system call that does not exist.
    UnknownSyscall,
    /// A processor exception.
    UserException,
    /// Its scheduling context ran out of time.
    Timeout,
    /// It forged a fault message.
    UnknownFault,
}

/// A client's figures. Bytes unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// What the client may have at the most, all costs included.
    #[serde(with = "after6")]
    pub limit: u64,
    /// What it has: image, stack, blocks, buckets, page tables, and the server's ledgers for it.
    #[serde(with = "le")]
    pub committed: u64,
    /// The most it has had.
    #[serde(with = "le")]
    pub committed_peak: u64,
    /// Served blocks in use, at their usable size.
    #[serde(with = "le")]
    pub block_bytes: u64,
    /// The most of it.
    #[serde(with = "le")]
    pub block_bytes_peak: u64,
    /// Served blocks in use, as a number.
    #[serde(with = "le")]
    pub blocks: u64,
    /// Buckets and large regions that the client cuts itself.
    #[serde(with = "le")]
    pub region_bytes: u64,
    /// DMA memory.
    #[serde(with = "le")]
    pub dma_bytes: u64,
    /// Requests so far, as a number.
    #[serde(with = "le")]
    pub calls: u64,
    /// Requests refused so far, as a number.
    #[serde(with = "le")]
    pub failures: u64,
    /// What of the limit it can have whatever others do.
    #[serde(with = "le")]
    pub reserved: u64,
    /// Dataspaces that it has made and holds.
    #[serde(with = "le")]
    pub dataspace_bytes: u64,
    /// How many capabilities the server may hold for it, as a number.
    #[serde(with = "le")]
    pub slot_limit: u64,
    /// How many the server holds, as a number.
    #[serde(with = "le")]
    pub slots: u64,
    /// The most of it, as a number.
    #[serde(with = "le")]
    pub slots_peak: u64,
}
