// SPDX-License-Identifier: BSD-2-Clause
//! Lives of clients: who is whose child, who has ended, and the queue of what is to be built and taken back.

use crate::Server;
use crate::client::{Client, End, Family, Life, NO_BADGE, Obituary, handle, place_of_handle};
use crate::dispatch::Outcome;
use crate::kernel::{ClientIndex, Kernel, Worker};
use crate::memory::bytes;
use kmalloc_bucket::ledger::NONE;
use kmalloc_protocol::{Cause, Ended, Error, Events, Reply, Response};

/// Things that one slice of work takes back: pages, segments, chunks of kernel objects.
const SLICE_THINGS: usize = 8;

/// What a slice of work has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// There was nothing to do.
    Idle,
    /// A slice was done.
    Done,
    /// This client is to be built on, with [`Server::build`].
    Build(ClientIndex),
    /// A client was ended, since its parent had.
    Ended {
        /// Who.
        client: ClientIndex,
        /// How, and what it left.
        obituary: Obituary,
    },
    /// Everything that this client had is back, but for dataspaces that others have attached.
    Gone(ClientIndex),
}

/// The clients that there is work for, first come, first served.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queue {
    first: Option<ClientIndex>,
    last: Option<ClientIndex>,
}

impl<K: Kernel> Server<K> {
    /// The handle of a client.
    pub fn handle_of(&self, client: ClientIndex) -> u64 {
        let account = self.clients.get(client.index());
        handle(client, account.map_or(0, |account| account.serial))
    }

    /// The client that a handle speaks of, dead or alive.
    pub fn client_of(&self, handle: u64) -> Result<ClientIndex, Error> {
        let client = place_of_handle(handle);
        match self.clients.get(client.index()) {
            Some(account) if account.life != Life::Vacant && self.handle_of(client) == handle => {
                Ok(client)
            }
            _ => Err(Error::Stale { handle }),
        }
    }

    /// Ends a client. What it had goes back slice by slice, with [`Server::work`].
    pub fn end(&mut self, client: ClientIndex, end: End) -> Outcome<'static> {
        let Some(account) = self.clients.get_mut(client.index()) else {
            return Outcome::Ignore;
        };
        if !matches!(account.life, Life::Alive | Life::Building) {
            return Outcome::Ignore;
        }
        let (counters, threads) = (account.counters, account.threads);
        let waits_in_queue = account.life == Life::Building;
        let instruction = match end {
            End::Fault(fault) => fault.instruction,
            End::Killed if threads > 0 => self.kernel.instruction(client),
            _ => 0,
        };
        let obituary = Obituary {
            end,
            instruction,
            calls: counters.calls,
            peak_bytes: bytes(account.committed_peak),
            held_bytes: counters.held().bytes(),
        };
        account.life = Life::Ending;
        account.badge = NO_BADGE;
        account.obituary = Some(obituary);
        self.end_reservation(client);
        let stopped = self.kernel.stop_threads(client, threads).is_ok();
        // What a device may still write to is not taken back before the device is known to be silent.
        let silent = self.stop_devices(client);
        if !stopped || !silent {
            self.give_up(client);
        } else if !waits_in_queue {
            self.enqueue(client);
        }
        Outcome::Ended { client, obituary }
    }

    /// Whether there is work to do.
    pub fn has_work(&self) -> bool {
        self.queue.first.is_some() || self.has_notices()
    }

    /// Does one slice of what there is to do, bounded by a constant.
    pub fn work(&mut self) -> Work {
        if self.has_notices() {
            self.give_notices();
            return Work::Done;
        }
        let Some(client) = self.queue.first else {
            return Work::Idle;
        };
        self.unqueue(client);
        match self.clients.get(client.index()).map(|client| client.life) {
            Some(Life::Building) => {
                self.enqueue(client);
                Work::Build(client)
            }
            Some(Life::Ending) => self.reclaim(client),
            // The last one to have something of its attached has let go. All else was told before.
            Some(Life::Lingering) => {
                self.bury(client);
                Work::Done
            }
            _ => Work::Done,
        }
    }

    fn reclaim(&mut self, client: ClientIndex) -> Work {
        let family = self.clients.get(client.index()).map(|client| client.family);
        if let Some(child) = family.and_then(|family| family.first_child) {
            self.enqueue(client);
            return self.outlive(child);
        }
        match self.take_back_slice(client, SLICE_THINGS) {
            Ok(true) => {
                if !self.lingers(client) {
                    self.bury(client);
                }
                Work::Gone(client)
            }
            Ok(false) => {
                self.enqueue(client);
                Work::Done
            }
            Err(_) => {
                self.give_up(client);
                Work::Done
            }
        }
    }

    /// Whether others still have something of a dead client's attached. Then its place stays, and the queue goes on
    /// without it until they let go.
    fn lingers(&mut self, client: ClientIndex) -> bool {
        let Some(account) = self.clients.get_mut(client.index()) else {
            return false;
        };
        if account.dataspace_count > 0 {
            account.life = Life::Lingering;
            // The address space went with its chunk.
            account.vspace = NONE;
        }
        account.dataspace_count > 0
    }

    /// The kernel refused to take something back, or a device may still write to it. It stays charged to the dead client, for
    /// good or until the device's next driver says so, and the books say it; its family goes on without it.
    fn give_up(&mut self, client: ClientIndex) {
        self.disown(client);
        if let Some(account) = self.clients.get_mut(client.index()) {
            account.family = Family::default();
        }
    }

    /// Everything that a client had is back: its parent gets its share back, and is told.
    fn bury(&mut self, client: ClientIndex) {
        let Some(account) = self.clients.get_mut(client.index()) else {
            return;
        };
        account.life = Life::Dead;
        let given = core::mem::take(&mut account.family.given_pages);
        let parent = account.family.parent;
        let Some(parent) = parent else {
            let _ = self.vacate(client);
            return;
        };
        if let Some(account) = self.clients.get_mut(parent.index()) {
            account.limit_pages += given;
        }
        self.raise(parent, Events::CHILD);
    }

    /// Vacates the place of a client that has nothing.
    pub(crate) fn vacate(&mut self, client: ClientIndex) -> Result<(), Error> {
        self.disown(client);
        let account = self.client_mut(client)?;
        let generation = account.generation.wrapping_add(1);
        *account = Client {
            generation,
            ..Client::VACANT
        };
        Ok(())
    }

    // --- The queue of work.

    pub(crate) fn enqueue(&mut self, client: ClientIndex) {
        let last = self.queue.last.replace(client);
        match last.and_then(|last| self.clients.get_mut(last.index())) {
            Some(last) => last.queue_next = Some(client),
            None => self.queue.first = Some(client),
        }
        self.kernel.wake(Worker::Reclaimer);
    }

    /// Takes a client out of the queue, wherever it stands: mostly it is the first.
    pub(crate) fn unqueue(&mut self, client: ClientIndex) {
        let next = self
            .clients
            .get_mut(client.index())
            .and_then(|account| account.queue_next.take());
        let mut before = None;
        let mut at = self.queue.first;
        while let Some(other) = at {
            if other == client {
                match before.and_then(|before: ClientIndex| self.clients.get_mut(before.index())) {
                    Some(before) => before.queue_next = next,
                    None => self.queue.first = next,
                }
                if self.queue.last == Some(client) {
                    self.queue.last = before;
                }
                return;
            }
            before = at;
            at = self
                .clients
                .get(other.index())
                .and_then(|account| account.queue_next);
        }
    }

    // --- Parents and children.

    /// Makes `child` a child of `parent`, and gives it `pages` pages of its limit.
    pub(crate) fn adopt(
        &mut self,
        parent: ClientIndex,
        child: ClientIndex,
        pages: usize,
    ) -> Result<(), Error> {
        let account = self.client_mut(parent)?;
        account.limit_pages -= pages;
        account.family.children += 1;
        let next = account.family.first_child.replace(child);
        let account = self.client_mut(child)?;
        account.family.parent = Some(parent);
        account.family.next = next;
        account.family.given_pages = pages;
        if let Some(next) = next {
            self.client_mut(next)?.family.previous = Some(child);
        }
        Ok(())
    }

    /// Takes a client out of its parent's family.
    fn disown(&mut self, child: ClientIndex) {
        let Some(family) = self.clients.get(child.index()).map(|child| child.family) else {
            return;
        };
        let Some(parent) = family.parent else {
            return;
        };
        match family
            .previous
            .and_then(|previous| self.clients.get_mut(previous.index()))
        {
            Some(previous) => previous.family.next = family.next,
            None => {
                if let Some(parent) = self.clients.get_mut(parent.index()) {
                    parent.family.first_child = family.next;
                }
            }
        }
        if let Some(next) = family
            .next
            .and_then(|next| self.clients.get_mut(next.index()))
        {
            next.family.previous = family.previous;
        }
        if let Some(parent) = self.clients.get_mut(parent.index()) {
            parent.family.children -= 1;
        }
    }

    /// One step towards the end of a dead client's first child, which goes with it.
    fn outlive(&mut self, child: ClientIndex) -> Work {
        match self.clients.get(child.index()).map(|child| child.life) {
            Some(Life::Alive | Life::Building) => match self.end(child, End::Killed) {
                Outcome::Ended { client, obituary } => Work::Ended { client, obituary },
                _ => Work::Done,
            },
            Some(Life::Dead) => {
                let _ = self.vacate(child);
                Work::Done
            }
            // It can take long, and nobody is left to be told.
            Some(Life::Lingering) => {
                self.give_up(child);
                Work::Done
            }
            _ => Work::Done,
        }
    }

    /// Whether `client` may end `target` without being asked for permission: itself, or a child.
    pub(crate) fn is_own(&self, client: ClientIndex, target: ClientIndex) -> bool {
        let parent = self.clients.get(target.index()).map(|it| it.family.parent);
        client == target || parent == Some(Some(client))
    }

    /// The end of a child of `client`, if one has ended and everything is back.
    pub(crate) fn reap(&mut self, client: ClientIndex, handle: u64) -> Response {
        let child = if handle == 0 {
            self.dead_child(client)
        } else {
            let child = self.client_of(handle)?;
            if child == client || !self.is_own(client, child) {
                return Err(Error::NotPermitted);
            }
            let is_dead = self.clients.get(child.index()).map(|it| it.life) == Some(Life::Dead);
            is_dead.then_some(child)
        };
        let Some(child) = child else {
            return Ok(Reply::Done);
        };
        let handle = self.handle_of(child);
        let obituary = self.clients.get(child.index()).and_then(|it| it.obituary);
        self.vacate(child)?;
        let obituary = obituary.ok_or(Error::Stale { handle })?;
        Ok(Reply::Ended(obituary.told(handle)))
    }

    fn dead_child(&self, client: ClientIndex) -> Option<ClientIndex> {
        let mut at = self.clients.get(client.index())?.family.first_child;
        while let Some(child) = at {
            let account = self.clients.get(child.index())?;
            if account.life == Life::Dead {
                return Some(child);
            }
            at = account.family.next;
        }
        None
    }
}

impl Obituary {
    /// What a parent is told.
    pub fn told(&self, handle: u64) -> Ended {
        let (cause, value) = match self.end {
            End::Exit { status } => (Cause::Exit, u64::from(status)),
            End::Killed => (Cause::Killed, 0),
            End::NotStarted(error) => (Cause::NotStarted, u64::from(error.number())),
            End::Fault(fault) => (fault.kind.cause(), fault.address),
        };
        Ended {
            handle,
            value,
            instruction: self.instruction,
            calls: self.calls,
            peak: self.peak_bytes,
            held: self.held_bytes,
            cause,
        }
    }
}
