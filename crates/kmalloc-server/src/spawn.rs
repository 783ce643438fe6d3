// SPDX-License-Identifier: BSD-2-Clause
//! Clients begin: objects, address space, image, stack, thread.

use crate::Server;
use crate::client::{Badge, Client, Life, NO_BADGE};
use crate::kernel::{ClientIndex, ClientObject, Kernel, Mapping, Object, Slot, Table, ThreadIndex};
use crate::memory::Role;
use crate::physical::{PAGE_BITS, Page};
use crate::threads::Registers;
use kmalloc_bucket::ledger::NONE;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::{Cache, Error};

/// Where a client finds its start page.
pub const START_PAGE_ADDRESS: usize = 0x20_0000;
/// Where a client finds the IPC buffer of its first thread; those of the others follow, a page each.
pub const IPC_BUFFER_ADDRESS: usize = 0x20_1000;
/// The end of a client's stack.
pub const STACK_END: usize = 0x40_0000;
/// Where a client finds the data that its manifest entry gives it.
pub const DATA_ADDRESS: usize = 0x4000_0000;

/// Page tables of an image, a stack and data: 2 MiB each.
const IMAGE_TABLES_MAX: usize = 256;

/// A part of a program, as its ELF says.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// Where its first byte goes.
    pub address: usize,
    /// Its first bytes; the rest is zero.
    pub data: &'a [u8],
    /// Its bytes in memory.
    pub size: usize,
    /// Whether the program may write to it.
    pub writable: bool,
}

/// What a client starts with.
#[derive(Clone, Copy, Debug)]
pub struct Spawn<'a> {
    /// The parts of the program; no two share a page.
    pub loads: &'a [Load<'a>],
    /// First instruction.
    pub entry: usize,
    /// The contents of the start page, at most a page.
    pub start_page: &'a [u8],
    /// Data mapped read-only at [`DATA_ADDRESS`].
    pub data: &'a [u8],
    /// Pages of the stack.
    pub stack_pages: usize,
    /// 0 to 255.
    pub priority: u8,
    /// Bytes that the client may have, all costs included.
    pub memory_limit: u64,
}

/// Which page tables a client being built has.
struct ImageTables {
    indices: [usize; IMAGE_TABLES_MAX],
    count: usize,
}

impl<K: Kernel> Server<K> {
    /// Starts a client. A refusal leaves nothing behind.
    pub fn spawn(&mut self, spawn: &Spawn<'_>) -> Result<ClientIndex, Error> {
        let place = self
            .clients
            .iter()
            .position(|client| client.life == Life::Vacant);
        let place = place.ok_or(Error::OutOfSlots {
            limit: self.clients.len() as u64,
        })?;
        let client = ClientIndex(place as u16);
        let account = self.client_mut(client)?;
        let limit_pages = usize::try_from(spawn.memory_limit >> PAGE_BITS).unwrap_or(usize::MAX);
        let generation = account.generation;
        let badge = Badge {
            client,
            generation,
            fault: false,
        };
        *account = Client {
            life: Life::Alive,
            badge: badge.pack(),
            generation,
            limit_pages,
            priority: spawn.priority,
            ..Client::VACANT
        };
        match self.build(client, spawn) {
            Ok(()) => Ok(client),
            Err(error) => {
                self.take_all_back(client)?;
                Err(error)
            }
        }
    }

    fn build(&mut self, client: ClientIndex, spawn: &Spawn<'_>) -> Result<(), Error> {
        self.make_client_objects(client)?;
        let vspace = self.make_object(client, Object::Table(Table::VSpace))?;
        self.client_mut(client)?.vspace = vspace.0;
        self.kernel.assign_asid(vspace)?;
        self.make_table(client, Table::Pdpt, 0)?;
        let mut tables = ImageTables {
            indices: [0; IMAGE_TABLES_MAX],
            count: 0,
        };
        for load in spawn.loads {
            self.map_load(client, &mut tables, load)?;
        }
        let stack_start = STACK_END - spawn.stack_pages * PAGE_SIZE;
        let stack = Load {
            address: stack_start,
            data: &[],
            size: spawn.stack_pages * PAGE_SIZE,
            writable: true,
        };
        self.map_load(client, &mut tables, &stack)?;
        let data = Load {
            address: DATA_ADDRESS,
            data: spawn.data,
            size: spawn.data.len(),
            writable: false,
        };
        self.map_load(client, &mut tables, &data)?;
        let start = Load {
            address: START_PAGE_ADDRESS,
            data: spawn.start_page,
            size: PAGE_SIZE,
            writable: false,
        };
        self.map_load(client, &mut tables, &start)?;
        let ipc_buffer = self.map_image_page(client, &mut tables, IPC_BUFFER_ADDRESS, &[], true)?;
        let registers = Registers {
            entry: spawn.entry,
            stack: STACK_END,
            argument: START_PAGE_ADDRESS,
        };
        self.run_thread(client, ThreadIndex::FIRST, ipc_buffer, registers)
    }

    /// The objects smaller than a page, at the start of the client's first chunk.
    fn make_client_objects(&mut self, client: ClientIndex) -> Result<(), Error> {
        for which in self.kernel_objects() {
            self.make_client_object(client, which)?;
        }
        Ok(())
    }

    fn map_load(
        &mut self,
        client: ClientIndex,
        tables: &mut ImageTables,
        load: &Load<'_>,
    ) -> Result<(), Error> {
        let end = load.address + load.size;
        let mut at = load.address;
        while at < end {
            let page_start = at / PAGE_SIZE * PAGE_SIZE;
            let page_end = (page_start + PAGE_SIZE).min(end);
            let from = (at - load.address).min(load.data.len());
            let to = (page_end - load.address).min(load.data.len());
            let bytes = load.data.get(from..to).unwrap_or(&[]);
            self.map_image_page(client, tables, at, bytes, load.writable)?;
            at = page_end;
        }
        Ok(())
    }

    /// Maps the page of `address` with `data` in it from there on.
    fn map_image_page(
        &mut self,
        client: ClientIndex,
        tables: &mut ImageTables,
        address: usize,
        data: &[u8],
        writable: bool,
    ) -> Result<Page, Error> {
        let table = address >> 21;
        if !tables
            .indices
            .iter()
            .take(tables.count)
            .any(|known| *known == table)
        {
            let limit = IMAGE_TABLES_MAX as u64;
            let place = tables
                .indices
                .get_mut(tables.count)
                .ok_or(Error::OutOfSlots { limit })?;
            *place = table;
            tables.count += 1;
            self.ensure_directory(client, address)?;
            self.make_table(client, Table::PageTable, address)?;
        }
        let page_address = address / PAGE_SIZE * PAGE_SIZE;
        let page = self.take_page(client, Role::Mapped, (page_address >> 12) as u32)?;
        let vspace = Page(self.client_mut(client)?.vspace);
        if !data.is_empty() {
            self.kernel.write_page(page, address % PAGE_SIZE, data)?;
        }
        let how = Mapping {
            writable,
            cache: Cache::Coherent,
        };
        self.kernel
            .map_page(Slot::Page(page), vspace, page_address, how)?;
        Ok(page)
    }

    /// The objects that each client begins with on this kernel, the largest first.
    fn kernel_objects(&self) -> impl Iterator<Item = ClientObject> + use<K> {
        let scheduling = ClientObject::SchedContext(ThreadIndex::FIRST);
        [
            Some(ClientObject::Tcb(ThreadIndex::FIRST)),
            Some(ClientObject::CNode),
            self.mcs.then_some(scheduling),
            Some(ClientObject::Notification),
            Some(ClientObject::Parking),
            self.mcs.then_some(ClientObject::Reply),
        ]
        .into_iter()
        .flatten()
    }
}

impl<K: Kernel> Server<K> {
    /// Takes everything from a client that has ended.
    pub(crate) fn take_all_back(&mut self, client: ClientIndex) -> Result<(), Error> {
        let account = self.client_mut(client)?;
        account.life = Life::Ending;
        account.badge = NO_BADGE;
        while !self.take_back_slice(client, usize::MAX)? {}
        Ok(())
    }

    /// Takes up to `budget` things from a client that has ended; true when nothing is left.
    pub(crate) fn take_back_slice(
        &mut self,
        client: ClientIndex,
        budget: usize,
    ) -> Result<bool, Error> {
        for _ in 0..budget {
            if self.take_back_device_page(client)? {
                continue;
            }
            let account = self.client_mut(client)?;
            if let Some(segment) = account.segments.iter().copied().find(|head| *head != NONE) {
                self.abandon_segment(client, segment)?;
            } else if account.pages != NONE {
                let page = Page(account.pages);
                self.take_back_page(page)?;
            } else if account.chunks != NONE {
                let first = Page(account.chunks);
                self.take_back_chunk(client, first)?;
            } else {
                let generation = account.generation.wrapping_add(1);
                *account = Client {
                    generation,
                    ..Client::VACANT
                };
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Closes a segment of a dead client. Its tables go with its chunks, its frames with its pages.
    fn abandon_segment(&mut self, client: ClientIndex, segment: u32) -> Result<(), Error> {
        if self.pop_ledger(segment)? {
            return Ok(());
        }
        let Some(window) = self.segments.get(segment).map(|open| open.window) else {
            return Ok(());
        };
        let account = self.client_mut(client)?;
        let (generation, mut head) = (account.generation, *account.segments_of(window));
        self.segments.close(segment, generation, &mut head);
        let account = self.client_mut(client)?;
        *account.segments_of(window) = head;
        account.segment_count -= 1;
        Ok(())
    }

    fn take_back_page(&mut self, page: Page) -> Result<(), Error> {
        match self.info(page).role {
            Role::LargeMapped => {
                let large = page.chunk().large();
                self.kernel.unmap_page(Slot::LargeFrame(large))?;
                self.return_large(large)
            }
            _ => {
                self.kernel.unmap_page(Slot::Page(page))?;
                self.return_page(page, false);
                Ok(())
            }
        }
    }

    fn take_back_chunk(&mut self, client: ClientIndex, first: Page) -> Result<(), Error> {
        let chunk = first.chunk();
        self.kernel.revoke(Slot::Chunk(chunk))?;
        let next = self.info(first).next;
        for page in chunk.pages() {
            self.set_info(Page(page as u32), crate::memory::PageInfo::FREE);
        }
        self.client_mut(client)?.chunks = next;
        self.refund(client, crate::physical::CHUNK_PAGES);
        self.physical.give_chunk(chunk);
        Ok(())
    }
}
