// SPDX-License-Identifier: BSD-2-Clause
//! Clients begin, start others, and end in every way there is.

use super::{BADGES_MAX, CODE, Run};
use crate::model::Model;
use crate::operation::What;
use crate::system::{Answer, PAGE, UNLIMITED, program};
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::client::{Badge, Fault, FaultKind, Obituary};
use kmalloc_server::kernel::THREADS_MAX;
use kmalloc_server::spawn::Spawn;

/// What a fault can be.
const FAULTS: [FaultKind; 6] = [
    FaultKind::Vm,
    FaultKind::Capability,
    FaultKind::UnknownSyscall,
    FaultKind::Exception,
    FaultKind::Timeout,
    FaultKind::Unknown,
];

impl Run {
    pub(super) fn spawn(&mut self) -> Option<Model> {
        let limit = match self.random.one_in(3) {
            true => UNLIMITED,
            false => (40 + self.random.below(600)) * PAGE,
        };
        let memory_reserved = match self.random.below(3) {
            0 => limit.min((50 + self.random.below(200)) * PAGE),
            _ => 0,
        };
        let before = self.system.books();
        let spawned = self.system.try_spawn(&Spawn {
            memory_reserved,
            ..program(limit)
        });
        match spawned {
            Ok(client) => {
                self.counts.born += 1;
                let handle = self.system.handle(client);
                Some(Model::new(client, handle, memory_reserved))
            }
            Err(error) => {
                self.check_unborn(error, memory_reserved);
                // What it had got so far goes back as work, if it is not done at once.
                if !self.lazy {
                    assert_eq!(self.system.books(), before);
                }
                None
            }
        }
    }

    /// Why a client can't begin.
    fn check_unborn(&mut self, error: Error, reserved: u64) {
        self.counts.refused += 1;
        let is_explained = match error {
            Error::OutOfMemory { .. }
            | Error::NoContiguousRun { .. }
            | Error::BeingCleaned { .. } => true,
            // What is reserved comes with a stock of chunks, for which the limit may be too low.
            Error::OverQuota { .. } => reserved > 0,
            Error::Refused { code } => code == CODE && self.failing,
            _ => false,
        };
        assert!(is_explained, "a spawn fails: {error}");
    }

    /// A client ends, if it does: a fault that may be due to a moved page only has it try again.
    pub(super) fn end(&mut self, model: &Model) -> bool {
        let committed = self.system.committed(model.client);
        let free = self.system.books().free;
        let family = self.system.server.client(model.client).map(|it| it.family);
        let badge = self.system.badge(model.client);
        let obituary = match self.operation.what {
            What::Kill => self.system.kill(model.client),
            What::Exit => {
                let status = self.operation.amount;
                let answer = self.system.answer(model.client, Request::Exit { status });
                let Answer::Ended(obituary) = answer else {
                    panic!("{answer:?}");
                };
                obituary
            }
            _ => match self.fault(badge) {
                Answer::Ended(obituary) => obituary,
                Answer::Retried => return false,
                other => panic!("{other:?}"),
            },
        };
        let has_children = family.is_some_and(|family| family.children > 0);
        let (left, freed) = self.bury(model, badge, &obituary);
        if !self.lazy && !has_children {
            let expected = free + committed - left + freed;
            assert_eq!(self.system.books().free, expected);
        }
        true
    }

    fn fault(&mut self, badge: u64) -> Answer {
        self.counts.faults += 1;
        let kind = FAULTS[usize::from(self.operation.choice) % FAULTS.len()];
        let fault = Fault {
            kind,
            address: self.random.next(),
            instruction: self.random.next(),
        };
        let badge = Badge {
            fault: true,
            ..Badge::unpack(badge)
        };
        self.system.fault(badge.pack(), fault)
    }

    /// What the model forgets of a client that has ended. Bytes that stay charged to it, and bytes that come back with it
    /// of those who died before.
    fn bury(&mut self, model: &Model, badge: u64, obituary: &Obituary) -> (u64, u64) {
        let after = self.sharing.end(model.handle);
        self.counts.outlived = self.sharing.outlived;
        self.counts.deaths += 1;
        assert_eq!(obituary.held_bytes, model.held() + after.held);
        self.orphans.retain(|(parent, ..)| *parent != model.handle);
        if let Some(parent) = model.parent {
            let held = obituary.held_bytes;
            self.orphans.push((parent, model.handle, held));
        }
        if self.stale.len() == BADGES_MAX {
            self.stale.remove(0);
        }
        self.stale.push(badge);
        (after.left, after.freed)
    }

    /// Clients that ended since this was asked last, other than by their own operation: children of the dead, children
    /// that could not be built, and those that others killed.
    pub(super) fn note_ends(&mut self) {
        for (client, obituary) in std::mem::take(&mut self.system.ended) {
            let mut clients = self.clients.iter_mut();
            let place = clients.find(|place| {
                let model = place.as_ref();
                model.is_some_and(|model| model.client == client)
            });
            let model = place.and_then(Option::take).expect("somebody we know");
            let badge = self.badge_of(&model);
            self.bury(&model, badge, &obituary);
        }
        self.system.gone.clear();
    }

    /// The badge that somebody had, or has, in the generation of the place.
    fn badge_of(&self, model: &Model) -> u64 {
        // Its place may be vacant already, and of the next generation then.
        let now = Badge::unpack(self.system.badge(model.client));
        let is_over = self.system.handle(model.client) != model.handle;
        let generation = now.generation.wrapping_sub(is_over.into());
        Badge { generation, ..now }.pack()
    }

    // --- Families.

    pub(super) fn start_child(&mut self, model: &Model, place: usize) {
        let free = |at: &usize| *at != place && self.clients[*at].is_none();
        let Some(room) = (0..self.clients.len()).find(free) else {
            return;
        };
        let memory = u64::from(self.operation.amount) % (500 * PAGE);
        let text = match self.random.one_in(8) {
            true => "nobody",
            false => "child",
        };
        let response = self
            .system
            .call(model.client, Request::Start { memory, text });
        match response {
            Ok(Reply::Client { handle }) => {
                assert_eq!(text, "child");
                let client = self.system.place(handle);
                let mut child = Model::new(client, handle, 0);
                child.parent = Some(model.handle);
                self.clients[room] = Some(child);
                self.counts.born += 1;
                self.counts.children += 1;
            }
            Ok(other) => panic!("{other:?}"),
            Err(Error::NotPermitted) => assert_eq!(text, "nobody"),
            Err(Error::OutOfSlots { limit }) if limit == crate::system::CHILDREN_MAX.into() => {
                let account = self.system.server.client(model.client);
                let children = account.map(|account| account.family.children);
                assert_eq!(children.map(u64::from), Some(limit));
                self.counts.refused += 1;
            }
            // What is reserved can't be given away either.
            Err(Error::OverQuota {
                limit, requested, ..
            }) if model.reserved + requested > limit => self.counts.refused += 1,
            Err(error) => self.check_refusal(model, error),
        }
    }

    /// A child can be killed, anybody else not.
    pub(super) fn kill_child(&mut self, model: &Model) {
        let others = self.clients.iter().flatten();
        let others = others.map(|it| (it.handle, it.parent)).collect::<Vec<_>>();
        let Some((handle, parent)) = self.choose(&others) else {
            return;
        };
        let response = self.system.call(model.client, Request::Kill { handle });
        if parent == Some(model.handle) {
            assert_eq!(response, Ok(Reply::Done));
        } else {
            assert_eq!(response, Err(Error::NotPermitted));
            self.counts.misused += 1;
        }
    }

    /// The end of a child is told once, to its parent, with what it held.
    pub(super) fn reap(&mut self, model: &Model) {
        let own = |orphan: &&(u64, u64, u64)| orphan.0 == model.handle;
        let dead = self.orphans.iter().filter(own).copied();
        let dead = dead.collect::<Vec<_>>();
        let handle = match self.random.one_in(2) {
            true => 0,
            false => self.choose(&dead).map_or(0, |(_, child, _)| child),
        };
        match self.system.call(model.client, Request::Reap { handle }) {
            Ok(Reply::Ended(end)) => {
                let told = |orphan: &(u64, u64, u64)| {
                    *orphan == (model.handle, end.handle, end.held)
                        && (handle == 0 || handle == end.handle)
                };
                let at = self.orphans.iter().position(told);
                self.orphans.remove(at.expect("a child that has ended"));
                self.counts.reaped += 1;
            }
            // Nobody has ended, or not everything of it is back.
            Ok(Reply::Done) => {}
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn start_thread(&mut self, model: &Model) {
        let account = self.system.server.client(model.client);
        let threads = account.map_or(0, |it| it.threads);
        match self.system.start_thread(model.client) {
            Ok(reply) => {
                assert_eq!(reply, Reply::Done);
                assert!(threads < THREADS_MAX);
                self.counts.threads += 1;
            }
            Err(Error::OutOfSlots { limit }) if limit == u64::from(THREADS_MAX) => {
                assert_eq!(threads, THREADS_MAX);
            }
            Err(error) => self.check_refusal(model, error),
        }
    }
}
