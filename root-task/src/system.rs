// SPDX-License-Identifier: BSD-2-Clause
//! The system that was packed with the root task: starting its clients, and knowing their names.

use crate::elf::Image;
use crate::kernel::Sel4;
use alloc::vec;
use alloc::vec::Vec;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_manifest::{Client, System};
use kmalloc_protocol::Error;
use kmalloc_server::Server;
use kmalloc_server::client::CLIENTS_MAX;
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::spawn::{DATA_ADDRESS, IPC_BUFFER_ADDRESS, Spawn};
use sel4_task::{DataRange, StartPage};

/// Pages of a client's stack.
const STACK_PAGES: usize = 16;

/// Where the host tool puts the archive: address and bytes. It patches this in the finished ELF.
#[unsafe(no_mangle)]
#[used]
#[unsafe(link_section = ".data")]
static mut SYSTEM_ARCHIVE: [u64; 2] = [0, 0];

/// The bytes of the archive.
pub fn archive() -> &'static [u8] {
    // SAFETY: the host tool wrote where it put the archive before the kernel loaded this image; nobody writes after. The
    // read is volatile since the compiler can't know of that.
    let [address, length] = unsafe { core::ptr::read_volatile(&raw const SYSTEM_ARCHIVE) };
    if address == 0 {
        return &[];
    }
    // SAFETY: the host tool appended a read-only segment of that many bytes at that address, and the kernel mapped it.
    unsafe {
        core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance(address as usize),
            length as usize,
        )
    }
}

/// Why a client can't start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// Its program is broken.
    Program(&'static str),
    /// Its start page can't be written.
    StartPage(sel4_task::StartError),
    /// The server refused.
    Server(Error),
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            StartError::Program(what) => write!(f, "its program can't be loaded: {what}"),
            StartError::StartPage(error) => write!(f, "{error}"),
            StartError::Server(error) => write!(f, "{error}"),
        }
    }
}

/// Starts one client of the system.
pub fn start(
    server: &mut Server<Sel4>,
    system: &System<'_>,
    client: &Client<'_>,
) -> Result<ClientIndex, StartError> {
    let program = system
        .program(client.program)
        .ok_or(StartError::Program("it is not in the archive"))?;
    let image = Image::parse(program.elf).map_err(StartError::Program)?;
    let mut start_page = [0; PAGE_SIZE];
    let data = DataRange {
        address: DATA_ADDRESS,
        bytes: client.data.len(),
    };
    StartPage::write(
        &mut start_page,
        IPC_BUFFER_ADDRESS,
        data,
        client.arguments.iter(),
    )
    .map_err(StartError::StartPage)?;
    let spawn = Spawn {
        loads: image.loads(),
        entry: image.entry,
        start_page: &start_page,
        data: client.data,
        stack_pages: STACK_PAGES,
        priority: client.priority,
        memory_limit: client.memory_limit_bytes,
    };
    server.spawn(&spawn).map_err(StartError::Server)
}

/// Lets a client have the devices that its manifest entry names. A machine that has none of them is no error: the client
/// finds out when it opens one.
pub fn allow_devices(server: &mut Server<Sel4>, index: ClientIndex, client: &Client<'_>) {
    let found: usize = client
        .devices
        .iter()
        .map(|(vendor, device)| server.allow_device(index, vendor, device))
        .sum();
    if found == 0 && client.devices.iter().next().is_some() {
        print_line!(
            "# client {}: the machine has none of its devices",
            client.name
        );
    }
}

/// The names of clients, by their place in the server's registry.
pub struct Names<'a> {
    names: Vec<Name<'a>>,
    /// Clients that are alive and no services.
    working: usize,
    /// Services that are alive.
    services: usize,
}

/// What is known of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Name<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its program's name.
    pub program: &'a str,
    /// Whether it serves the others and ends after them.
    pub service: bool,
    alive: bool,
}

impl<'a> Names<'a> {
    /// Nobody yet.
    pub fn new() -> Names<'a> {
        Names {
            names: vec![Name::default(); CLIENTS_MAX],
            working: 0,
            services: 0,
        }
    }

    /// A client has started.
    pub fn begin(&mut self, client: ClientIndex, name: &'a str, program: &'a str, service: bool) {
        if let Some(place) = self.names.get_mut(client.index()) {
            *place = Name {
                name,
                program,
                service,
                alive: true,
            };
            *self.count(service) += 1;
        }
    }

    /// A client has ended; what it was.
    pub fn end(&mut self, client: ClientIndex) -> Name<'a> {
        let name = match self.names.get_mut(client.index()) {
            Some(place) => core::mem::take(place),
            None => Name::default(),
        };
        *self.count(name.service) -= usize::from(name.alive);
        name
    }

    fn count(&mut self, service: bool) -> &mut usize {
        if service {
            &mut self.services
        } else {
            &mut self.working
        }
    }

    /// A client's name.
    pub fn name(&self, client: ClientIndex) -> &'a str {
        self.names.get(client.index()).map_or("", |name| name.name)
    }

    /// Whether any client but the services is alive.
    pub fn is_working(&self) -> bool {
        self.working > 0
    }

    /// The services that are alive.
    pub fn services(&self) -> impl Iterator<Item = ClientIndex> + '_ {
        let services = self
            .names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.alive && name.service);
        services.map(|(index, _)| ClientIndex(index as u16))
    }
}
