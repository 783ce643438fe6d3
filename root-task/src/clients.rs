// SPDX-License-Identifier: BSD-2-Clause
//! The clients of the system as its manifest wants them: who starts, who may start and end whom, and what happens when
//! one fails.

mod restarts;

use crate::kernel::Sel4;
use crate::names::Names;
use crate::report::{self, Lines};
use crate::system::{Directory, StartError};
use alloc::vec;
use alloc::vec::Vec;
use kmalloc_events::{Event, Held};
use kmalloc_manifest::{OnFailure, Report};
use kmalloc_protocol::statistics::{ClientName, Figures, Subject};
use kmalloc_protocol::{Ended, Error, Events, Reply, Response};
use kmalloc_server::client::{End, Fault, Obituary};
use kmalloc_server::kernel::{ClientIndex, Kernel};
use kmalloc_server::{Built, Outcome, Server, Work};
use restarts::Restart;

/// Pages and objects of a new client that one slice of work makes.
const BUILD_STEPS: usize = 2;

/// The clients of the system.
pub struct Clients<'a> {
    directory: Directory<'a>,
    names: Names,
    lines: Lines,
    /// For each manifest entry.
    restarts: Vec<Restart>,
    /// How many of them are due some time.
    restarts_due: usize,
    /// Whether a failure has stopped the system.
    stopped: bool,
    /// Whether the services have been told that nobody is left to serve.
    closing: bool,
}

impl<'a> Clients<'a> {
    /// The clients of `directory`, none of them started.
    pub fn new(directory: Directory<'a>) -> Clients<'a> {
        let count = directory.entries().len();
        Clients {
            directory,
            names: Names::new(count),
            lines: Lines::default(),
            restarts: vec![Restart::default(); count],
            restarts_due: 0,
            stopped: false,
            closing: false,
        }
    }

    /// Starts the clients that the manifest wants at boot, each at once; false when one can't start.
    pub fn start_all(&mut self, server: &mut Server<Sel4>) -> bool {
        for number in 0..self.directory.entries().len() {
            let Some(entry) = self.directory.entries().get(number) else {
                continue;
            };
            if !entry.client.start {
                continue;
            }
            server.kernel_mut().connect_next(&entry.client);
            match entry.begin("", 0, |spawn| server.spawn(spawn)) {
                Ok(client) => {
                    entry.allow(server, client);
                    self.born(server, client, number);
                }
                Err(error) => {
                    let (name, limit) = (entry.client.name, entry.client.memory_limit_bytes);
                    print_line!("# client {name} (memory_limit {limit}) can't start: {error}");
                    return false;
                }
            }
        }
        true
    }

    /// Does what is left to do of a request; what to respond, or `None` where nobody waits.
    pub fn finish(&mut self, server: &mut Server<Sel4>, outcome: Outcome<'_>) -> Option<Response> {
        match outcome {
            Outcome::Respond(response) => Some(response),
            Outcome::Print { client, text } => {
                self.lines.print(client, self.name(client), text);
                Some(Ok(Reply::Done))
            }
            Outcome::Find { client, name } => {
                let found = self.find(name);
                Some(server.found(client, found))
            }
            Outcome::Observe {
                client,
                subject,
                of,
                cursor,
            } => Some(self.observe(server, client, subject, of, cursor)),
            Outcome::Ended { client, obituary } => {
                self.note_end(server, client, &obituary);
                None
            }
            Outcome::Start {
                parent,
                memory,
                text,
            } => Some(self.start(server, parent, memory, text)),
            Outcome::Kill {
                client,
                target,
                own,
            } => self.kill(server, client, target, own),
            // A thread that faulted gets no response; the desk lets it go on.
            Outcome::Retry | Outcome::Ignore => None,
        }
    }

    /// Does a slice of work; whether there is more.
    pub fn work(&mut self, server: &mut Server<Sel4>) -> bool {
        match server.work() {
            Work::Idle => return false,
            Work::Done => {}
            Work::Build(client) => self.build(server, client),
            Work::Ended { client, obituary } => self.note_end(server, client, &obituary),
            Work::Gone(client) => self.note_gone(server, client),
        }
        server.has_work()
    }

    /// Whether nobody is left, and nothing of anybody. Services are told when nobody else is.
    pub fn is_over(&mut self, server: &mut Server<Sel4>) -> bool {
        if self.names.alive() == 0 && self.restarts_due == 0 {
            return !server.has_work();
        }
        if !self.closing && self.restarts_due == 0 && self.is_serving_nobody() {
            self.closing = true;
            for (client, _) in self.names.all_alive() {
                server.raise(client, Events::CLOSING);
            }
        }
        false
    }

    /// The records of clients whose ends were only counted.
    pub fn report_counts(&self) {
        for (number, entry) in self.directory.entries().iter().enumerate() {
            let ends = self.names.ends(number);
            if entry.client.report == Report::Count && ends.count() > 0 {
                report::ends(entry.client.name, &ends);
            }
        }
    }

    fn is_serving_nobody(&self) -> bool {
        let entries = self.directory.entries();
        let is_service = |number: usize| {
            entries
                .get(number)
                .is_some_and(|entry| entry.client.service)
        };
        self.names.all_alive().all(|(_, number)| is_service(number))
    }

    fn name(&self, client: ClientIndex) -> &'a str {
        let entries = self.directory.entries();
        let entry = self
            .names
            .entry(client)
            .and_then(|entry| entries.get(entry));
        entry.map_or("", |entry| entry.client.name)
    }

    /// A client that is alive, or about to be, and has this name in the manifest.
    fn find(&self, name: &str) -> Option<ClientIndex> {
        let entries = self.directory.entries();
        let mut alive = self.names.all_alive();
        let has_name = |number: usize| {
            let entry = entries.get(number);
            entry.is_some_and(|entry| entry.client.name == name)
        };
        let found = alive.find(|(_, number)| has_name(*number));
        found.map(|(client, _)| client)
    }

    /// A page of figures, for who may see them. Names are the manifest's, which the server does not know.
    fn observe(
        &mut self,
        server: &mut Server<Sel4>,
        client: ClientIndex,
        subject: u8,
        of: u64,
        cursor: u64,
    ) -> Response {
        let entry = self.names.entry(client);
        let entry = entry.and_then(|entry| self.directory.entries().get(entry));
        let name = || Some(self.name(server.client_of(of).ok()?));
        let response = if !entry.is_some_and(|entry| entry.client.statistics) {
            Err(Error::NotPermitted)
        } else if subject == Subject::Name as u8 {
            name()
                .map(|name| Reply::Figures(Figures::new(&ClientName::new(name))))
                .ok_or(Error::Stale { handle: of })
        } else {
            return server.observe(client, subject, of, cursor);
        };
        if let Err(error) = response {
            server.fail(client, error);
        }
        response
    }

    fn start(
        &mut self,
        server: &mut Server<Sel4>,
        parent: ClientIndex,
        memory: u64,
        text: &str,
    ) -> Response {
        let started = self.try_start(server, parent, memory, text);
        if let Err(error) = started {
            server.fail(parent, error);
        }
        started.map(|handle| Reply::Client { handle })
    }

    fn try_start(
        &mut self,
        server: &mut Server<Sel4>,
        parent: ClientIndex,
        memory: u64,
        text: &str,
    ) -> Result<u64, Error> {
        let (name, arguments) = text.split_once('\0').unwrap_or((text, ""));
        let parent_entry = self.names.entry(parent).ok_or(Error::NotPermitted)?;
        let (number, entry) = self
            .directory
            .startable(parent_entry, name)
            .ok_or(Error::NotPermitted)?;
        // The manifest's word on how much memory the program may have holds whoever starts it.
        let limit = entry.client.memory_limit_bytes;
        if memory > limit {
            return Err(Error::OverQuota {
                limit,
                committed: 0,
                requested: memory,
            });
        }
        let begun = entry.begin(arguments, memory, |spawn| server.begin(Some(parent), spawn));
        let client = begun.map_err(|error| match error {
            StartError::Server(error) => error,
            StartError::StartPage(_) | StartError::Program(_) => Error::BadSize {
                size: text.len() as u64,
            },
        })?;
        entry.allow(server, client);
        self.born(server, client, number);
        Ok(server.handle_of(client))
    }

    fn kill(
        &mut self,
        server: &mut Server<Sel4>,
        client: ClientIndex,
        target: ClientIndex,
        own: bool,
    ) -> Option<Response> {
        let entries = self.names.entry(client).zip(self.names.entry(target));
        let allowed =
            own || entries.is_some_and(|(killer, target)| self.directory.may_kill(killer, target));
        if !allowed {
            server.fail(client, Error::NotPermitted);
            return Some(Err(Error::NotPermitted));
        }
        if let Outcome::Ended { client, obituary } = server.end(target, End::Killed) {
            self.note_end(server, client, &obituary);
        }
        (client != target).then_some(Ok(Reply::Done))
    }

    fn build(&mut self, server: &mut Server<Sel4>, client: ClientIndex) {
        let entries = self.directory.entries();
        let Some(entry) = self
            .names
            .entry(client)
            .and_then(|entry| entries.get(entry))
        else {
            return;
        };
        server.kernel_mut().connect_next(&entry.client);
        let built = entry.build(|spawn| Ok(server.build(client, spawn, BUILD_STEPS)));
        let outcome = match built {
            Ok(Built::More | Built::Runs) => return,
            Ok(Built::Failed(outcome)) => outcome,
            // It was well when it began.
            Err(_) => server.end(client, End::NotStarted(Error::NotPermitted)),
        };
        if let Outcome::Ended { client, obituary } = outcome {
            self.note_end(server, client, &obituary);
        }
    }

    /// A client has begun.
    fn born(&mut self, server: &mut Server<Sel4>, client: ClientIndex, number: usize) {
        self.names.begin(client, number);
        if server.is_tracing()
            && let Some(entry) = self.directory.entries().get(number)
        {
            let parent = server.client(client).and_then(|it| it.family.parent);
            let event = Event::Birth {
                client: server.handle_of(client),
                parent: parent.map_or(0, |parent| server.handle_of(parent)),
                name: entry.client.name,
                program: entry.program,
            };
            server.kernel_mut().trace(&event);
        }
    }

    /// A client has faulted, if there is one.
    pub fn trace_fault(&self, server: &mut Server<Sel4>, client: ClientIndex, fault: &Fault) {
        if server.is_tracing() && self.names.entry(client).is_some() {
            let event = Event::Fault {
                client: server.handle_of(client),
                cause: fault.kind.cause(),
                address: fault.address,
                instruction: fault.instruction,
            };
            server.kernel_mut().trace(&event);
        }
    }

    /// A client has ended: reports it, and stops the system if that is what the manifest wants.
    fn note_end(&mut self, server: &mut Server<Sel4>, client: ClientIndex, obituary: &Obituary) {
        let Some(number) = self.names.end(client, &obituary.end) else {
            return;
        };
        let Some(entry) = self.directory.entries().get(number) else {
            return;
        };
        let account = server.client(client);
        let held = account.map_or_else(Held::default, |account| account.counters.held());
        if entry.client.report == Report::Each {
            self.lines.close();
            let outcome = report::outcome_of(obituary.end);
            report::client(entry.client.name, entry.program, outcome, obituary, &held);
        }
        if server.is_tracing() {
            let handle = server.handle_of(client);
            let Ended {
                cause, value, peak, ..
            } = obituary.told(handle);
            server.kernel_mut().trace(&Event::Death {
                client: handle,
                cause,
                value,
                calls: obituary.calls,
                peak,
                held,
            });
        }
        let stops = entry.client.on_failure == OnFailure::Stop;
        if stops && is_failure(&obituary.end) && !self.stopped {
            self.stopped = true;
            report::stopped(entry.client.name);
            self.end_all(server);
        }
    }

    fn end_all(&mut self, server: &mut Server<Sel4>) {
        for restart in &mut self.restarts {
            restart.due_us = None;
        }
        self.restarts_due = 0;
        loop {
            let Some((client, _)) = self.names.all_alive().next() else {
                return;
            };
            match server.end(client, End::Killed) {
                Outcome::Ended { client, obituary } => self.note_end(server, client, &obituary),
                // Nobody the server knows: nobody to wait for.
                _ => drop(self.names.end(client, &End::Killed)),
            }
        }
    }
}

/// Whether an end is a failure.
fn is_failure(end: &End) -> bool {
    !matches!(end, End::Exit { status: 0 })
}
