// SPDX-License-Identifier: BSD-2-Clause
//! Figures about the whole system, for a program whose manifest entry says `statistics = true`. For one's own there is
//! [`served::stats`](crate::served::stats).
//!
//! Each call reads one page of figures. Pages read one after the other are of different moments.
//!
//! # Errors
//!
//! Every call here gives [`Error::NotPermitted`] to a program that may not see this, and [`Error::Stale`] for the handle of
//! a client that is no longer there.

use crate::transport;
pub use kmalloc_protocol::statistics::*;
use kmalloc_protocol::{Error, Reply, Request};
use serde::de::DeserializeOwned;

fn observe(subject: Subject, of: u64, cursor: u64) -> Result<Reply, Error> {
    transport::call(&Request::Observe {
        subject: subject as u8,
        of,
        cursor,
    })
}

/// Physical memory as a whole.
///
/// # Errors
///
/// See the module.
pub fn memory() -> Result<MemoryFigures, Error> {
    match page(observe(Subject::Memory, 0, 0)?) {
        Some(page) => Ok(page),
        None => transport::not_understood(),
    }
}

/// The clients that have anything, dead or alive, in the order of their places.
pub fn clients() -> impl Iterator<Item = Result<ClientFigures, Error>> {
    pages(Subject::Client, 0, |page: &ClientFigures| page.next)
}

/// What the client with this handle has its memory for.
///
/// # Errors
///
/// See the module.
pub fn uses(handle: u64) -> Result<UseFigures, Error> {
    match page(observe(Subject::Use, handle, 0)?) {
        Some(page) => Ok(page),
        None => transport::not_understood(),
    }
}

/// How often requests of the client with this handle were refused, by [`Error::number`]; the last has all above.
///
/// # Errors
///
/// See the module.
pub fn failures(handle: u64) -> Result<[u32; REASONS], Error> {
    let mut reasons = [0; REASONS];
    for (number, counts) in reasons.chunks_mut(REASONS_A_PAGE).enumerate() {
        let cursor = (number * REASONS_A_PAGE) as u64;
        match page::<FailureFigures>(observe(Subject::Failures, handle, cursor)?) {
            Some(figures) => counts.copy_from_slice(&figures.counts[..counts.len()]),
            None => return transport::not_understood(),
        }
    }
    Ok(reasons)
}

/// The name in the manifest of the client with this handle.
///
/// # Errors
///
/// See the module.
pub fn name(handle: u64) -> Result<ClientName, Error> {
    match page(observe(Subject::Name, handle, 0)?) {
        Some(page) => Ok(page),
        None => transport::not_understood(),
    }
}

/// Served blocks of the client with this handle, a segment each.
pub fn blocks(handle: u64) -> impl Iterator<Item = Result<BlockFigures, Error>> {
    pages(Subject::Blocks, handle, |page: &BlockFigures| page.next)
}

/// Physical memory, 2 MiB each, in the order of addresses.
pub fn larges() -> impl Iterator<Item = Result<LargeFigures, Error>> {
    pages(Subject::Large, 0, |page: &LargeFigures| page.next)
}

/// How long requests with this number took inside the server, in ticks of the processor's counter. They are
/// counted only while [`measure`] says so.
///
/// # Errors
///
/// See the module; [`Error::Stale`] where no request has the number.
pub fn calls(request: u8) -> Result<CallFigures, Error> {
    match page(observe(Subject::Calls, request.into(), 0)?) {
        Some(page) => Ok(page),
        None => transport::not_understood(),
    }
}

/// Has the time taken of all requests from now on, which makes the quickest some hundred instructions slower; or no longer.
///
/// # Errors
///
/// See the module.
pub fn measure(all: bool) -> Result<(), Error> {
    match observe(Subject::Measure, 0, all.into())? {
        Reply::Done => Ok(()),
        _ => transport::not_understood(),
    }
}

/// The figures in a reply; `None` if it has none of that kind.
fn page<T: DeserializeOwned>(reply: Reply) -> Option<T> {
    match reply {
        Reply::Figures(figures) => figures.read(),
        _ => None,
    }
}

/// Page after page, until there are no more, or one is refused; `next` says where the following one goes on.
fn pages<T: DeserializeOwned>(
    subject: Subject,
    of: u64,
    next: impl Fn(&T) -> u64,
) -> impl Iterator<Item = Result<T, Error>> {
    let mut cursor = Some(0);
    core::iter::from_fn(move || match observe(subject, of, cursor.take()?) {
        Ok(Reply::Done) => None,
        Ok(reply) => Some(match page(reply) {
            Some(figures) => {
                cursor = Some(next(&figures));
                Ok(figures)
            }
            None => transport::not_understood(),
        }),
        Err(error) => Some(Err(error)),
    })
}
