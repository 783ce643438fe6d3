// SPDX-License-Identifier: BSD-2-Clause
//! A server with clients, in one process: requests and responses are encoded and decoded on the way as over IPC.

use crate::scan::scan;
use fake_kernel::FakeKernel;
use kmalloc_protocol::message::{BYTES_MAX, bytes_of, decode_response, encode_long, encode_short};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Events, LABEL, Reply, Request, Response, Stats};
use kmalloc_server::client::{Badge, End, Fault, Obituary};
use kmalloc_server::kernel::{ClientIndex, Kernel, Mapping, Object, Refused, Slot, Table, Worker};
use kmalloc_server::physical::{
    CHUNK_PAGES, Cleaning, GRAIN_BITS, LARGE_CHUNKS, Large, LargeForm, Page,
};
use kmalloc_server::spawn::{Load, Spawn};
use kmalloc_server::{Books, Built, Outcome, Server, Work};
use std::collections::BTreeMap;

/// 16 MiB that begin at 16 MiB, a chunk, and some pages.
pub const RAM: &[(u64, u32)] = &[
    (0x100_0000, 24),
    (0x200_0000, 16),
    (0x201_2000, 13),
    (0x201_5000, 12),
];
/// No limit.
pub const UNLIMITED: u64 = u64::MAX;
pub const PAGE: u64 = 4096;
pub const CHUNK: u64 = 16 * PAGE;
pub const MIB: u64 = 1 << 20;

/// The parts of the program that every client of the tests is.
const LOADS: &[Load<'static>] = &[
    Load {
        address: 0x40_0000,
        data: &[0x90; 300],
        size: 300,
        writable: false,
    },
    Load {
        address: 0x40_1010,
        data: b"initial data",
        size: 0x1800,
        writable: true,
    },
];

/// How a client of the tests starts.
pub fn program(memory_limit: u64) -> Spawn<'static> {
    Spawn {
        loads: LOADS,
        entry: 0x40_0000,
        start_page: b"start page",
        data: b"data of the manifest",
        stack_pages: 4,
        priority: 100,
        budget: None,
        memory_limit,
        memory_reserved: 0,
        slot_limit: None,
        children_max: CHILDREN_MAX,
    }
}

/// What happened to a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Response(Response),
    Printed(String),
    Ended(Obituary),
    Retried,
    Ignored,
}

/// A server and the kernel below it.
pub struct System {
    pub server: Server<FakeKernel>,
    /// Requests between two scans; 1 scans after each.
    pub scan_every: u64,
    /// The most bytes that one kernel call zeroed in the last request.
    pub last_zeroed: u64,
    /// Clients by their names in the manifest.
    pub names: BTreeMap<String, ClientIndex>,
    /// Whether all work is done as soon as there is any; else by [`System::work`] and [`System::settle`] alone.
    pub settles: bool,
    /// Who may kill whom, besides their own children.
    pub killers: Vec<(ClientIndex, ClientIndex)>,
    /// Clients that work ended or that could not be built, and clients that are gone, in that order.
    pub ended: Vec<(ClientIndex, Obituary)>,
    pub gone: Vec<ClientIndex>,
    requests: u64,
}

/// The limit of a client that another starts, where the request does not say.
pub const CHILD_LIMIT: u64 = 1 << 20;
/// Children that a client of the tests may have.
pub const CHILDREN_MAX: u16 = 8;

impl System {
    pub fn new(ram: &[(u64, u32)]) -> System {
        System::boot(ram, false)
    }

    /// On a kernel with scheduling contexts.
    pub fn new_mcs(ram: &[(u64, u32)]) -> System {
        System::boot(ram, true)
    }

    fn boot(ram: &[(u64, u32)], mcs: bool) -> System {
        let (kernel, physical) = FakeKernel::boot(ram);
        System {
            server: Server::new(kernel, physical, mcs),
            scan_every: 1,
            last_zeroed: 0,
            names: BTreeMap::new(),
            settles: true,
            killers: Vec::new(),
            ended: Vec::new(),
            gone: Vec::new(),
            requests: 0,
        }
    }

    pub fn spawn(&mut self, memory_limit: u64) -> ClientIndex {
        self.try_spawn(&program(memory_limit))
            .expect("a client starts")
    }

    pub fn try_spawn(&mut self, spawn: &Spawn<'_>) -> Result<ClientIndex, Error> {
        let client = self.server.spawn(spawn);
        scan(&self.server);
        client
    }

    /// Microseconds since boot.
    pub fn now_us(&mut self) -> u64 {
        self.server.kernel_mut().now_us().expect("a clock")
    }

    pub fn badge(&self, client: ClientIndex) -> u64 {
        let generation = self.server.client(client).map_or(0, |it| it.generation);
        Badge {
            client,
            generation,
            fault: false,
        }
        .pack()
    }

    /// A message as it comes from the kernel.
    pub fn send(&mut self, badge: u64, label: u64, caps: bool, message: &[u8]) -> Answer {
        self.server.kernel_mut().take_zeroed_max();
        let outcome = self.server.handle(badge, label, caps, message);
        let answer = self.answer_of(outcome);
        self.last_zeroed = self.server.kernel_mut().take_zeroed_max();
        let zeroed = self.last_zeroed;
        assert!(
            zeroed <= CHUNK,
            "one kernel call in a request zeroes {zeroed} bytes"
        );
        if self.settles {
            self.settle();
        }
        self.requests += 1;
        if self.requests.is_multiple_of(self.scan_every) {
            scan(&self.server);
        }
        answer
    }

    fn answer_of(&mut self, outcome: Outcome<'_>) -> Answer {
        match outcome {
            Outcome::Respond(response) => Answer::Response(over_the_wire(&response)),
            Outcome::Print { text, .. } => Answer::Printed(text.to_string()),
            Outcome::Find { client, name } => {
                let found = self.names.get(name).copied();
                Answer::Response(over_the_wire(&self.server.found(client, found)))
            }
            Outcome::Observe {
                client,
                subject,
                of,
                cursor,
            } => {
                let response = self.server.observe(client, subject, of, cursor);
                Answer::Response(over_the_wire(&response))
            }
            Outcome::Ended { obituary, .. } => Answer::Ended(obituary),
            Outcome::Start {
                parent,
                memory,
                text,
            } => Answer::Response(over_the_wire(&self.start_child(parent, memory, text))),
            Outcome::Kill {
                client,
                target,
                own,
            } => self.kill_for(client, target, own),
            Outcome::Retry => Answer::Retried,
            Outcome::Ignore => Answer::Ignored,
        }
    }

    /// The manifest of the tests has one program for children, `child`.
    fn start_child(&mut self, parent: ClientIndex, memory: u64, text: &str) -> Response {
        if text.split('\0').next() != Some("child") {
            return Err(Error::NotPermitted);
        }
        let limit = if memory == 0 { CHILD_LIMIT } else { memory };
        let child = self.server.begin(Some(parent), &program(limit))?;
        let handle = self.server.handle_of(child);
        Ok(Reply::Client { handle })
    }

    fn kill_for(&mut self, client: ClientIndex, target: ClientIndex, own: bool) -> Answer {
        if !own && !self.killers.contains(&(client, target)) {
            return Answer::Response(Err(Error::NotPermitted));
        }
        match self.server.end(target, End::Killed) {
            Outcome::Ended { obituary, .. } if target == client => Answer::Ended(obituary),
            Outcome::Ended { client, obituary } => {
                self.ended.push((client, obituary));
                Answer::Response(Ok(Reply::Done))
            }
            _ => Answer::Response(Ok(Reply::Done)),
        }
    }

    /// One slice of work; false when there is none.
    pub fn work(&mut self) -> bool {
        let work = self.server.work();
        match work {
            Work::Idle => {}
            Work::Done => {}
            Work::Build(client) => {
                let account = self.server.client(client).expect("a client");
                let limit = (account.limit_pages as u64) << 12;
                if let Built::Failed(Outcome::Ended { client, obituary }) =
                    self.server.build(client, &program(limit), 3)
                {
                    self.ended.push((client, obituary));
                }
            }
            Work::Ended { client, obituary } => self.ended.push((client, obituary)),
            Work::Gone(client) => self.gone.push(client),
        }
        if self.scan_every == 1 {
            scan(&self.server);
        }
        work != Work::Idle
    }

    /// Does all the work there is.
    pub fn settle(&mut self) {
        while self.server.kernel_mut().take_wake(Worker::Reclaimer) {
            while self.work() {}
        }
        assert!(
            !self.server.has_work(),
            "there is work that nobody was woken for"
        );
    }

    /// A child that runs.
    pub fn start(&mut self, parent: ClientIndex, memory: u64) -> Result<u64, Error> {
        let text = "child";
        self.call(parent, Request::Start { memory, text })
            .map(|reply| match reply {
                Reply::Client { handle } => handle,
                other => panic!("no client but {other:?}"),
            })
    }

    /// The place of the client behind a handle.
    pub fn place(&self, handle: u64) -> ClientIndex {
        self.server.client_of(handle).expect("a client")
    }

    /// What a client is told when it asks what happened.
    pub fn events(&mut self, client: ClientIndex) -> Events {
        match self.call(client, Request::Events) {
            Ok(Reply::Events { events }) => Events::from_bits_retain(events),
            other => panic!("no events but {other:?}"),
        }
    }

    /// A request and what became of it.
    pub fn answer(&mut self, client: ClientIndex, request: Request<'_>) -> Answer {
        let mut bytes = [0xee; BYTES_MAX];
        let words = encode_long(&request, &mut bytes).expect("a request fits a message");
        let badge = self.badge(client);
        self.send(badge, LABEL, false, &bytes[..words * 8])
    }

    /// A request that is answered.
    pub fn call(&mut self, client: ClientIndex, request: Request<'_>) -> Response {
        match self.answer(client, request) {
            Answer::Response(response) => response,
            other => panic!("{request:?} is not answered but {other:?}"),
        }
    }

    pub fn kmalloc(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        block(self.call(client, Request::Kmalloc { size, flags: 0 }))
    }

    pub fn kfree(&mut self, client: ClientIndex, address: u64) -> Response {
        self.call(client, Request::Kfree { address })
    }

    pub fn krealloc(&mut self, client: ClientIndex, address: u64, size: u64) -> Response {
        self.call(
            client,
            Request::Krealloc {
                address,
                size,
                flags: 0,
            },
        )
    }

    pub fn ksize(&mut self, client: ClientIndex, address: u64) -> Result<u64, Error> {
        self.call(client, Request::Ksize { address })
            .map(|reply| match reply {
                Reply::Size { size } => size,
                other => panic!("no size but {other:?}"),
            })
    }

    pub fn grant(&mut self, client: ClientIndex, size_bits: u8, count: u32) -> Result<u64, Error> {
        let size = u64::from(count) << size_bits;
        self.call(client, Request::Grant { size_bits, count })
            .map(|reply| region(reply, size))
    }

    pub fn grant_large(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        self.call(
            client,
            Request::GrantLarge {
                size,
                align_bits: 0,
            },
        )
        .map(|reply| region(reply, size.next_multiple_of(PAGE)))
    }

    pub fn resize(&mut self, client: ClientIndex, address: u64, size: u64) -> Response {
        self.call(client, Request::Resize { address, size })
    }

    pub fn release(&mut self, client: ClientIndex, address: u64) -> Response {
        self.call(client, Request::Release { address })
    }

    pub fn kfree_dma(&mut self, client: ClientIndex, address: u64) -> Response {
        self.call(client, Request::KfreeDma { address })
    }

    /// DMA memory without conditions: where the client sees it, and where a device does.
    pub fn dma(&mut self, client: ClientIndex, size: u64) -> Result<(u64, u64), Error> {
        let request = Request::KmallocDma {
            size,
            max_addr: u64::MAX,
            align_bits: 0,
            boundary_bits: 0,
            cache: 0,
        };
        self.call(client, request).map(|reply| match reply {
            Reply::Dma {
                address, dma_addr, ..
            } => (address, dma_addr),
            other => panic!("no DMA memory but {other:?}"),
        })
    }

    pub fn handle(&self, client: ClientIndex) -> u64 {
        self.server.handle_of(client)
    }

    /// A dataspace of so many bytes; its token.
    pub fn make_dataspace(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        self.call(client, Request::MakeDataspace { size })
            .map(|reply| match reply {
                Reply::Dataspace { token, size: whole } => {
                    assert_eq!(whole, size.next_multiple_of(PAGE));
                    token
                }
                other => panic!("no dataspace but {other:?}"),
            })
    }

    pub fn share(
        &mut self,
        client: ClientIndex,
        token: u64,
        with: ClientIndex,
        writable: bool,
    ) -> Response {
        let handle = self.handle(with);
        let writable = writable.into();
        self.call(
            client,
            Request::ShareDataspace {
                writable,
                token,
                handle,
            },
        )
    }

    /// Where a dataspace is mapped now.
    pub fn attach(
        &mut self,
        client: ClientIndex,
        token: u64,
        writable: bool,
    ) -> Result<u64, Error> {
        let writable = writable.into();
        self.call(client, Request::Attach { writable, token })
            .map(|reply| match reply {
                Reply::Region { address, .. } => {
                    assert_eq!(Window::of(address as usize), Some(Window::Shared));
                    address
                }
                other => panic!("no region but {other:?}"),
            })
    }

    pub fn detach(&mut self, client: ClientIndex, address: u64) -> Response {
        self.call(client, Request::Detach { address })
    }

    pub fn close(&mut self, client: ClientIndex, token: u64) -> Response {
        self.call(client, Request::CloseDataspace { token })
    }

    /// One more thread; where it begins does not matter here.
    pub fn start_thread(&mut self, client: ClientIndex) -> Response {
        let request = Request::StartThread {
            entry: 0x40_0000,
            stack: 0x41_0000,
            argument: 7,
        };
        self.call(client, request)
    }

    pub fn stats(&mut self, client: ClientIndex) -> Stats {
        match self.call(client, Request::Stats) {
            Ok(Reply::Stats(stats)) => stats,
            other => panic!("no figures but {other:?}"),
        }
    }

    /// A message on the fault endpoint.
    pub fn fault(&mut self, badge: u64, fault: Fault) -> Answer {
        let outcome = self.server.fault(badge, fault);
        let answer = self.answer_of(outcome);
        if self.settles {
            self.settle();
        }
        answer
    }

    /// Ends a client from outside.
    pub fn kill(&mut self, client: ClientIndex) -> Obituary {
        let outcome = self.server.end(client, End::Killed);
        let Outcome::Ended { obituary, .. } = outcome else {
            panic!("{client:?} to be killed: {outcome:?}");
        };
        if self.settles {
            self.settle();
        }
        scan(&self.server);
        obituary
    }

    /// Does the next cleaning job as the cleaner does; whether there was one. A refusal is the kernel's.
    pub fn clean_next(&mut self) -> Option<Result<Cleaning, Refused>> {
        let cleaning = self.server.next_cleaning()?;
        let kernel = self.server.kernel_mut();
        let result = match cleaning {
            Cleaning::Pages { .. } => {
                let mut pages = cleaning.pages();
                pages.try_for_each(|page| kernel.scrub(page))
            }
            Cleaning::Chunk(chunk) => clean_untyped(kernel, Slot::Chunk(chunk)),
            Cleaning::Large(large) => clean_untyped(kernel, Slot::Large(large)),
            Cleaning::Gather(large) => kernel
                .revoke(Slot::Large(large))
                .and_then(|()| clean_untyped(kernel, Slot::Large(large))),
            Cleaning::Frames(chunk) => {
                let first = Slot::Page(chunk.first_page());
                kernel.retype(Slot::Chunk(chunk), Object::Frame, first, CHUNK_PAGES)
            }
            Cleaning::Chunks(large) => {
                let (first, object) = (Slot::Chunk(large.first_chunk()), Object::Untyped(16));
                kernel.retype(Slot::Large(large), object, first, LARGE_CHUNKS)
            }
        };
        self.server.cleaned(result.is_ok());
        Some(result.map(|()| cleaning))
    }

    /// The kernel refuses to clean what is being cleaned. Of a large page that was to be gathered nothing is left then.
    pub fn give_up_cleaning(&mut self) {
        if let Some(Cleaning::Gather(large)) = self.server.physical().cleaning() {
            let revoked = self.server.kernel_mut().revoke(Slot::Large(large));
            revoked.expect("the kernel revokes");
        }
        self.server.cleaned(false);
    }

    /// Has the cleaner run until it has nothing to do.
    pub fn clean(&mut self) {
        self.server.kernel_mut().take_wake(Worker::Cleaner);
        while let Some(result) = self.clean_next() {
            result.expect("the kernel cleans");
        }
        scan(&self.server);
    }

    pub fn books(&self) -> Books {
        self.server.books()
    }

    /// Bytes that the client is charged for.
    pub fn committed(&self, client: ClientIndex) -> u64 {
        let account = self.server.client(client).expect("a client");
        account.committed_pages as u64 * PAGE
    }

    fn space(&self, client: ClientIndex) -> Page {
        Page(self.server.client(client).expect("a client").vspace)
    }

    /// Writes as the client.
    pub fn write(&mut self, client: ClientIndex, address: u64, data: &[u8]) {
        let space = self.space(client);
        self.server
            .kernel_mut()
            .write(space, address as usize, data)
            .unwrap_or_else(|fault| panic!("{client:?} writes {} bytes: {fault:x?}", data.len()));
    }

    /// Reads as the client.
    pub fn read<const N: usize>(&self, client: ClientIndex, address: u64) -> [u8; N] {
        let mut data = [0; N];
        self.server
            .kernel()
            .read(self.space(client), address as usize, &mut data)
            .unwrap_or_else(|fault| panic!("{client:?} reads {N} bytes: {fault:x?}"));
        data
    }

    pub fn read_word(&self, client: ClientIndex, address: u64) -> u64 {
        u64::from_le_bytes(self.read(client, address))
    }

    /// Where an address of the client's lies in physical memory, and how it is mapped.
    pub fn translate(&self, client: ClientIndex, address: u64) -> Option<(u64, Mapping)> {
        self.server
            .kernel()
            .translate(self.space(client), address as usize)
    }

    /// Whether the client can touch an address at all.
    pub fn is_mapped(&self, client: ClientIndex, address: u64) -> bool {
        self.translate(client, address).is_some()
    }

    /// Segments of the windows that a page table or a frame of 2 MiB is mapped in.
    pub fn mapped_segments(&self) -> usize {
        let in_window = |address: usize| Window::of(address).is_some();
        self.server
            .kernel()
            .spaces()
            .map(|(_, space)| {
                let tables = space
                    .tables()
                    .filter(|(level, address, _)| *level == Table::PageTable && in_window(*address))
                    .count();
                tables + space.larges().count()
            })
            .sum()
    }

    /// Large pages that are whole and free.
    pub fn whole_larges(&self) -> usize {
        let physical = self.server.physical();
        (0..physical.large_capacity() as u32)
            .filter(|large| physical.large_form(Large(*large)) == LargeForm::Whole)
            .count()
    }

    /// Fills whole pages with a word, as the client.
    pub fn fill(&mut self, client: ClientIndex, address: u64, bytes: u64, word: u64) {
        let space = self.space(client);
        let pages = (bytes / PAGE) as usize;
        self.server
            .kernel_mut()
            .fill(space, address as usize, pages, word)
            .unwrap_or_else(|fault| panic!("{client:?} fills {pages} pages: {fault:x?}"));
    }

    /// Whether whole pages are mapped and zero to the client.
    pub fn is_zero(&self, client: ClientIndex, address: u64, bytes: u64) -> bool {
        self.server
            .kernel()
            .is_zero(
                self.space(client),
                address as usize,
                (bytes / PAGE) as usize,
            )
            .unwrap_or_else(|fault| panic!("{client:?} looks for zeros: {fault:x?}"))
    }
}

/// Whether whole pages hold a word all over, to the client.
pub fn filled(system: &System, client: ClientIndex, address: u64, bytes: u64, word: u64) -> bool {
    (address..address + bytes)
        .step_by(PAGE as usize)
        .all(|page| {
            system.read_word(client, page) == word
                && system.read_word(client, page + PAGE - 8) == word
        })
}

/// Has the kernel zero what was used of an untyped.
fn clean_untyped(kernel: &mut FakeKernel, untyped: Slot) -> Result<(), Refused> {
    kernel.retype(untyped, Object::Untyped(GRAIN_BITS), Slot::Scratch, 1)?;
    kernel.delete(Slot::Scratch)
}

/// What a client sees of an outcome.
/// The address of a block that was replied.
pub fn block(response: Response) -> Result<u64, Error> {
    response.map(|reply| match reply {
        Reply::Block { address } => address,
        other => panic!("no block but {other:?}"),
    })
}

/// The address of a region of `expected` bytes that was replied.
fn region(reply: Reply, expected: u64) -> u64 {
    match reply {
        Reply::Region { address, size } => {
            assert_eq!(size, expected, "a region has the size asked for");
            address
        }
        other => panic!("no region but {other:?}"),
    }
}

/// A response through the encoding: in four words, figures apart.
fn over_the_wire(response: &Response) -> Response {
    let decoded = match encode_short(response) {
        Some(short) => {
            let bytes = bytes_of(&short.words);
            assert!(bytes[short.length * 8..].iter().all(|byte| *byte == 0));
            decode_response(&bytes[..short.length * 8])
        }
        None => {
            let is_figures = matches!(
                response,
                Ok(Reply::Stats(_) | Reply::Ended(_) | Reply::Figures(_))
            );
            assert!(is_figures, "{response:?} does not fit four words");
            let mut bytes = [0xee; BYTES_MAX];
            let words = encode_long(response, &mut bytes).expect("figures fit a message");
            decode_response(&bytes[..words * 8])
        }
    };
    let decoded = decoded.expect("a response decodes");
    assert_eq!(decoded, *response);
    decoded
}
