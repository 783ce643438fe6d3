// SPDX-License-Identifier: BSD-2-Clause
//! A server with clients, in one process: requests and responses are encoded and decoded on the way as over IPC.

use crate::scan::scan;
use crate::serving::serving;
use fake_kernel::FakeKernel;
use kmalloc_protocol::message::quick::{self, QuickRequest};
use kmalloc_protocol::message::{BYTES_MAX, bytes_of, encode_long};
use kmalloc_protocol::{Error, LABEL, Reply, Request, Response};
use kmalloc_server::client::{Badge, End, Fault, Obituary};
use kmalloc_server::kernel::{ClientIndex, Kernel, Worker};
use kmalloc_server::spawn::{Load, Spawn};
use kmalloc_server::{Books, Built, Outcome, Quick, Server, Work};
use std::collections::BTreeMap;
use wire::over_the_wire;

mod calls;
mod cleaning;
mod view;
mod wire;

pub use calls::block;
pub use view::filled;

/// 16 MiB that begin at 16 MiB, a chunk, and some pages.
pub const RAM: &[(u64, u32)] = &[
    (0x100_0000, 24),
    (0x200_0000, 16),
    (0x201_2000, 13),
    (0x201_5000, 12),
];
/// No limit.
pub const UNLIMITED: u64 = u64::MAX;
/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Bytes of a chunk.
pub const CHUNK: u64 = 16 * PAGE;
/// 1 MiB.
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
    /// It was answered.
    Response(Response),
    /// This was printed.
    Printed(String),
    /// It was the client's end.
    Ended(Obituary),
    /// The thread that faulted tries again.
    Retried,
    /// Nobody is there.
    Ignored,
}

/// A server and the kernel below it.
pub struct System {
    /// The server.
    pub server: Server<FakeKernel>,
    /// Requests between two scans; 1 scans after each, 0 leaves it to the caller.
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
    /// See `ended`.
    pub gone: Vec<ClientIndex>,
    /// What was asked and answered, in words, where somebody wants to know.
    pub log: Option<Vec<String>>,
    requests: u64,
}

/// The limit of a client that another starts, where the request does not say.
pub const CHILD_LIMIT: u64 = 1 << 20;
/// Children that a client of the tests may have.
pub const CHILDREN_MAX: u16 = 8;

impl System {
    /// A machine with these untypeds (physical address, log2 of the bytes), on a kernel without scheduling contexts.
    pub fn new(ram: &[(u64, u32)]) -> System {
        System::boot(ram, false)
    }

    /// On a kernel with scheduling contexts.
    pub fn new_mcs(ram: &[(u64, u32)]) -> System {
        System::boot(ram, true)
    }

    fn boot(ram: &[(u64, u32)], mcs: bool) -> System {
        let (kernel, physical) = if mcs {
            FakeKernel::boot_mcs(ram)
        } else {
            FakeKernel::boot(ram)
        };
        System {
            server: Server::new(kernel, physical, mcs),
            scan_every: 1,
            last_zeroed: 0,
            names: BTreeMap::new(),
            settles: true,
            killers: Vec::new(),
            ended: Vec::new(),
            gone: Vec::new(),
            log: None,
            requests: 0,
        }
    }

    /// A client that runs, with so many bytes as its limit.
    pub fn spawn(&mut self, memory_limit: u64) -> ClientIndex {
        self.try_spawn(&program(memory_limit))
            .expect("a client starts")
    }

    /// A client, if it can be had.
    pub fn try_spawn(&mut self, spawn: &Spawn<'_>) -> Result<ClientIndex, Error> {
        let client = serving(|| self.server.spawn(spawn));
        self.note(|| format!("a client with {} bytes: {client:x?}", spawn.memory_limit));
        self.scan_unasked();
        client
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(text());
        }
    }

    fn scan_unasked(&self) {
        if self.scan_every != 0 {
            scan(&self.server);
        }
    }

    /// Microseconds since boot.
    pub fn now_us(&mut self) -> u64 {
        self.server.kernel_mut().now_us().expect("a clock")
    }

    /// The badge of a client's requests.
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
        let outcome = serving(|| self.server.handle(badge, label, caps, message));
        let answer = self.answer_of(outcome);
        self.served();
        answer
    }

    /// A request by the quick way, as far as that goes.
    pub fn call_quick(&mut self, client: ClientIndex, request: QuickRequest) -> Response {
        let badge = self.badge(client);
        let short = quick::encode(request);
        self.server.kernel_mut().take_zeroed_max();
        let response = match serving(|| self.server.handle_quick(badge, &short.words)) {
            Quick::Block(address) => Ok(Reply::Block { address }),
            Quick::Done => Ok(Reply::Done),
            Quick::Refused => Err(serving(|| self.server.refusal())),
            Quick::Slow => {
                let bytes = bytes_of(&short.words);
                let answer = self.send(badge, LABEL, false, &bytes[..short.length * 8]);
                let Answer::Response(response) = answer else {
                    panic!("{request:?} is not answered but {answer:?}");
                };
                return response;
            }
        };
        self.note(|| format!("{client:?} quickly: {request:x?}: {response:x?}"));
        self.served();
        response
    }

    /// What is to be checked and done after a request.
    fn served(&mut self) {
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
    }

    fn answer_of(&mut self, outcome: Outcome<'_>) -> Answer {
        match outcome {
            Outcome::Respond(response) => Answer::Response(over_the_wire(&response)),
            Outcome::Print { text, .. } => Answer::Printed(text.to_string()),
            Outcome::Find { client, name } => {
                let found = self.names.get(name).copied();
                let response = serving(|| self.server.found(client, found));
                Answer::Response(over_the_wire(&response))
            }
            Outcome::Observe {
                client,
                subject,
                of,
                cursor,
            } => {
                let response = serving(|| self.server.observe(client, subject, of, cursor));
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
        let child = serving(|| self.server.begin(Some(parent), &program(limit)))?;
        let handle = self.server.handle_of(child);
        Ok(Reply::Client { handle })
    }

    fn kill_for(&mut self, client: ClientIndex, target: ClientIndex, own: bool) -> Answer {
        if !own && !self.killers.contains(&(client, target)) {
            return Answer::Response(Err(Error::NotPermitted));
        }
        match serving(|| self.server.end(target, End::Killed)) {
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
        let work = serving(|| self.server.work());
        match work {
            Work::Idle => {}
            Work::Done => {}
            Work::Build(client) => {
                let account = self.server.client(client).expect("a client");
                let limit = (account.limit_pages as u64) << 12;
                if let Built::Failed(Outcome::Ended { client, obituary }) =
                    serving(|| self.server.build(client, &program(limit), 3))
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

    /// A request and what became of it.
    pub fn answer(&mut self, client: ClientIndex, request: Request<'_>) -> Answer {
        let mut bytes = [0xee; BYTES_MAX];
        let words = encode_long(&request, &mut bytes).expect("a request fits a message");
        let badge = self.badge(client);
        let answer = self.send(badge, LABEL, false, &bytes[..words * 8]);
        self.note(|| format!("{client:?}: {request:x?}: {answer:x?}"));
        answer
    }

    /// A request that is answered.
    pub fn call(&mut self, client: ClientIndex, request: Request<'_>) -> Response {
        match self.answer(client, request) {
            Answer::Response(response) => response,
            other => panic!("{request:?} is not answered but {other:?}"),
        }
    }

    /// A message on the fault endpoint.
    pub fn fault(&mut self, badge: u64, fault: Fault) -> Answer {
        let outcome = serving(|| self.server.fault(badge, fault));
        let answer = self.answer_of(outcome);
        self.note(|| format!("fault of badge {badge:#x}: {fault:x?}: {answer:x?}"));
        if self.settles {
            self.settle();
        }
        answer
    }

    /// Ends a client from outside.
    pub fn kill(&mut self, client: ClientIndex) -> Obituary {
        let outcome = serving(|| self.server.end(client, End::Killed));
        let Outcome::Ended { obituary, .. } = outcome else {
            panic!("{client:?} to be killed: {outcome:?}");
        };
        self.note(|| format!("{client:?} is killed: {obituary:x?}"));
        if self.settles {
            self.settle();
        }
        self.scan_unasked();
        obituary
    }

    /// The server's books.
    pub fn books(&self) -> Books {
        self.server.books()
    }

    /// Bytes that the client is charged for.
    pub fn committed(&self, client: ClientIndex) -> u64 {
        let account = self.server.client(client).expect("a client");
        account.committed_pages as u64 * PAGE
    }
}
