// SPDX-License-Identifier: BSD-2-Clause
//! What the root task calls while clients run: each with a client's message, or for a client.

use crate::outside::Outside;
use kmalloc_protocol::message::SHORT_WORDS;
use kmalloc_protocol::{Error, Events, Request, Response};
use kmalloc_server::client::{End, Fault};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::physical::Cleaning;
use kmalloc_server::spawn::{Built, Spawn};
use kmalloc_server::{Outcome, Quick, Server, Work};

/// Any message.
#[unsafe(no_mangle)]
pub fn serve_message<'m>(
    server: &mut Server<Outside>,
    badge: u64,
    label: u64,
    caps: bool,
    message: &'m [u8],
) -> Outcome<'m> {
    server.handle(badge, label, caps, message)
}

/// A message that was decoded from registers.
#[unsafe(no_mangle)]
pub fn serve_request<'m>(
    server: &mut Server<Outside>,
    badge: u64,
    request: Request<'m>,
) -> Outcome<'m> {
    server.handle_request(badge, request)
}

/// A message by the quick way.
#[unsafe(no_mangle)]
pub fn serve_quickly(
    server: &mut Server<Outside>,
    badge: u64,
    words: &[u64; SHORT_WORDS],
) -> Quick {
    server.handle_quick(badge, words)
}

/// A client's fault.
#[unsafe(no_mangle)]
pub fn serve_fault(server: &mut Server<Outside>, badge: u64, fault: Fault) -> Outcome<'static> {
    server.fault(badge, fault)
}

/// A client's end.
#[unsafe(no_mangle)]
pub fn serve_end(server: &mut Server<Outside>, client: ClientIndex, end: End) -> Outcome<'static> {
    server.end(client, end)
}

/// What no request waits for: dead clients are taken back, notices given.
#[unsafe(no_mangle)]
pub fn serve_worker(server: &mut Server<Outside>) -> Work {
    server.work()
}

/// What the cleaner asks.
#[unsafe(no_mangle)]
pub fn serve_cleaner(server: &mut Server<Outside>, clean: bool) -> Option<Cleaning> {
    server.cleaned(clean);
    server.next_cleaning()
}

/// The alarm clock.
#[unsafe(no_mangle)]
pub fn serve_alarm(server: &mut Server<Outside>, now_us: u64) {
    server.alarm(now_us);
}

/// A client is begun that another one asked for.
#[unsafe(no_mangle)]
pub fn serve_begin(
    server: &mut Server<Outside>,
    spawn: &Spawn<'_>,
    parent: Option<ClientIndex>,
) -> Result<ClientIndex, Error> {
    server.begin(parent, spawn)
}

/// A client is built on.
#[unsafe(no_mangle)]
pub fn serve_build(
    server: &mut Server<Outside>,
    client: ClientIndex,
    spawn: &Spawn<'_>,
    steps: usize,
) -> Built {
    server.build(client, spawn, steps)
}

/// What an observer asks of accounts.
#[unsafe(no_mangle)]
pub fn serve_observer(
    server: &mut Server<Outside>,
    client: ClientIndex,
    subject: u8,
    of: u64,
    cursor: u64,
) -> Response {
    server.observe(client, subject, of, cursor)
}

/// Whom a name in the manifest stands for, if anybody.
#[unsafe(no_mangle)]
pub fn serve_found(
    server: &mut Server<Outside>,
    client: ClientIndex,
    found: Option<ClientIndex>,
) -> Response {
    server.found(client, found)
}

/// Whom a client means by a handle, and that it may not do what it wants.
#[unsafe(no_mangle)]
pub fn serve_refusal(
    server: &mut Server<Outside>,
    client: ClientIndex,
    handle: u64,
) -> Outcome<'static> {
    let error = match server.client_of(handle) {
        Ok(_) => Error::NotPermitted,
        Err(error) => error,
    };
    server.fail(client, error)
}

/// What a client is allowed that was begun.
#[unsafe(no_mangle)]
pub fn serve_birth(
    server: &mut Server<Outside>,
    client: ClientIndex,
    vendor: u16,
    device: u16,
) -> u64 {
    server.allow_moving(client);
    server.allow_device(client, vendor, device);
    server.handle_of(client)
}

/// Services are told that nobody is left.
#[unsafe(no_mangle)]
pub fn serve_closing(server: &mut Server<Outside>, client: ClientIndex) -> bool {
    server.raise(client, Events::CLOSING);
    server.has_work()
}

/// How long a call took.
#[unsafe(no_mangle)]
pub fn serve_measured(server: &mut Server<Outside>, operation: u8, ticks: u64) {
    server.note_call(operation, ticks);
}
