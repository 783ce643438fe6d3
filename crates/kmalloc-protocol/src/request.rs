// SPDX-License-Identifier: BSD-2-Clause
use crate::padding::{after3, after4, after6, after7};
use postcard::fixint::le;
use serde::{Deserialize, Serialize};

/// What a client asks for. The order of the variants is their number in a message: new ones go to the end.
///
/// Sizes and addresses are bytes; `flags` are the bits of [`Flags`](crate::Flags).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// A block of at least `size` bytes. Reply: [`Block`](crate::Reply::Block).
    Kmalloc {
        /// Bits of [`Flags`](crate::Flags).
        #[serde(with = "le")]
        flags: u32,
        /// Bytes wanted; 0 is served as 1.
        #[serde(with = "after3")]
        size: u64,
    },
    /// An array of `count` elements of `size` bytes. Reply: [`Block`](crate::Reply::Block).
    Kcalloc {
        /// Bits of [`Flags`](crate::Flags).
        #[serde(with = "le")]
        flags: u32,
        /// Elements.
        #[serde(with = "after3")]
        count: u64,
        /// Bytes in an element.
        #[serde(with = "le")]
        size: u64,
    },
    /// Another size for a block. Address 0 acts as `Kmalloc`, size 0 as `Kfree`. Reply:
    /// [`Block`](crate::Reply::Block) with the contents in place, [`Moved`](crate::Reply::Moved) with a copy left to
    /// do, or [`Done`](crate::Reply::Done) when it was freed.
    Krealloc {
        /// Bits of [`Flags`](crate::Flags).
        #[serde(with = "le")]
        flags: u32,
        /// The block, or 0.
        #[serde(with = "after3")]
        address: u64,
        /// Bytes wanted.
        #[serde(with = "le")]
        size: u64,
    },
    /// `Krealloc` to `count * size` bytes, refused when the product overflows.
    KreallocArray {
        /// Bits of [`Flags`](crate::Flags).
        #[serde(with = "le")]
        flags: u32,
        /// The block, or 0.
        #[serde(with = "after3")]
        address: u64,
        /// Elements.
        #[serde(with = "le")]
        count: u64,
        /// Bytes in an element.
        #[serde(with = "le")]
        size: u64,
    },
    /// Gives a block back; address 0 does nothing. Reply: [`Done`](crate::Reply::Done).
    Kfree {
        /// The block, or 0.
        #[serde(with = "after7")]
        address: u64,
    },
    /// How many bytes of a block may be used. Reply: [`Size`](crate::Reply::Size).
    Ksize {
        /// The block.
        #[serde(with = "after7")]
        address: u64,
    },
    /// Physically contiguous memory. Reply: [`Dma`](crate::Reply::Dma).
    KmallocDma {
        /// log2 of the alignment of the first byte's physical address; up to 12 costs nothing.
        align_bits: u8,
        /// log2 of a power of two of bytes that the memory must not cross; 0 for none.
        boundary_bits: u8,
        /// The number of a [`Cache`](crate::Cache) mode.
        cache: u8,
        /// Bytes wanted; rounded up to whole pages, not to a power of two.
        #[serde(with = "after4")]
        size: u64,
        /// The last byte's physical address is at or below this.
        #[serde(with = "le")]
        max_addr: u64,
    },
    /// Gives DMA memory back. Reply: [`Done`](crate::Reply::Done).
    KfreeDma {
        /// The memory's virtual address, or 0.
        #[serde(with = "after7")]
        address: u64,
    },
    /// The client's own figures. Reply: [`Stats`](crate::Reply::Stats), which does not fit four words.
    Stats,
    /// Whole buckets, mapped and zero, one behind the other, for the client to cut. Reply:
    /// [`Region`](crate::Reply::Region).
    Grant {
        /// log2 of the bytes in a bucket, 12 to 21; a bucket is aligned to its size.
        size_bits: u8,
        /// How many buckets.
        #[serde(with = "le")]
        count: u32,
    },
    /// Whole pages with address space behind them, zero. Reply: [`Region`](crate::Reply::Region).
    GrantLarge {
        /// log2 of the alignment of its address; up to 12 costs nothing.
        align_bits: u8,
        /// Bytes wanted; rounded up to whole pages.
        #[serde(with = "after6")]
        size: u64,
    },
    /// Another size for a region of `GrantLarge`; its frames are remapped where it must move, and no byte is copied.
    /// Reply: [`Region`](crate::Reply::Region).
    Resize {
        /// The region's address.
        #[serde(with = "after7")]
        address: u64,
        /// Bytes wanted, at least 1; rounded up to whole pages.
        #[serde(with = "le")]
        size: u64,
    },
    /// Gives a bucket or a large region back. Reply: [`Done`](crate::Reply::Done).
    Release {
        /// The bucket's or region's address.
        #[serde(with = "after7")]
        address: u64,
    },
    /// Text for the console. Reply: [`Done`](crate::Reply::Done).
    Print {
        /// At most [`message::TEXT_BYTES_MAX`](crate::message::TEXT_BYTES_MAX) bytes.
        text: &'a str,
    },
    /// The client ends. There is no reply.
    Exit {
        /// 0 for success.
        #[serde(with = "le")]
        status: u32,
    },
    /// A segment: 2 MiB of address space of which the first `size` bytes are mapped, zero. Its other pages can be mapped
    /// and unmapped one by one, unless all were mapped at once. It goes back by `Release`. Reply:
    /// [`Region`](crate::Reply::Region).
    OpenSegment {
        /// Bytes mapped, whole pages, at least one and at most 2 MiB.
        #[serde(with = "after7")]
        size: u64,
    },
    /// Maps pages of an open segment, zero. Reply: [`Done`](crate::Reply::Done).
    Map {
        /// The first page.
        #[serde(with = "after7")]
        address: u64,
        /// Bytes, whole pages, none of them mapped.
        #[serde(with = "le")]
        size: u64,
    },
    /// Unmaps pages of an open segment. Reply: [`Done`](crate::Reply::Done).
    Unmap {
        /// The first page.
        #[serde(with = "after7")]
        address: u64,
        /// Bytes, whole pages, all of them mapped.
        #[serde(with = "le")]
        size: u64,
    },
    /// One more thread in the client. It begins with the argument in RDI and the address of its IPC buffer in RSI.
    /// Reply: [`Done`](crate::Reply::Done).
    StartThread {
        /// Its first instruction.
        #[serde(with = "after7")]
        entry: u64,
        /// Its first stack pointer, a multiple of 16.
        #[serde(with = "le")]
        stack: u64,
        /// Whatever the thread is to get.
        #[serde(with = "le")]
        argument: u64,
    },
    /// Signals the client's notification once, when this time has passed; an alarm set before is forgotten. Reply:
    /// [`Time`](crate::Reply::Time).
    SetAlarm {
        /// Microseconds from now; 0 for no alarm.
        #[serde(with = "after7")]
        delay_us: u64,
    },
    /// Starts a client whose manifest entry waits for that, as a child. It is built while others are served. Reply:
    /// [`Client`](crate::Reply::Client).
    Start {
        /// Bytes of the caller's own limit that the child gets as its limit; 0 for what its manifest entry says. They
        /// come back when the child has ended.
        #[serde(with = "after7")]
        memory: u64,
        /// The entry's name; behind it, each after a zero byte, arguments that follow those of the manifest. At most
        /// [`message::START_TEXT_BYTES_MAX`](crate::message::START_TEXT_BYTES_MAX) bytes.
        text: &'a str,
    },
    /// Ends a client: a child, or one that the manifest allows the caller to kill. Reply: [`Done`](crate::Reply::Done).
    Kill {
        /// The client's handle.
        #[serde(with = "after7")]
        handle: u64,
    },
    /// The end of a child, once everything that it had is back. Reply: [`Ended`](crate::Reply::Ended), and the handle is
    /// stale from then on; [`Done`](crate::Reply::Done) where there is nothing to say yet.
    Reap {
        /// The child's handle; 0 for any child.
        #[serde(with = "after7")]
        handle: u64,
    },
    /// What has happened since it was last asked for. Reply: [`Events`](crate::Reply::Events).
    Events,
    /// Which of the events that one has to ask for the client wants to be signalled; none at first. Reply:
    /// [`Done`](crate::Reply::Done).
    Watch {
        /// Bits of [`Events`](crate::Events).
        #[serde(with = "le")]
        events: u32,
    },
    /// Says that the client waits for memory: it is signalled when that much can be had, with the tables and ledgers that
    /// come with it, or when the time is over. A second one takes the place of the first, and 0 bytes ends the waiting.
    /// Reply: [`Done`](crate::Reply::Done).
    AwaitMemory {
        /// Bytes wanted, or [`AWAIT_ALL`](crate::AWAIT_ALL).
        #[serde(with = "after7")]
        size: u64,
        /// Microseconds to wait at the most.
        #[serde(with = "le")]
        timeout_us: u64,
    },
    /// The client that has this name in the manifest. Reply: [`Client`](crate::Reply::Client).
    Find {
        /// Its name.
        name: &'a str,
    },
    /// Whole pages that several clients can have mapped, zero. Nobody has them mapped yet. Reply:
    /// [`Dataspace`](crate::Reply::Dataspace).
    MakeDataspace {
        /// Bytes wanted; rounded up to whole pages.
        #[serde(with = "after7")]
        size: u64,
    },
    /// Lets another client attach a dataspace that this one made. Reply: [`Done`](crate::Reply::Done).
    ShareDataspace {
        /// 1 if the other client may write to it, 0 if it may only read.
        writable: u8,
        /// The dataspace's token.
        #[serde(with = "after6")]
        token: u64,
        /// The other client's handle.
        #[serde(with = "le")]
        handle: u64,
    },
    /// Maps a dataspace, which the client made or was let to attach. Reply: [`Region`](crate::Reply::Region).
    Attach {
        /// 1 to read and write, 0 only to read.
        writable: u8,
        /// The dataspace's token.
        #[serde(with = "after6")]
        token: u64,
    },
    /// Unmaps a dataspace. Reply: [`Done`](crate::Reply::Done).
    Detach {
        /// Where it was attached.
        #[serde(with = "after7")]
        address: u64,
    },
    /// Lets go of a dataspace that the client made: nobody attaches it any more, and with the last one that detaches it
    /// its memory goes back. Reply: [`Done`](crate::Reply::Done).
    CloseDataspace {
        /// The dataspace's token.
        #[serde(with = "after7")]
        token: u64,
    },
    /// Takes one of the PCI functions that the manifest allows the client. Reply: [`Device`](crate::Reply::Device).
    OpenDevice {
        /// Which of them, from 0.
        index: u8,
    },
    /// Reads a word of the configuration space of a function that the client has. Reply:
    /// [`Value`](crate::Reply::Value).
    PciConfigRead {
        /// The function, as it was opened.
        function: u8,
        /// Bytes from the start, a multiple of 4 below 256.
        #[serde(with = "le")]
        offset: u32,
    },
    /// Writes a word of the configuration space of a function that the client has, if it is harmless to others. Reply:
    /// [`Done`](crate::Reply::Done).
    PciConfigWrite {
        /// The function, as it was opened.
        function: u8,
        /// Bytes from the start, a multiple of 4 below 256.
        #[serde(with = "le")]
        offset: u32,
        /// The word.
        #[serde(with = "le")]
        value: u32,
    },
    /// Maps the registers behind a base address of a function that the client has, uncached. Reply:
    /// [`Region`](crate::Reply::Region).
    MapBar {
        /// The function, as it was opened.
        function: u8,
        /// Number of the base address, 0 to 5.
        bar: u8,
    },
    /// Has the interrupt of a function that the client has signal the client's notification. Reply:
    /// [`Done`](crate::Reply::Done).
    EnableInterrupt {
        /// The function, as it was opened.
        function: u8,
    },
    /// Lets the interrupt of a function come again. Reply: [`Done`](crate::Reply::Done).
    AckInterrupt {
        /// The function, as it was opened.
        function: u8,
    },
    /// Says that a function no longer uses memory of its former driver. Reply: [`Done`](crate::Reply::Done).
    ReleaseQuarantine {
        /// The function, as it was opened.
        function: u8,
    },
    /// Figures about the whole system, if the manifest lets the client see them. Reply: a page of them, or
    /// [`Done`](crate::Reply::Done) where there are no more.
    Observe {
        /// The number of a [`Subject`](crate::statistics::Subject).
        subject: u8,
        /// Whom or what: a handle, or the number of a request.
        #[serde(with = "after6")]
        of: u64,
        /// Where to go on: 0 first, then what the last page said.
        #[serde(with = "le")]
        cursor: u64,
    },
}
