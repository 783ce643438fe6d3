// SPDX-License-Identifier: BSD-2-Clause
//! The kernel as the server sees it. The root task implements this on seL4; `fake-kernel` models it for host tests.

use crate::machine::Machine;
pub use crate::machine::{InterruptSource, MessageInterrupt};
use crate::physical::{Chunk, Large, Page};
use core::ops::Range;
use kmalloc_bucket::ledger::Entry;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_events::Event;
use kmalloc_protocol::Cache;

/// Where a capability of the server's lies. Every object has a slot of its own by construction, so that no slot is
/// allocated, and none can leak; only copies of capabilities take slots from a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The untyped of a large page.
    Large(Large),
    /// The frame of a large page.
    LargeFrame(Large),
    /// The untyped of a chunk.
    Chunk(Chunk),
    /// What a page is: a frame, or an object of a page's size inside a chunk of objects.
    Page(Page),
    /// An object of a client that is smaller than a page.
    Client(ClientIndex, ClientObject),
    /// What [`Worker::Cleaner`] makes of an untyped to have it zeroed; empty but for that moment.
    Scratch,
    /// A copy of a frame's capability, by which one of several clients has the frame mapped; from a pool.
    Copy(u32),
    /// A frame of device memory, in the order in which they were made.
    Device(u32),
}

/// The place of a client in the server's registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientIndex(pub u16);

impl ClientIndex {
    /// The place in a row of clients.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Threads that a client can have.
pub const THREADS_MAX: u8 = 8;

/// A thread of a client: 0 is its first, the others follow as they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadIndex(pub u8);

impl ThreadIndex {
    /// The thread that a client begins with.
    pub const FIRST: ThreadIndex = ThreadIndex(0);
}

/// Objects that a client has outside its pages: some once, some for each thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientObject {
    /// The root of its CSpace.
    CNode,
    /// Its notification.
    Notification,
    /// A notification that nobody can signal, for threads that have ended to wait on.
    Parking,
    /// The capability that its faults come by, in the server's CSpace; no object of its own.
    FaultEndpoint,
    /// Its right to reply, on an MCS kernel.
    Reply,
    /// A thread.
    Tcb(ThreadIndex),
    /// A thread's scheduling context, on an MCS kernel.
    SchedContext(ThreadIndex),
}

impl ClientObject {
    /// How many there are.
    pub const COUNT: usize = ClientObject::SchedContext(ThreadIndex(THREADS_MAX)).number();

    /// Its place in the row of a client's objects; below [`ClientObject::COUNT`] for the threads there can be.
    #[inline]
    pub const fn number(self) -> usize {
        match self {
            ClientObject::CNode => 0,
            ClientObject::Notification => 1,
            ClientObject::Parking => 2,
            ClientObject::FaultEndpoint => 3,
            ClientObject::Reply => 4,
            ClientObject::Tcb(ThreadIndex(thread)) => 5 + thread as usize,
            ClientObject::SchedContext(ThreadIndex(thread)) => {
                5 + THREADS_MAX as usize + thread as usize
            }
        }
    }
}

/// A thread of the root task beside the one that serves. It shares nothing of the server's state: it calls the server's
/// endpoint like a client, by a badge of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worker {
    /// Has the server do, slice by slice, what no request waits for: [`Server::work`](crate::Server::work).
    Reclaimer,
    /// Cleans memory while nobody else has anything to do: [`Server::next_cleaning`](crate::Server::next_cleaning).
    Cleaner,
}

impl Worker {
    /// All of them.
    pub const ALL: [Worker; 2] = [Worker::Reclaimer, Worker::Cleaner];

    /// Its place in [`Worker::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What untyped memory is retyped into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// Untyped of 2^n bytes.
    Untyped(u32),
    /// A frame of 4 KiB.
    Frame,
    /// A frame of 2 MiB.
    LargeFrame,
    /// A page table, by level.
    Table(Table),
    /// An object of [`ClientObject`].
    Client(ClientObject),
}

/// The tables of an address space, lowest level first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Maps 2 MiB.
    PageTable,
    /// Maps 1 GiB.
    PageDirectory,
    /// Maps 512 GiB.
    Pdpt,
    /// The address space itself.
    VSpace,
}

/// How a frame is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Whether the client may write.
    pub writable: bool,
    /// How it is cached.
    pub cache: Cache,
}

impl Mapping {
    /// Readable, writable, cached.
    pub const MEMORY: Mapping = Mapping {
        writable: true,
        cache: Cache::Coherent,
    };
}

/// The kernel refused an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The kernel's error number.
    pub code: u32,
}

/// Time for a thread, on kernels with scheduling contexts; on others it says nothing. Not 0, and no more than the
/// period. A thread with less than its period faults when it has run for its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Microseconds that it may run in each period.
    pub budget_us: u64,
    /// Microseconds of a period.
    pub period_us: u64,
}

/// How a client's thread starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadStart {
    /// Whose thread it is; its objects are in its [`ClientObject`] slots.
    pub client: ClientIndex,
    /// Which of its threads. The first one comes with the capabilities that all of them use.
    pub thread: ThreadIndex,
    /// The address space.
    pub vspace: Page,
    /// The frame of the IPC buffer.
    pub ipc_buffer: Page,
    /// Where the client sees the IPC buffer.
    pub ipc_buffer_address: usize,
    /// First instruction.
    pub entry: usize,
    /// First stack pointer, a multiple of 16.
    pub stack: usize,
    /// First argument.
    pub argument: usize,
    /// 0 to 255.
    pub priority: u8,
    /// Its time; `None`: it takes turns with the others of its priority.
    pub budget: Option<Budget>,
    /// The badge of its requests.
    pub badge: u64,
    /// The badge of its faults.
    pub fault_badge: u64,
}

/// What the server asks of seL4. Each call is one step; a refused one has changed nothing.
pub trait Kernel: Machine {
    /// Makes `count` objects in consecutive slots from `first` on.
    fn retype(
        &mut self,
        untyped: Slot,
        object: Object,
        first: Slot,
        count: usize,
    ) -> Result<(), Refused>;
    /// Bytes of an object, as a power of two.
    fn size_bits(&self, object: Object) -> u32;
    /// Puts a copy of the capability of a frame, which is mapped nowhere by it, into an empty slot.
    fn copy(&mut self, frame: Slot, to: Slot) -> Result<(), Refused>;
    /// Empties a slot. What was mapped by its capability has been unmapped: of a frame that has other capabilities, not
    /// every kernel does that by itself.
    fn delete(&mut self, slot: Slot) -> Result<(), Refused>;
    /// Deletes everything that was made of an untyped.
    fn revoke(&mut self, slot: Slot) -> Result<(), Refused>;

    /// Maps a frame at an unmapped address of a client.
    fn map_page(
        &mut self,
        frame: Slot,
        vspace: Page,
        address: usize,
        how: Mapping,
    ) -> Result<(), Refused>;
    /// Maps frames side by side from an address on, which lie side by side in memory too. A refusal comes with how many of
    /// them had been mapped before; they stay so.
    fn map_pages(
        &mut self,
        frames: Range<usize>,
        vspace: Page,
        address: usize,
        how: Mapping,
    ) -> Result<(), (usize, Refused)> {
        for (index, frame) in frames.enumerate() {
            let (slot, address) = (Slot::Page(Page(frame as u32)), address + index * PAGE_SIZE);
            self.map_page(slot, vspace, address, how)
                .map_err(|refused| (index, refused))?;
        }
        Ok(())
    }
    /// Unmaps a frame from where it is mapped.
    fn unmap_page(&mut self, frame: Slot) -> Result<(), Refused>;
    /// Hooks a table into an address space.
    fn map_table(
        &mut self,
        table: Page,
        level: Table,
        vspace: Page,
        address: usize,
    ) -> Result<(), Refused>;
    /// Takes a page table out of its address space, and empties it.
    fn unmap_page_table(&mut self, table: Page) -> Result<(), Refused>;
    /// Makes an object an address space.
    fn assign_asid(&mut self, vspace: Page) -> Result<(), Refused>;

    /// Copies a frame to another; both are mapped nowhere.
    fn copy_page(&mut self, from: Page, to: Page) -> Result<(), Refused>;
    /// Zeroes a frame that is mapped nowhere.
    fn scrub(&mut self, frame: Page) -> Result<(), Refused>;
    /// Writes into a frame that is mapped nowhere; `offset + data.len()` is at most a page.
    fn write_page(&mut self, frame: Page, offset: usize, data: &[u8]) -> Result<(), Refused>;

    /// Makes a zeroed frame the next 64 entries of a segment's ledger.
    fn push_ledger(&mut self, segment: u32, frame: Page) -> Result<(), Refused>;
    /// Takes the last 64 entries of a segment's ledger away; their frame is mapped nowhere then.
    fn pop_ledger(&mut self, segment: u32, frame: Page) -> Result<(), Refused>;
    /// The ledger of a segment: 64 entries for each frame pushed.
    fn ledger(&mut self, segment: u32) -> &mut [Entry];
    /// The entry of a page by its global number, `segment * 512 + page`; `None` where the ledger is not mapped. On the way
    /// of every served call.
    #[inline(always)]
    fn entry(&mut self, number: u32) -> Option<&mut Entry> {
        let (segment, page) = (number / 512, number as usize % 512);
        self.ledger(segment).get_mut(page)
    }

    /// Starts a client's thread: capabilities, registers, priority.
    fn start_thread(&mut self, start: &ThreadStart) -> Result<(), Refused>;
    /// Stops the first `count` threads of a client for good, and deletes the capability that its faults come by.
    fn stop_threads(&mut self, client: ClientIndex, count: u8) -> Result<(), Refused>;
    /// Where a client's first thread stands; 0 where nobody can tell. What the client is doing there changes nothing for the
    /// server: it is told to the parent of a client that was killed.
    fn instruction(&mut self, _client: ClientIndex) -> u64 {
        0
    }

    /// Tells a worker that there is work for it. One that knows is not told again.
    fn wake(&mut self, worker: Worker);
    /// Gives the cleaner as much of the processor as a client has, or only what nobody else wants.
    fn hurry_cleaner(&mut self, hurried: bool);
    /// Signals a client's notification.
    fn signal(&mut self, client: ClientIndex);

    /// Tells of what has happened, where somebody listens; called only while the server traces.
    fn trace(&mut self, event: &Event<'_>);

    /// Microseconds since boot.
    fn now_us(&mut self) -> Result<u64, Refused>;
    /// Has [`Server::alarm`](crate::Server::alarm) called once that time is there, in microseconds since boot; what was
    /// set before is forgotten.
    fn set_alarm(&mut self, due_us: u64) -> Result<(), Refused>;
    /// Forgets the alarm.
    fn clear_alarm(&mut self);
}
