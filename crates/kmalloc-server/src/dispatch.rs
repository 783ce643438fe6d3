// SPDX-License-Identifier: BSD-2-Clause
//! One message in, one outcome out.

use crate::Server;
use crate::client::{Badge, End, Fault, FaultKind, Life, Obituary};
use crate::dma::DmaRequest;
use crate::kernel::{ClientIndex, Kernel};
use crate::memory::bytes;
use crate::served::Given;
use kmalloc_protocol::message::quick::{self, QuickRequest};
use kmalloc_protocol::message::{SHORT_WORDS, decode_request};
use kmalloc_protocol::{
    BadMessage, Error, LABEL, PROTOCOL_VERSION, Reply, Request, Response, Stats,
};

/// What the caller of [`Server::handle_quick`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quick {
    /// Respond with [`Reply::Block`].
    Block(u64),
    /// Respond with [`Reply::Done`].
    Done,
    /// Respond with the error that [`Server::refusal`] gives.
    Refused,
    /// Nothing was done: hand the message to [`Server::handle`].
    Slow,
}

/// What the caller of [`Server::handle`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'m> {
    /// Send this to the client.
    Respond(Response),
    /// Print this for the client, then respond with [`Reply::Done`].
    Print {
        /// Who prints.
        client: ClientIndex,
        /// What.
        text: &'m str,
    },
    /// Look for the client with this name, then respond with what [`Server::found`] gives.
    Find {
        /// Who asks.
        client: ClientIndex,
        /// The name.
        name: &'m str,
    },
    /// Figures for this client, if the manifest lets it see them: respond with what [`Server::observe`] gives.
    Observe {
        /// Who asks.
        client: ClientIndex,
        /// The number of a subject.
        subject: u8,
        /// Whom or what.
        of: u64,
        /// Where to go on.
        cursor: u64,
    },
    /// The client is gone; nobody waits for a response.
    Ended {
        /// Who.
        client: ClientIndex,
        /// How, and what it left.
        obituary: Obituary,
    },
    /// Start another client for this one: [`Server::begin`], then respond with its handle.
    Start {
        /// Who asks.
        parent: ClientIndex,
        /// Bytes for the new client; 0 for what its manifest entry says.
        memory: u64,
        /// The manifest entry's name and arguments, parted by zero bytes.
        text: &'m str,
    },
    /// End a client for another, if the manifest allows it: [`Server::end`], then respond with [`Reply::Done`], unless
    /// `target` is the one that asked.
    Kill {
        /// Who asks.
        client: ClientIndex,
        /// Whom to end.
        target: ClientIndex,
        /// Whether it is a child of `client`, or itself: then nobody has to allow it.
        own: bool,
    },
    /// Let the thread that faulted try again.
    Retry,
    /// Nothing: nobody is there.
    Ignore,
}

impl<K: Kernel> Server<K> {
    /// Serves a message of the commonest kinds from registers to registers: one with the protocol's label,
    /// [`quick::REQUEST_WORDS`] words and no capabilities, which the caller has checked.
    #[inline(always)]
    pub fn handle_quick(&mut self, badge: u64, words: &[u64; SHORT_WORDS]) -> Quick {
        let client = Badge::unpack(badge).client;
        match quick::decode(words) {
            Some(QuickRequest::Kmalloc { size, .. }) => {
                if !self.begin_quick(client, badge) {
                    return Quick::Slow;
                }
                match self.take_from_bucket(client, size) {
                    Some(address) => Quick::Block(address),
                    None => self.allocate_quick(client, size),
                }
            }
            Some(QuickRequest::Kfree { address }) => {
                if !self.begin_quick(client, badge) {
                    return Quick::Slow;
                }
                match self.give_to_bucket(client, address) {
                    Given::Done => Quick::Done,
                    Given::Settle(number) => self.settle_quick(client, number),
                    Given::Nothing => self.free_quick(client, address),
                }
            }
            None => Quick::Slow,
        }
    }

    /// Counts a call of a client that is alive, in this life, and speaks for itself: that is one test. False for any other.
    #[inline(always)]
    fn begin_quick(&mut self, client: ClientIndex, badge: u64) -> bool {
        match self.clients.get_mut(client.index()) {
            Some(account) if account.badge == badge => {
                account.counters.calls += 1;
                true
            }
            _ => false,
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_quick(&mut self, client: ClientIndex, size: u64) -> Quick {
        match self.allocate_slowly(client, size) {
            Ok(address) => Quick::Block(address),
            Err(error) => self.refuse(client, error),
        }
    }

    #[cold]
    #[inline(never)]
    fn free_quick(&mut self, client: ClientIndex, address: u64) -> Quick {
        match self.free_slowly(client, address) {
            Ok(()) => Quick::Done,
            Err(error) => self.refuse(client, error),
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_quick(&mut self, client: ClientIndex, number: u32) -> Quick {
        match self.settle_bucket(client, number) {
            Ok(()) => Quick::Done,
            Err(error) => self.refuse(client, error),
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(&mut self, client: ClientIndex, error: Error) -> Quick {
        self.count_failure(client, error);
        self.refusal = error;
        Quick::Refused
    }

    /// Why [`Server::handle_quick`] refused last.
    pub fn refusal(&self) -> Error {
        self.refusal
    }

    /// Serves one message: its badge, its label, whether capabilities came with it, and the bytes of its words.
    pub fn handle<'m>(
        &mut self,
        badge: u64,
        label: u64,
        caps: bool,
        message: &'m [u8],
    ) -> Outcome<'m> {
        let client = match self.admit(badge) {
            Ok(client) => client,
            Err(error) => return Outcome::Respond(Err(error)),
        };
        match check(label, caps, message) {
            Ok(request) => self.act(client, request),
            Err(error) => self.fail(client, error),
        }
    }

    /// Serves a request that came without capabilities and under the protocol's label, and was decoded already.
    pub fn handle_request<'m>(&mut self, badge: u64, request: Request<'m>) -> Outcome<'m> {
        match self.admit(badge) {
            Ok(client) => self.act(client, request),
            Err(error) => Outcome::Respond(Err(error)),
        }
    }

    /// Counts a call of the client of a badge, which must be alive and in that life.
    #[inline(always)]
    fn admit(&mut self, badge: u64) -> Result<ClientIndex, Error> {
        let badge = Badge::unpack(badge);
        match self.clients.get_mut(badge.client.index()) {
            Some(account)
                if account.life == Life::Alive && account.generation == badge.generation =>
            {
                account.counters.calls += 1;
                Ok(badge.client)
            }
            _ => Err(Error::NotPermitted),
        }
    }

    fn act<'m>(&mut self, client: ClientIndex, request: Request<'m>) -> Outcome<'m> {
        let response = match request {
            Request::Kmalloc { size, flags } => self.kmalloc(client, size, flags),
            Request::Kcalloc { count, size, flags } => self.kcalloc(client, count, size, flags),
            Request::Krealloc {
                address,
                size,
                flags,
            } => self.krealloc(client, address, size, flags),
            Request::KreallocArray {
                address,
                count,
                size,
                flags,
            } => self.krealloc_array(client, address, count, size, flags),
            Request::Kfree { address } => self.kfree(client, address),
            Request::Ksize { address } => self.ksize(client, address),
            Request::KmallocDma {
                size,
                max_addr,
                align_bits,
                boundary_bits,
                cache,
            } => self.kmalloc_dma(
                client,
                &DmaRequest {
                    size,
                    max_addr,
                    align_bits,
                    boundary_bits,
                    cache,
                },
            ),
            Request::KfreeDma { address } => self.kfree_dma(client, address),
            Request::Stats => Ok(Reply::Stats(self.stats(client))),
            Request::Grant { size_bits, count } => self.grant(client, size_bits, count),
            Request::GrantLarge { size, align_bits } => self.grant_large(client, size, align_bits),
            Request::OpenSegment { size } => self.open_segment_for(client, size),
            Request::Map { address, size } => self.map_in_segment(client, address, size),
            Request::Unmap { address, size } => self.unmap_in_segment(client, address, size),
            Request::Resize { address, size } => self.resize(client, address, size),
            Request::StartThread {
                entry,
                stack,
                argument,
            } => self.start_thread(client, entry, stack, argument),
            Request::SetAlarm { delay_us } => self.set_alarm(client, delay_us),
            Request::OpenDevice { index } => self.open_device(client, index),
            Request::PciConfigRead { function, offset } => {
                self.pci_config_read(client, function, offset)
            }
            Request::PciConfigWrite {
                function,
                offset,
                value,
            } => self.pci_config_write(client, function, offset, value),
            Request::MapBar { function, bar } => self.map_bar(client, function, bar),
            Request::EnableInterrupt { function } => self.enable_interrupt(client, function),
            Request::AckInterrupt { function } => self.ack_interrupt(client, function),
            Request::ReleaseQuarantine { function } => self.release_quarantine(client, function),
            Request::Release { address } => self.release(client, address),
            Request::MakeDataspace { size } => self.make_dataspace(client, size),
            Request::ShareDataspace {
                writable,
                token,
                handle,
            } => self.share_dataspace(client, token, handle, writable),
            Request::Attach { writable, token } => self.attach(client, token, writable),
            Request::Detach { address } => self.detach(client, address),
            Request::CloseDataspace { token } => self.close_dataspace(client, token),
            Request::Observe {
                subject,
                of,
                cursor,
            } => {
                return Outcome::Observe {
                    client,
                    subject,
                    of,
                    cursor,
                };
            }
            Request::Find { name } => return Outcome::Find { client, name },
            Request::Print { text } => return Outcome::Print { client, text },
            Request::Exit { status } => return self.end(client, End::Exit { status }),
            Request::Start { memory, text } => {
                return Outcome::Start {
                    parent: client,
                    memory,
                    text,
                };
            }
            Request::Kill { handle } => match self.client_of(handle) {
                Ok(target) => {
                    let own = self.is_own(client, target);
                    return Outcome::Kill {
                        client,
                        target,
                        own,
                    };
                }
                Err(error) => Err(error),
            },
            Request::Reap { handle } => self.reap(client, handle),
            Request::Events => self.events(client),
            Request::Watch { events } => self.watch(client, events),
            Request::AwaitMemory { size, timeout_us } => {
                self.await_memory(client, size, timeout_us)
            }
        };
        match response {
            Ok(reply) => Outcome::Respond(Ok(reply)),
            Err(error) => self.fail(client, error),
        }
    }

    /// What to respond to a client whose request its caller refused: a failure, and counted as one.
    #[cold]
    #[inline(never)]
    pub fn fail<'m>(&mut self, client: ClientIndex, error: Error) -> Outcome<'m> {
        self.count_failure(client, error);
        Outcome::Respond(Err(error))
    }

    /// The response to `client`, which looked for a name; `found` is who has it.
    pub fn found(&mut self, client: ClientIndex, found: Option<ClientIndex>) -> Response {
        match found.filter(|found| self.may_share(*found)) {
            Some(found) => Ok(Reply::Client {
                handle: self.handle_of(found),
            }),
            None => {
                let error = Error::Stale { handle: 0 };
                self.fail(client, error);
                Err(error)
            }
        }
    }

    /// A message on the fault endpoint: the kernel's, or forged by a client that holds the capability. Either way it
    /// is the end of that client, but for one case: a page of its may have been away for a moment, because it was moved. If
    /// that was not why, the thread faults again, and no longer than it has tries.
    pub fn fault(&mut self, badge: u64, fault: Fault) -> Outcome<'static> {
        let badge = Badge::unpack(badge);
        match self.clients.get_mut(badge.client.index()) {
            Some(account)
                if account.life == Life::Alive && account.generation == badge.generation =>
            {
                if fault.kind == FaultKind::Vm && account.retries > 0 {
                    account.retries -= 1;
                    return Outcome::Retry;
                }
                self.end(badge.client, End::Fault(fault))
            }
            _ => Outcome::Ignore,
        }
    }

    fn stats(&self, client: ClientIndex) -> Stats {
        let Some(account) = self.clients.get(client.index()) else {
            return Stats::default();
        };
        let counters = account.counters;
        Stats {
            limit: bytes(account.limit_pages),
            committed: bytes(account.committed_pages),
            committed_peak: bytes(account.committed_peak),
            block_bytes: counters.block_bytes,
            block_bytes_peak: counters.block_bytes_peak,
            blocks: counters.blocks,
            region_bytes: bytes(counters.region_pages as usize),
            dma_bytes: bytes(counters.dma_pages as usize),
            calls: counters.calls,
            failures: counters.failures,
            reserved: bytes(account.reserved_pages),
            dataspace_bytes: bytes(counters.dataspace_pages as usize),
            slot_limit: account.slots.limit as u64,
            slots: account.slots.committed as u64,
            slots_peak: account.slots.peak as u64,
        }
    }
}

/// The one door: version, capabilities, encoding.
#[inline(always)]
fn check(label: u64, caps: bool, message: &[u8]) -> Result<Request<'_>, Error> {
    if label != LABEL {
        return Err(Error::BadVersion {
            expected: PROTOCOL_VERSION,
            label,
        });
    }
    if caps {
        return Err(Error::BadMessage(BadMessage::Capabilities));
    }
    decode_request(message).map_err(Error::BadMessage)
}
