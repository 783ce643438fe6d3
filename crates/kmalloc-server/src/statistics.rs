// SPDX-License-Identifier: BSD-2-Clause
//! Figures about the whole system, a page at a time; and what the kernel is told of while the server traces.

use crate::Server;
use crate::client::{Client, Counters, Life, NO_BADGE};
use crate::kernel::{ClientIndex, Kernel};
use crate::memory::bytes;
use crate::physical::CHUNK_PAGES;
use crate::segments::{SEGMENT_PAGES, address_of};
use kmalloc_bucket::ledger::{NONE, Use};
use kmalloc_events::{Event, Held};
use kmalloc_protocol::statistics::{
    BlockFigures, CallFigures, ClientFigures, FailureFigures, Figures, MemoryFigures, REASONS,
    SERVED_CLASSES, Subject, UseFigures,
};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Reply, Response};
use serde::Serialize;

/// What a traced run of pages is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traced {
    Grant,
    Map,
    Attach,
}

impl Counters {
    /// What a client holds, by kind.
    pub fn held(&self) -> Held {
        let bytes = |pages: u64| bytes(pages as usize);
        Held {
            blocks: self.blocks,
            block_bytes: self.block_bytes,
            resident_bytes: bytes(self.region_pages - self.large_pages),
            large_bytes: bytes(self.large_pages),
            dma_bytes: bytes(self.dma_pages),
            shared_bytes: bytes(self.dataspace_pages),
        }
    }
}

impl Life {
    /// Its number in [`ClientFigures`].
    const fn number(self) -> u64 {
        match self {
            Life::Vacant => 0,
            Life::Building => 1,
            Life::Alive => 2,
            Life::Ending => 3,
            Life::Lingering => 4,
            Life::Dead => 5,
        }
    }
}

impl<K: Kernel> Server<K> {
    /// The response to `client`, which asked for a page of figures and may see them. The name of a client is not known
    /// here: the caller answers for that.
    pub fn observe(&mut self, client: ClientIndex, subject: u8, of: u64, cursor: u64) -> Response {
        let response = self.page_of(subject, of, cursor);
        if let Err(error) = response {
            self.fail(client, error);
        }
        response
    }

    fn page_of(&mut self, subject: u8, of: u64, cursor: u64) -> Response {
        let unknown = Error::BadFlags {
            unknown: subject.into(),
        };
        let position = usize::try_from(cursor).unwrap_or(usize::MAX);
        match Subject::from_number(subject).ok_or(unknown)? {
            Subject::Memory => Ok(figures(&self.memory_figures())),
            Subject::Client => Ok(page(self.client_figures(position))),
            Subject::Use => Ok(figures(&self.use_figures(self.client_of(of)?))),
            Subject::Failures => {
                let client = self.client_of(of)?;
                Ok(page(self.failure_figures(client, position)))
            }
            Subject::Name => Err(unknown),
            Subject::Blocks => {
                let client = self.client_of(of)?;
                Ok(page(self.block_figures(client, cursor)))
            }
            Subject::Large => Ok(page(self.physical.large_figures(position))),
            Subject::Calls => {
                let calls = usize::try_from(of).ok().map(|of| self.latencies.get(of));
                let calls = calls.flatten().ok_or(Error::Stale { handle: of })?;
                Ok(figures(calls))
            }
            Subject::Measure => {
                self.measure(cursor != 0);
                Ok(Reply::Done)
            }
        }
    }

    /// Physical memory as a whole.
    pub fn memory_figures(&self) -> MemoryFigures {
        MemoryFigures {
            total: bytes(self.total_pages),
            ..self.physical.figures()
        }
    }

    /// The account of the first client in place `from` or behind it that has anything.
    pub fn client_figures(&self, from: usize) -> Option<ClientFigures> {
        let mut places = self.clients.iter().enumerate().skip(from);
        let (place, account) = places.find(|(_, client)| client.life != Life::Vacant)?;
        let parent = account.family.parent;
        Some(ClientFigures {
            handle: self.handle_of(ClientIndex(place as u16)),
            next: place as u64 + 1,
            parent: parent.map_or(0, |parent| self.handle_of(parent)),
            life: account.life.number(),
            limit: bytes(account.limit_pages),
            committed: bytes(account.committed_pages),
            committed_peak: bytes(account.committed_peak),
            calls: account.counters.calls,
            failures: account.counters.failures,
            threads: account.threads.into(),
            reserved: bytes(account.reserved_pages),
            slots: account.slots.committed as u64,
        })
    }

    /// What a client has its memory for.
    pub fn use_figures(&self, client: ClientIndex) -> UseFigures {
        let Some(Client { counters, .. }) = self.clients.get(client.index()) else {
            return UseFigures::default();
        };
        let held = counters.held();
        UseFigures {
            block_bytes: held.block_bytes,
            block_bytes_peak: counters.block_bytes_peak,
            blocks: held.blocks,
            resident_bytes: held.resident_bytes,
            large_bytes: held.large_bytes,
            dma_bytes: held.dma_bytes,
            shared_bytes: held.shared_bytes,
            attached_bytes: bytes(counters.attached_pages as usize),
            kernel_bytes: bytes(counters.object_chunks as usize * CHUNK_PAGES),
            ledger_bytes: bytes(counters.ledger_pages as usize),
        }
    }

    /// Why a client's requests were refused: a page of counters, from number `first` on.
    pub fn failure_figures(&self, client: ClientIndex, first: usize) -> Option<FailureFigures> {
        let rest = self.reasons.get(client.index())?.get(first..)?;
        let mut figures = FailureFigures {
            first: first as u32,
            ..FailureFigures::default()
        };
        for (count, reason) in figures.counts.iter_mut().zip(rest) {
            *count = *reason;
        }
        (!rest.is_empty()).then_some(figures)
    }

    /// Counts a request that was refused.
    #[cold]
    pub(crate) fn count_failure(&mut self, client: ClientIndex, error: Error) {
        if let Some(account) = self.clients.get_mut(client.index()) {
            account.counters.failures += 1;
        }
        let reason = (error.number() as usize).min(REASONS - 1);
        let reasons = self.reasons.get_mut(client.index());
        if let Some(count) = reasons.and_then(|reasons| reasons.get_mut(reason)) {
            *count = count.saturating_add(1);
        }
    }

    /// Served blocks in one of the client's segments: in its first with cursor 0, else in the one that the page before
    /// named. `None` behind the last, and where that one has gone back since.
    pub fn block_figures(&mut self, client: ClientIndex, cursor: u64) -> Option<BlockFigures> {
        let segment = match cursor.checked_sub(1) {
            None => *self
                .clients
                .get_mut(client.index())?
                .segments_of(Window::Served),
            Some(segment) => u32::try_from(segment).ok()?,
        };
        let open = self.segments.get(segment)?;
        if !open.is(client, Window::Served) {
            return None;
        }
        let next = match open.next {
            NONE => u64::MAX,
            next => u64::from(next) + 1,
        };
        let mut figures = BlockFigures {
            next,
            ..BlockFigures::default()
        };
        for entry in self.kernel.ledger(segment) {
            match entry.usage {
                Use::Bucket => {
                    let class = usize::from(entry.class) % SERVED_CLASSES;
                    let blocks = u32::from(entry.block_count() - entry.free_count);
                    let places = figures.buckets.iter_mut().zip(&mut figures.blocks);
                    if let Some((buckets, in_use)) = places.into_iter().nth(class) {
                        *buckets += 1;
                        *in_use += blocks;
                    }
                }
                Use::Head => {
                    figures.runs += 1;
                    figures.run_pages += entry.length;
                }
                _ => {}
            }
        }
        Some(figures)
    }

    /// How long requests with this number took.
    pub fn call_figures(&self, operation: u8) -> Option<CallFigures> {
        self.latencies.get(usize::from(operation)).copied()
    }

    /// Counts a request with this number that took `ticks` of the processor's counter.
    pub fn note_call(&mut self, operation: u8, ticks: u64) {
        if let Some(figures) = self.latencies.get_mut(usize::from(operation)) {
            figures.count(ticks);
        }
    }

    /// Has all requests come by [`Server::handle`], where they can be measured, or the commonest no longer. Who is to be
    /// served quickly is known by the badge alone; a client without one is not.
    pub fn measure(&mut self, all: bool) {
        // A trace has the times of all.
        self.measures = all || self.traces;
        for place in 0..self.clients.len() {
            self.measure_client(ClientIndex(place as u16));
        }
    }

    /// Whether all requests are measured.
    #[inline(always)]
    pub fn measures(&self) -> bool {
        self.measures
    }

    /// Sets the badge of a client that is alive as measuring wants it.
    pub(crate) fn measure_client(&mut self, client: ClientIndex) {
        let measures = self.measures;
        if let Some(account) = self.clients.get_mut(client.index())
            && account.life == Life::Alive
        {
            account.badge = if measures {
                NO_BADGE
            } else {
                account.own_badge(client)
            };
        }
    }

    // --- The trace.

    /// Has the kernel told of what happens from now on, and all requests measured.
    pub fn trace(&mut self) {
        self.traces = true;
        self.measure(true);
    }

    /// Whether the kernel is told of what happens.
    pub fn is_tracing(&self) -> bool {
        self.traces
    }

    #[cold]
    pub(crate) fn trace_run(
        &mut self,
        client: ClientIndex,
        window: Window,
        number: u32,
        pages: usize,
        what: Traced,
    ) {
        let (client, pages) = (self.handle_of(client), pages as u32);
        let address = address_of(window, number) as u64;
        self.kernel.trace(&match what {
            Traced::Grant => Event::Grant {
                client,
                address,
                pages,
            },
            Traced::Map => Event::Map {
                client,
                address,
                pages,
            },
            Traced::Attach => Event::Attach {
                client,
                address,
                pages,
            },
        });
    }

    /// Whose pages they were, the segment says.
    #[cold]
    pub(crate) fn trace_unmapped(&mut self, number: u32, pages: usize) {
        let open = self.segments.get(number / SEGMENT_PAGES as u32);
        let Some((owner, window)) = open.and_then(|open| Some((open.owner?, open.window))) else {
            return;
        };
        self.kernel.trace(&Event::Free {
            client: self.handle_of(owner),
            address: address_of(window, number) as u64,
            pages: pages as u32,
        });
    }
}

/// A page of figures, or that there are no more.
fn page<T: Serialize>(page: Option<T>) -> Reply {
    page.as_ref().map_or(Reply::Done, figures)
}

fn figures<T: Serialize>(page: &T) -> Reply {
    Reply::Figures(Figures::new(page))
}
