// SPDX-License-Identifier: BSD-2-Clause
//! Policy of the memory server: decode, check, act. Pure over a [`kernel::Kernel`]; no `unsafe`, no seL4.
//!
//! # Invariants
//! - A request that fails has changed nothing, but for page tables and frames of ledgers that stay with the client that
//!   they are charged to.
//! - Free pages + committed pages of all clients + pages of the server = what boot gave.
//! - No request runs a loop that is not bounded by its own size or a constant.
#![no_std]
#![forbid(unsafe_code)]
// Nothing that a client sends or does ends the server. What it reckons with is bounded before: that arithmetic does not
// overflow is for the tests, which run with checks of it.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod account;
mod alarm;
mod attach;
pub mod bits;
mod cleaning;
pub mod client;
mod copies;
pub mod dataspace;
mod device;
mod dispatch;
mod dma;
mod iommu;
pub mod kernel;
mod lives;
pub mod machine;
mod memory;
mod moving;
mod notices;
pub mod pci;
pub mod physical;
mod reclaim;
mod region;
mod resident;
mod resize;
mod run;
pub mod segments;
mod served;
mod share;
pub mod spawn;
mod statistics;
mod tables;
mod threads;

use crate::physical::{PAGE_BITS, Physical};
pub use account::Slots;
use alloc::vec;
use alloc::vec::Vec;
use client::{CLIENTS_MAX, Client};
use copies::Copies;
pub use copies::copy_count;
use dataspace::{DATASPACES_MAX, Dataspace, Dataspaces};
pub use dispatch::{Outcome, Quick};
use kernel::{ClientIndex, Kernel, Refused};
use kmalloc_protocol::Error;
use kmalloc_protocol::message::REQUEST_COUNT;
use kmalloc_protocol::statistics::{CallFigures, REASONS};
pub use lives::Work;
use memory::{PackedInfo, PageInfo};
use pci::{FUNCTIONS_MAX, Function};
use segments::Segments;
pub use spawn::Built;

/// The memory server.
#[derive(Debug)]
pub struct Server<K> {
    kernel: K,
    physical: Physical,
    segments: Segments,
    clients: Vec<Client>,
    dataspaces: Dataspaces,
    copies: Copies,
    /// Pages that are set aside for clients: the sum over all of what they have reserved and not taken.
    set_aside: usize,
    pages: Vec<PackedInfo>,
    mcs: bool,
    total_pages: usize,
    /// Whether the cleaner has been told to hurry.
    hurried: bool,
    /// Clients that were ever begun.
    births: u64,
    /// Clients that are to be built, or taken back.
    queue: lives::Queue,
    /// What clients are to be told.
    board: notices::Board,
    /// PCI functions, if they were looked for.
    functions: Vec<Function>,
    /// Levels of tables between functions and memory; 0 where they reach all memory.
    io_levels: u8,
    /// Why the last quick request was refused: out of the way of those that are not.
    refusal: Error,
    /// Why requests of each client were refused: beside the accounts, which a birth and a death copy.
    reasons: Vec<[u32; REASONS]>,
    /// How long requests took, by their number.
    latencies: Vec<CallFigures>,
    /// Whether requests are measured.
    measures: bool,
    /// Whether the kernel is told of what happens.
    traces: bool,
}

/// The books: bytes that are free and bytes that clients have; with the server's own they are all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    /// Free bytes, counted page by page.
    pub free: u64,
    /// Bytes committed to clients, by their accounts.
    pub committed: u64,
    /// Bytes given to the server at boot to hand out.
    pub total: u64,
}

impl Books {
    /// Whether nothing is missing and nothing is there twice.
    pub const fn balance(&self) -> bool {
        self.free + self.committed == self.total
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        Error::Refused { code: refused.code }
    }
}

/// Memory is short when less than one part in so many is free, unless the manifest says otherwise.
const PRESSURE_SHARE: usize = 16;

/// Segments for a machine with this many pages: address space is plenty, ledgers for it are not.
pub const fn segment_count(pages: usize) -> usize {
    let wanted = pages / 8;
    if wanted < 4096 {
        4096
    } else if wanted > 32_768 {
        32_768
    } else {
        wanted
    }
}

/// Bytes of all tables of a server for `page_capacity` pages, a little more than needed.
pub const fn table_bytes(page_capacity: usize) -> usize {
    let chunks = page_capacity / 16 + 1;
    let larges = page_capacity / 512 + 1;
    let bit_sets = (3 * page_capacity + 3 * chunks + 3 * larges) / 8;
    let pages = page_capacity * size_of::<PackedInfo>() + chunks * 2 + larges * 3;
    let segments = segment_count(page_capacity) * (size_of::<segments::Segment>() + 16);
    let clients = CLIENTS_MAX * size_of::<Client>();
    let dataspaces = DATASPACES_MAX * size_of::<Dataspace>();
    let copies = copy_count(page_capacity) * size_of::<copies::FrameCopy>();
    let functions = FUNCTIONS_MAX * (larges / 8 + 128);
    // Summary levels of the sets, alignment, and what the caller keeps a client.
    let all = pages + segments + clients + dataspaces + copies + functions;
    bit_sets + bit_sets / 32 + all + (256 << 10)
}

impl<K: Kernel> Server<K> {
    /// A server over `kernel` that hands out what is free in `physical`. `mcs` says whether the kernel has scheduling
    /// contexts. All of its tables are made here; none grows later.
    pub fn new(kernel: K, physical: Physical, mcs: bool) -> Server<K> {
        let total_pages = physical.free_pages();
        let capacity = physical.page_capacity();
        Server {
            kernel,
            segments: Segments::new(segment_count(total_pages)),
            clients: vec![Client::VACANT; CLIENTS_MAX],
            dataspaces: Dataspaces::new(),
            copies: Copies::new(copy_count(capacity)),
            set_aside: 0,
            pages: vec![PackedInfo::pack(PageInfo::FREE); capacity],
            physical,
            mcs,
            total_pages,
            hurried: false,
            births: 0,
            queue: lives::Queue::default(),
            board: notices::Board::new(total_pages / PRESSURE_SHARE),
            functions: Vec::with_capacity(FUNCTIONS_MAX),
            io_levels: 0,
            refusal: Error::NotPermitted,
            reasons: vec![[0; REASONS]; CLIENTS_MAX],
            latencies: vec![CallFigures::default(); usize::from(REQUEST_COUNT)],
            measures: false,
            traces: false,
        }
    }

    /// The books as they are now.
    pub fn books(&self) -> Books {
        let committed = self
            .clients
            .iter()
            .map(|client| client.committed_pages)
            .sum::<usize>();
        Books {
            free: (self.physical.free_pages() as u64) << PAGE_BITS,
            committed: (committed as u64) << PAGE_BITS,
            total: (self.total_pages as u64) << PAGE_BITS,
        }
    }

    /// The server's parts, when it serves no more.
    pub fn dissolve(self) -> (K, Physical) {
        (self.kernel, self.physical)
    }

    /// The books of physical memory.
    pub fn physical(&self) -> &Physical {
        &self.physical
    }

    /// The kernel below.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The kernel below.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// What the server keeps of a client; `None` outside the registry.
    pub fn client(&self, client: ClientIndex) -> Option<&Client> {
        self.clients.get(client.index())
    }
}
