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
    match observe(Subject::Memory, 0, 0)? {
        Reply::Memory(figures) => Ok(figures),
        _ => transport::not_understood(),
    }
}

/// The clients that have anything, dead or alive, in the order of their places.
pub fn clients() -> impl Iterator<Item = Result<ClientFigures, Error>> {
    pages(Subject::Client, 0, |reply| match reply {
        Reply::Account(figures) => Some((figures, figures.next)),
        _ => None,
    })
}

/// What the client with this handle has its memory for.
///
/// # Errors
///
/// See the module.
pub fn uses(handle: u64) -> Result<UseFigures, Error> {
    match observe(Subject::Use, handle, 0)? {
        Reply::Use(figures) => Ok(figures),
        _ => transport::not_understood(),
    }
}

/// How often requests of the client with this handle were refused, by [`Error::number`]; the last has all above.
///
/// # Errors
///
/// See the module.
pub fn failures(handle: u64) -> Result<[u32; REASONS], Error> {
    let mut reasons = [0; REASONS];
    for page in reasons.chunks_mut(REASONS_A_PAGE).enumerate() {
        let (number, counts) = page;
        let cursor = (number * REASONS_A_PAGE) as u64;
        match observe(Subject::Failures, handle, cursor)? {
            Reply::Failures(figures) => counts.copy_from_slice(&figures.counts[..counts.len()]),
            _ => return transport::not_understood(),
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
    match observe(Subject::Name, handle, 0)? {
        Reply::Name(name) => Ok(name),
        _ => transport::not_understood(),
    }
}

/// Served blocks of the client with this handle, a segment each.
pub fn blocks(handle: u64) -> impl Iterator<Item = Result<BlockFigures, Error>> {
    pages(Subject::Blocks, handle, |reply| match reply {
        Reply::Blocks(figures) => Some((figures, figures.next)),
        _ => None,
    })
}

/// Physical memory, 2 MiB each, in the order of addresses.
pub fn larges() -> impl Iterator<Item = Result<LargeFigures, Error>> {
    pages(Subject::Large, 0, |reply| match reply {
        Reply::Large(figures) => Some((figures, figures.next)),
        _ => None,
    })
}

/// How long requests with this number took inside the server, in ticks of the processor's counter. They are
/// counted only while [`measure`] says so.
///
/// # Errors
///
/// See the module; [`Error::Stale`] where no request has the number.
pub fn calls(request: u8) -> Result<CallFigures, Error> {
    match observe(Subject::Calls, request.into(), 0)? {
        Reply::Calls(figures) => Ok(figures),
        _ => transport::not_understood(),
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

/// Page after page, until there are no more, or one is refused.
fn pages<T>(
    subject: Subject,
    of: u64,
    page: impl Fn(Reply) -> Option<(T, u64)>,
) -> impl Iterator<Item = Result<T, Error>> {
    let mut cursor = Some(0);
    core::iter::from_fn(move || {
        let reply = observe(subject, of, cursor.take()?);
        match reply {
            Ok(Reply::Done) => None,
            Ok(reply) => Some(match page(reply) {
                Some((figures, next)) => {
                    cursor = Some(next);
                    Ok(figures)
                }
                None => transport::not_understood(),
            }),
            Err(error) => Some(Err(error)),
        }
    })
}
