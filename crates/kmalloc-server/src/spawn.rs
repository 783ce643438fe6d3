// SPDX-License-Identifier: BSD-2-Clause
//! Clients begin: objects, address space, image, stack, thread, one small step after the other, so that others are
//! served between them.

use crate::Server;
use crate::account::Slots;
use crate::client::{Badge, Client, End, Family, Life};
use crate::dispatch::Outcome;
use crate::kernel::{
    Budget, ClientIndex, ClientObject, Kernel, Mapping, Object, Slot, Table, ThreadIndex,
};
use crate::memory::{Role, bytes};
use crate::physical::{PAGE_BITS, Page};
use crate::threads::Registers;
use kmalloc_bucket::ledger::NONE;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::statistics::REASONS;
use kmalloc_protocol::{Cache, Error};

/// Where a client finds its start page.
pub const START_PAGE_ADDRESS: usize = 0x20_0000;
/// Where a client finds the IPC buffer of its first thread; those of the others follow, a page each.
pub const IPC_BUFFER_ADDRESS: usize = 0x20_1000;
/// The end of a client's stack.
pub const STACK_END: usize = 0x40_0000;
/// Where a client finds the data that its manifest entry gives it.
pub const DATA_ADDRESS: usize = 0x4000_0000;

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

/// What a client starts with. While it is built, each slice has to be given the same.
#[derive(Clone, Copy, Debug)]
pub struct Spawn<'a> {
    /// The parts of the program, by ascending address, from [`STACK_END`] to [`DATA_ADDRESS`]; no two share a page.
    pub loads: &'a [Load<'a>],
    /// First instruction.
    pub entry: usize,
    /// The contents of the start page, at most a page. Looked at when the client begins, not later.
    pub start_page: &'a [u8],
    /// Data mapped read-only at [`DATA_ADDRESS`].
    pub data: &'a [u8],
    /// Pages of the stack.
    pub stack_pages: usize,
    /// 0 to 255.
    pub priority: u8,
    /// The time of each of its threads; `None`: they take turns with the others of its priority.
    pub budget: Option<Budget>,
    /// Bytes that the client may have, all costs included.
    pub memory_limit: u64,
    /// Bytes of that which are set aside for it from the start.
    pub memory_reserved: u64,
    /// Capabilities that the server may hold for it; `None`: twice the pages of its limit, and 64.
    pub slot_limit: Option<u32>,
    /// How many children it may have at once, the dead ones that were not reaped included.
    pub children_max: u16,
}

/// How far a client is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    stage: Stage,
    /// Within the stage: which object, or how many bytes of the part.
    at: usize,
    /// The 2 MiB whose page table was hooked in last.
    table: usize,
    /// The frame of the start page, then of the IPC buffer.
    page: u32,
}

impl Build {
    pub const BEGIN: Build = Build {
        stage: Stage::Objects,
        at: 0,
        table: 0,
        page: NONE,
    };
}

/// What is built next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Objects,
    AddressSpace,
    StartPage,
    IpcBuffer,
    Stack,
    /// A part of the program, by number.
    Load(usize),
    Data,
    /// Chunks for kernel objects that it may need later, if memory is set aside for it.
    Stock,
    Thread,
}

/// What became of a slice of building.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    /// There is more to build.
    More,
    /// The client runs.
    Runs,
    /// It could not be built, and has ended.
    Failed(Outcome<'static>),
}

impl<K: Kernel> Server<K> {
    /// Starts a client that nobody is the parent of, at once. A refusal leaves nothing behind.
    pub fn spawn(&mut self, spawn: &Spawn<'_>) -> Result<ClientIndex, Error> {
        let client = self.begin(None, spawn)?;
        self.unqueue(client);
        loop {
            match self.step(client, spawn) {
                Ok(false) => {}
                Ok(true) => return Ok(client),
                Err(error) => {
                    self.take_all_back(client)?;
                    return Err(error);
                }
            }
        }
    }

    /// Begins to build a client: it has its place, its account and its start page, and waits in the queue of work. With
    /// a parent, its limit is taken from the parent's.
    pub fn begin(
        &mut self,
        parent: Option<ClientIndex>,
        spawn: &Spawn<'_>,
    ) -> Result<ClientIndex, Error> {
        check_loads(spawn)?;
        let limit_pages = usize::try_from(spawn.memory_limit >> PAGE_BITS).unwrap_or(usize::MAX);
        if let Some(parent) = parent {
            self.check_child(parent, limit_pages)?;
        }
        let mut slots = Slots::for_pages(limit_pages);
        if let Some(limit) = spawn.slot_limit {
            slots.limit = limit as usize;
        }
        let places = self.clients.len() as u64;
        let mut places_in_turn = self.clients.iter();
        let place = places_in_turn.position(|client| client.life == Life::Vacant);
        let place = place.ok_or(Error::OutOfSlots { limit: places })?;
        let client = ClientIndex(place as u16);
        self.births += 1;
        if let Some(reasons) = self.reasons.get_mut(place) {
            *reasons = [0; REASONS];
        }
        let serial = self.births;
        let account = self.client_mut(client)?;
        let generation = account.generation;
        let badge = Badge {
            client,
            generation,
            fault: false,
        };
        *account = Client {
            life: Life::Building,
            badge: badge.pack(),
            generation,
            limit_pages,
            slots,
            priority: spawn.priority,
            serial,
            family: Family {
                children_max: spawn.children_max,
                ..Family::default()
            },
            budget: spawn.budget,
            ..Client::VACANT
        };
        let reserved = (spawn.memory_reserved >> PAGE_BITS) as usize;
        let begun = self
            .reserve(client, reserved)
            .and_then(|()| self.make_start_page(client, spawn.start_page));
        if let Err(error) = begun {
            self.take_all_back(client)?;
            return Err(error);
        }
        if let Some(parent) = parent {
            self.adopt(parent, client, limit_pages)?;
        }
        self.enqueue(client);
        Ok(client)
    }

    fn make_start_page(&mut self, client: ClientIndex, contents: &[u8]) -> Result<(), Error> {
        let page = self.take_page(client, Role::Unmapped, (START_PAGE_ADDRESS >> 12) as u32)?;
        self.client_mut(client)?.build.page = page.0;
        self.kernel.write_page(page, 0, contents)?;
        Ok(())
    }

    /// Builds a client for up to `steps` steps of a page or an object each.
    pub fn build(&mut self, client: ClientIndex, spawn: &Spawn<'_>, steps: usize) -> Built {
        for _ in 0..steps {
            let life = self.clients.get(client.index()).map(|client| client.life);
            if life != Some(Life::Building) {
                break;
            }
            match self.step(client, spawn) {
                Ok(false) => {}
                Ok(true) => {
                    self.unqueue(client);
                    return Built::Runs;
                }
                Err(error) => return Built::Failed(self.end(client, End::NotStarted(error))),
            }
        }
        Built::More
    }

    /// One step; true when the client runs.
    fn step(&mut self, client: ClientIndex, spawn: &Spawn<'_>) -> Result<bool, Error> {
        let build = self.client_mut(client)?.build;
        match build.stage {
            Stage::Objects => match self.kernel_objects().nth(build.at) {
                Some(object) => {
                    self.make_client_object(client, object)?;
                    self.client_mut(client)?.build.at += 1;
                }
                None => self.next_stage(client, Stage::AddressSpace)?,
            },
            Stage::AddressSpace => {
                let vspace = self.make_object(client, Object::Table(Table::VSpace))?;
                self.client_mut(client)?.vspace = vspace.0;
                self.kernel.assign_asid(vspace)?;
                self.make_table(client, Table::Pdpt, 0)?;
                self.next_stage(client, Stage::StartPage)?;
            }
            Stage::StartPage => {
                self.hook_table(client, START_PAGE_ADDRESS)?;
                self.map_built(client, Page(build.page), START_PAGE_ADDRESS, false)?;
                self.next_stage(client, Stage::IpcBuffer)?;
            }
            Stage::IpcBuffer => {
                let page = self.map_image_page(client, IPC_BUFFER_ADDRESS, &[], true)?;
                self.client_mut(client)?.build.page = page.0;
                self.next_stage(client, Stage::Stack)?;
            }
            Stage::Stack => {
                let size = spawn.stack_pages * PAGE_SIZE;
                let stack = Load {
                    address: STACK_END - size,
                    data: &[],
                    size,
                    writable: true,
                };
                self.map_part(client, &stack, Stage::Load(0))?;
            }
            Stage::Load(number) => match spawn.loads.get(number) {
                Some(load) => self.map_part(client, load, Stage::Load(number + 1))?,
                None => self.next_stage(client, Stage::Data)?,
            },
            Stage::Data => {
                let data = Load {
                    address: DATA_ADDRESS,
                    data: spawn.data,
                    size: spawn.data.len(),
                    writable: false,
                };
                self.map_part(client, &data, Stage::Stock)?;
            }
            Stage::Stock => {
                if build.at < self.stock_chunks(client) {
                    self.take_chunk(client, |account| &mut account.stock)?;
                    self.client_mut(client)?.build.at += 1;
                } else {
                    self.next_stage(client, Stage::Thread)?;
                }
            }
            Stage::Thread => {
                let registers = Registers {
                    entry: spawn.entry,
                    stack: STACK_END,
                    argument: START_PAGE_ADDRESS,
                };
                self.run_thread(client, ThreadIndex::FIRST, Page(build.page), registers)?;
                self.client_mut(client)?.life = Life::Alive;
                self.measure_client(client);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next_stage(&mut self, client: ClientIndex, stage: Stage) -> Result<(), Error> {
        let build = &mut self.client_mut(client)?.build;
        (build.stage, build.at) = (stage, 0);
        Ok(())
    }

    /// Maps the next page of a part, or goes on to stage `next` behind the last.
    fn map_part(&mut self, client: ClientIndex, part: &Load<'_>, next: Stage) -> Result<(), Error> {
        let done = self.client_mut(client)?.build.at;
        let (at, end) = (part.address + done, part.address + part.size);
        if at >= end {
            return self.next_stage(client, next);
        }
        let page_end = (at / PAGE_SIZE * PAGE_SIZE + PAGE_SIZE).min(end);
        let from = done.min(part.data.len());
        let to = (page_end - part.address).min(part.data.len());
        let bytes = part.data.get(from..to).unwrap_or(&[]);
        self.map_image_page(client, at, bytes, part.writable)?;
        self.client_mut(client)?.build.at = page_end - part.address;
        Ok(())
    }

    /// Maps the page of `address` with `data` in it from there on.
    fn map_image_page(
        &mut self,
        client: ClientIndex,
        address: usize,
        data: &[u8],
        writable: bool,
    ) -> Result<Page, Error> {
        self.hook_table(client, address)?;
        let page_address = address / PAGE_SIZE * PAGE_SIZE;
        let page = self.take_page(client, Role::Unmapped, (page_address >> 12) as u32)?;
        if !data.is_empty() {
            self.kernel.write_page(page, address % PAGE_SIZE, data)?;
        }
        self.map_built(client, page, page_address, writable)?;
        Ok(page)
    }

    /// Hooks in the page table of `address`, where the step before had another. Parts come by ascending address, so
    /// none is hooked in twice.
    fn hook_table(&mut self, client: ClientIndex, address: usize) -> Result<(), Error> {
        let table = address >> 21;
        if self.client_mut(client)?.build.table != table {
            self.ensure_directory(client, address)?;
            self.make_table(client, Table::PageTable, address)?;
            self.client_mut(client)?.build.table = table;
        }
        Ok(())
    }

    fn map_built(
        &mut self,
        client: ClientIndex,
        page: Page,
        address: usize,
        writable: bool,
    ) -> Result<(), Error> {
        let vspace = Page(self.client_mut(client)?.vspace);
        let how = Mapping {
            writable,
            cache: Cache::Coherent,
        };
        self.kernel
            .map_page(Slot::Page(page), vspace, address, how)?;
        self.set_mapped(page);
        Ok(())
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

    /// Whether `parent` may have another child, and give it `pages` pages of its limit.
    fn check_child(&mut self, parent: ClientIndex, pages: usize) -> Result<(), Error> {
        let account = self.client_mut(parent)?;
        let limit = account.family.children_max;
        if account.family.children >= limit {
            let limit = u64::from(limit);
            return Err(Error::OutOfSlots { limit });
        }
        if pages > account.spare_limit() {
            return Err(Error::OverQuota {
                limit: bytes(account.limit_pages),
                // What is reserved for it can't be given away either.
                committed: bytes(account.limit_pages - account.spare_limit()),
                requested: bytes(pages),
            });
        }
        Ok(())
    }
}

/// The parts of a program lie where nothing else of a client does, one behind the other.
fn check_loads(spawn: &Spawn<'_>) -> Result<(), Error> {
    let mut free = STACK_END;
    for load in spawn.loads {
        let end = load.address.checked_add(load.size);
        match end {
            Some(end) if load.address >= free && end <= DATA_ADDRESS => {
                free = end.next_multiple_of(PAGE_SIZE);
            }
            _ => {
                let address = load.address as u64;
                return Err(Error::BadPointer { address });
            }
        }
    }
    Ok(())
}
