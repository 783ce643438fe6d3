// SPDX-License-Identifier: BSD-2-Clause
//! What the server keeps of a client.

use crate::account::Slots;
use crate::kernel::{Budget, ClientIndex, Worker};
use crate::notices::Notices;
use crate::pci::FUNCTIONS_MAX;
use crate::segments::SEGMENT_PAGES;
use crate::spawn::Build;
use kmalloc_bucket::ledger::NONE;
use kmalloc_bucket::size_class::CLASS_COUNT;
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Cause, Error};

/// Clients that can be alive at once.
pub const CLIENTS_MAX: usize = 448;
/// Page directories of one client: 1 GiB of address space each.
pub const DIRECTORIES_MAX: usize = 24;

/// Segments that a client may have whatever its limit.
const SEGMENTS_BASE: usize = 16;

/// No message has this badge.
pub const NO_BADGE: u64 = u64::MAX;

/// No alarm is set.
pub const NO_ALARM: u64 = u64::MAX;

const _: () = assert!(FUNCTIONS_MAX <= u32::BITS as usize);

const INDEX_BITS: u32 = 9;
const GENERATION_BITS: u32 = 16;
const FAULT_BIT: u32 = INDEX_BITS + GENERATION_BITS;

/// Workers have the last places that a badge can name, from the end on, and no client ever has them.
const WORKERS_END: u16 = 1 << INDEX_BITS;

const _: () = assert!(CLIENTS_MAX + Worker::ALL.len() <= 1 << INDEX_BITS);

/// This bit is set in the badges of signals, and of no message of a client: they come by the notification that is bound to
/// the server's thread. Several signals arrive as one, with the bits of all.
pub const SIGNAL: u64 = 1 << (FAULT_BIT + 1);

const _: () = assert!(SIGNAL < 1 << 28, "a badge has 28 bits on the oldest kernel");

/// The handle of the client in place `client` that was born as number `serial`; never 0, since serials begin at 1.
pub const fn handle(client: ClientIndex, serial: u64) -> u64 {
    serial << INDEX_BITS | client.0 as u64
}

/// The place that a handle speaks of.
pub const fn place_of_handle(handle: u64) -> ClientIndex {
    ClientIndex((handle & ((1 << INDEX_BITS) - 1)) as u16)
}

/// What a badge says: which client, which of its lives, and whether the kernel speaks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Badge {
    /// The client's place in the registry.
    pub client: ClientIndex,
    /// Which life of that place.
    pub generation: u16,
    /// Whether the message is a fault.
    pub fault: bool,
}

impl Badge {
    /// The badge as the kernel carries it.
    pub const fn pack(self) -> u64 {
        self.client.0 as u64
            | (self.generation as u64) << INDEX_BITS
            | (self.fault as u64) << FAULT_BIT
    }

    /// A badge from the kernel.
    #[inline(always)]
    pub const fn unpack(badge: u64) -> Badge {
        Badge {
            client: ClientIndex((badge & ((1 << INDEX_BITS) - 1)) as u16),
            generation: (badge >> INDEX_BITS) as u16,
            fault: badge >> FAULT_BIT & 1 == 1,
        }
    }

    /// The badge of a worker's calls, or of its faults.
    pub const fn of_worker(worker: Worker, fault: bool) -> Badge {
        Badge {
            client: ClientIndex(WORKERS_END - 1 - worker.index() as u16),
            generation: 0,
            fault,
        }
    }

    /// The worker that has this badge; `None` for a client's.
    #[inline]
    pub fn worker(self) -> Option<Worker> {
        let index = (WORKERS_END - 1).checked_sub(self.client.0)?;
        Worker::ALL.get(usize::from(index)).copied()
    }
}

/// Where a client is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Nobody has this place.
    Vacant,
    /// It is being built, slice by slice.
    Building,
    /// It runs.
    Alive,
    /// It has ended; what it had is being taken back, slice by slice.
    Ending,
    /// It has nothing any more but dataspaces that others have attached.
    Lingering,
    /// It has nothing any more; its parent has not asked for its end yet.
    Dead,
}

/// How a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It said so.
    Exit {
        /// 0 for success.
        status: u32,
    },
    /// The kernel reported a fault.
    Fault(Fault),
    /// Somebody ended it.
    Killed,
    /// It could not be built.
    NotStarted(Error),
}

/// A fault, as the kernel reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The address, capability or number that the fault is about.
    pub address: u64,
    /// The instruction.
    pub instruction: u64,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An address that is not mapped so.
    Vm,
    /// A capability that is not there.
    Capability,
    /// A system call that does not exist.
    UnknownSyscall,
    /// A processor exception.
    Exception,
    /// The time of a scheduling context is used up.
    Timeout,
    /// A message on the fault endpoint that is no fault of the kernel's: forged.
    Unknown,
}

impl FaultKind {
    /// One word for reports.
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Vm => "vm",
            FaultKind::Capability => "capability",
            FaultKind::UnknownSyscall => "syscall",
            FaultKind::Exception => "exception",
            FaultKind::Timeout => "timeout",
            FaultKind::Unknown => "unknown",
        }
    }

    /// What a parent is told.
    pub const fn cause(self) -> Cause {
        match self {
            FaultKind::Vm => Cause::VmFault,
            FaultKind::Capability => Cause::CapFault,
            FaultKind::UnknownSyscall => Cause::UnknownSyscall,
            FaultKind::Exception => Cause::UserException,
            FaultKind::Timeout => Cause::Timeout,
            FaultKind::Unknown => Cause::UnknownFault,
        }
    }
}

/// Counters of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Requests.
    pub calls: u64,
    /// Requests refused.
    pub failures: u64,
    /// Served blocks in use. Kept apart from their bytes: counters side by side would be counted with SSE, which costs a
    /// switch of the FPU on the way of a call.
    pub blocks: u64,
    /// The most bytes of served blocks in use.
    pub block_bytes_peak: u64,
    /// Bytes of served blocks in use.
    pub block_bytes: u64,
    /// Pages of buckets and large regions.
    pub region_pages: u64,
    /// Pages of DMA memory.
    pub dma_pages: u64,
    /// Pages of the dataspaces that it has made and holds.
    pub dataspace_pages: u64,
    /// Of the pages of buckets and large regions, those of large regions.
    pub large_pages: u64,
    /// Pages of dataspaces that it has attached.
    pub attached_pages: u64,
    /// Chunks that its kernel objects are made of.
    pub object_chunks: u64,
    /// Pages of the server's books about it.
    pub ledger_pages: u64,
}

/// A place in the registry.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where it is in its life.
    pub life: Life,
    /// The badge of its requests while it is alive, else [`NO_BADGE`]; that one too while all requests are measured, so that
    /// none is served quickly.
    pub badge: u64,
    /// Which life of this place; a badge from an earlier one is stale.
    pub generation: u16,
    /// Pages it may have.
    pub limit_pages: usize,
    /// Pages that it can have whatever others do.
    pub reserved_pages: usize,
    /// Pages it has.
    pub committed_pages: usize,
    /// The most it has had.
    pub committed_peak: usize,
    /// Slots that it may have, and has.
    pub slots: Slots,
    /// For each class, the first bucket that has a free block, by page number.
    pub partial: [u32; CLASS_COUNT],
    /// For each window, the first segment.
    pub segments: [u32; Window::ALL.len()],
    /// How many segments that are.
    pub segment_count: usize,
    /// First of the physical pages that the client has.
    pub pages: u32,
    /// First of the chunks of kernel objects that the client has.
    pub chunks: u32,
    /// First of the chunks that kernel objects are to be made of later.
    pub stock: u32,
    /// Bytes from the start of the first chunk that objects have been made of: the kernel's own mark.
    pub chunk_used: usize,
    /// First of the page tables that are not in use.
    pub spare_tables: u32,
    /// First of the tables of functions' address spaces that are not in use.
    pub spare_io_tables: u32,
    /// The address space.
    pub vspace: u32,
    /// Page directories: which GiB each maps.
    pub directories: [u16; DIRECTORIES_MAX],
    /// How many page directories it has.
    pub directory_count: u8,
    /// First of the copies by which it has dataspaces mapped, and its devices reach its DMA memory.
    pub copies: u32,
    /// First of the dataspaces that it holds, or, when it has ended, that it is to free.
    pub dataspaces: u32,
    /// Dataspaces that it has made and that are still there.
    pub dataspace_count: u16,
    /// How many threads run.
    pub threads: u8,
    /// Objects made for threads behind the first. Those of one that could not be started wait for the next.
    pub thread_objects: u8,
    /// The priority of its threads, 0 to 255.
    pub priority: u8,
    /// Whether its pages may be moved.
    pub movable: bool,
    /// Faults that may be due to pages that were moved: so many are answered by another try.
    pub retries: u8,
    /// The functions that it may have: a bit for each that the server knows.
    pub devices: u32,
    /// When its alarm is due, in microseconds since boot; [`NO_ALARM`] if none is set.
    pub alarm_us: u64,
    /// The time of each of its threads, where that is limited.
    pub budget: Option<Budget>,
    /// Its counters.
    pub counters: Counters,
    /// The number of its birth; no two clients ever have the same.
    pub serial: u64,
    /// Who its parent, children and neighbours are.
    pub family: Family,
    /// How it ended, once it has.
    pub obituary: Option<Obituary>,
    /// How far it is built.
    pub(crate) build: Build,
    /// What happened that it has not asked for yet, and what it wants to hear of.
    pub(crate) notices: Notices,
    /// The next in the server's queue of work.
    pub(crate) queue_next: Option<ClientIndex>,
    /// Keeps the size of a place off a power of two; see below.
    pub(crate) _apart: u64,
}

/// A client among others. What a parent gives to a child, it has not itself until the child has ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Family {
    /// Who started it; `None` for what the root task started.
    pub parent: Option<ClientIndex>,
    /// The child that started last.
    pub first_child: Option<ClientIndex>,
    /// The next child of the same parent.
    pub next: Option<ClientIndex>,
    /// The one before.
    pub previous: Option<ClientIndex>,
    /// How many children there are, the dead ones that were not reaped included.
    pub children: u16,
    /// How many there may be.
    pub children_max: u16,
    /// Pages of its parent's limit that are its limit.
    pub given_pages: usize,
}

// From an index to the place is one instruction, a multiplication. By a power of two it would be two: copied and shifted.
const _: () = assert!(!size_of::<Client>().is_power_of_two());

impl Client {
    /// A vacant place.
    pub const VACANT: Client = Client {
        life: Life::Vacant,
        badge: NO_BADGE,
        generation: 0,
        limit_pages: 0,
        reserved_pages: 0,
        committed_pages: 0,
        committed_peak: 0,
        slots: Slots::NONE,
        partial: [NONE; CLASS_COUNT],
        segments: [NONE; Window::ALL.len()],
        segment_count: 0,
        pages: NONE,
        chunks: NONE,
        stock: NONE,
        chunk_used: 0,
        spare_tables: NONE,
        spare_io_tables: NONE,
        vspace: NONE,
        directories: [0; DIRECTORIES_MAX],
        directory_count: 0,
        copies: NONE,
        dataspaces: NONE,
        dataspace_count: 0,
        threads: 0,
        thread_objects: 0,
        priority: 0,
        movable: false,
        retries: 0,
        devices: 0,
        alarm_us: NO_ALARM,
        budget: None,
        counters: Counters {
            calls: 0,
            failures: 0,
            blocks: 0,
            block_bytes: 0,
            block_bytes_peak: 0,
            region_pages: 0,
            dma_pages: 0,
            dataspace_pages: 0,
            large_pages: 0,
            attached_pages: 0,
            object_chunks: 0,
            ledger_pages: 0,
        },
        serial: 0,
        family: Family {
            parent: None,
            first_child: None,
            next: None,
            previous: None,
            children: 0,
            children_max: 0,
            given_pages: 0,
        },
        obituary: None,
        build: Build::BEGIN,
        notices: Notices::NONE,
        queue_next: None,
        _apart: 0,
    };

    /// Segments that the client may have: address space for four times its memory, and a few to begin with. Address space
    /// is common to all, so no client may take it all.
    pub fn segment_limit(&self) -> usize {
        SEGMENTS_BASE + self.limit_pages / (SEGMENT_PAGES / 4)
    }

    /// The badge of the requests of the client in place `client`, in this life.
    pub fn own_badge(&self, client: ClientIndex) -> u64 {
        let badge = Badge {
            client,
            generation: self.generation,
            fault: false,
        };
        badge.pack()
    }

    /// The segment list of a window.
    #[expect(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
    pub fn segments_of(&mut self, window: Window) -> &mut u32 {
        // Windows are numbered from 1.
        &mut self.segments[(window as usize - 1) % Window::ALL.len()]
    }

    /// Counts a served block that went out.
    #[inline(always)]
    pub fn count_block(&mut self, bytes: u64) {
        self.counters.blocks += 1;
        self.counters.block_bytes += bytes;
        self.counters.block_bytes_peak = self
            .counters
            .block_bytes_peak
            .max(self.counters.block_bytes);
    }

    /// Counts a served block that came back.
    #[inline(always)]
    pub fn uncount_block(&mut self, bytes: u64) {
        self.counters.blocks -= 1;
        self.counters.block_bytes -= bytes;
    }
}

/// What a client that has ended leaves behind in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obituary {
    /// How it ended.
    pub end: End,
    /// Where it stood: the instruction that faulted, or the next one of the first thread of a client that was killed. Else 0.
    pub instruction: u64,
    /// Requests it made.
    pub calls: u64,
    /// Most bytes it had committed.
    pub peak_bytes: u64,
    /// Bytes of blocks, regions and DMA memory that it had not given back.
    pub held_bytes: u64,
}
