// SPDX-License-Identifier: BSD-2-Clause
//! The system that was packed with the root task: what its manifest says of each client.

use crate::elf::Image;
use crate::kernel::Sel4;
use alloc::vec::Vec;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_manifest::{Client, System};
use kmalloc_protocol::Error;
use kmalloc_server::Server;
use kmalloc_server::kernel::{Budget, ClientIndex};
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

/// What the manifest says, ready to be looked up while clients run.
pub struct Directory<'a> {
    entries: Vec<Entry<'a>>,
}

/// A client's manifest entry.
pub struct Entry<'a> {
    /// What it says.
    pub client: Client<'a>,
    /// Its program's name.
    pub program: &'a str,
    elf: &'a [u8],
    /// Entries that it may start, and that it may end.
    starts: Vec<usize>,
    kills: Vec<usize>,
}

impl<'a> Directory<'a> {
    /// Reads the whole manifest.
    pub fn new(system: &System<'a>) -> Directory<'a> {
        let find = |name: &str| system.clients().position(|other| other.name == name);
        let entries = system.clients().map(|client| {
            let program = system.program(client.program);
            Entry {
                program: program.map_or("", |program| program.name),
                elf: program.map_or(&[], |program| program.elf),
                starts: client.starts.iter().filter_map(find).collect(),
                kills: client.kills.iter().filter_map(find).collect(),
                client,
            }
        });
        Directory {
            entries: entries.collect(),
        }
    }

    /// The entries, by number.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// The entry called `name`, if clients of entry `parent` may start it.
    pub fn startable(&self, parent: usize, name: &str) -> Option<(usize, &Entry<'a>)> {
        let starts = self.entries.get(parent)?.starts.iter();
        let mut entries = starts.filter_map(|number| Some((*number, self.entries.get(*number)?)));
        entries.find(|(_, entry)| entry.client.name == name)
    }

    /// Whether a client of entry `killer` may end one of entry `target`.
    pub fn may_kill(&self, killer: usize, target: usize) -> bool {
        let killer = self.entries.get(killer);
        killer.is_some_and(|killer| killer.kills.contains(&target))
    }
}

impl Entry<'_> {
    /// Allows for a client of this entry what the entry says: that its pages are moved, and that it has devices. A machine
    /// that has none of them is no error: the client finds out when it opens one.
    pub fn allow(&self, server: &mut Server<Sel4>, index: ClientIndex) {
        if self.client.movable {
            server.allow_moving(index);
        }
        let devices = self.client.devices.iter();
        let found: usize = devices
            .map(|(vendor, device)| server.allow_device(index, vendor, device))
            .sum();
        if found == 0 && self.client.devices.iter().next().is_some() {
            let name = self.client.name;
            print_line!("# client {name}: the machine has none of its devices");
        }
    }

    /// Has `work` done with what a client of this entry begins with. `arguments`, parted by zero bytes, follow those of
    /// the manifest; `memory` bytes are its limit, or what the manifest says if that is 0.
    pub fn begin<T>(
        &self,
        arguments: &str,
        memory: u64,
        work: impl FnOnce(&Spawn<'_>) -> Result<T, Error>,
    ) -> Result<T, StartError> {
        let mut start_page = [0; PAGE_SIZE];
        let data = DataRange {
            address: DATA_ADDRESS,
            bytes: self.client.data.len(),
        };
        let arguments = arguments.split_terminator('\0');
        let arguments = self.client.arguments.iter().chain(arguments);
        StartPage::write(&mut start_page, IPC_BUFFER_ADDRESS, data, arguments)
            .map_err(StartError::StartPage)?;
        self.build(|spawn| {
            let limit = match memory {
                0 => spawn.memory_limit,
                memory => memory,
            };
            work(&Spawn {
                start_page: &start_page,
                memory_limit: limit,
                memory_reserved: spawn.memory_reserved.min(limit),
                ..*spawn
            })
            .map_err(StartError::Server)
        })
    }

    /// Has `work` done with what a client of this entry is built of, once it has begun.
    pub fn build<T>(
        &self,
        work: impl FnOnce(&Spawn<'_>) -> Result<T, StartError>,
    ) -> Result<T, StartError> {
        let image = Image::parse(self.elf).map_err(StartError::Program)?;
        work(&Spawn {
            loads: image.loads(),
            entry: image.entry,
            start_page: &[],
            data: self.client.data,
            stack_pages: STACK_PAGES,
            priority: self.client.priority,
            budget: self.client.budget.map(|budget| Budget {
                budget_us: budget.budget_us.into(),
                period_us: budget.period_us.into(),
            }),
            memory_limit: self.client.memory_limit_bytes,
            memory_reserved: self.client.memory_reserved_bytes,
            slot_limit: self.client.slot_limit,
            children_max: self.client.children_max,
        })
    }
}
