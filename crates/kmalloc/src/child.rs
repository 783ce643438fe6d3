// SPDX-License-Identifier: BSD-2-Clause
//! Programs that a program starts, ends, and sees the end of.

use crate::{event, transport};
use kmalloc_protocol::message::START_TEXT_BYTES_MAX;
use kmalloc_protocol::{BadMessage, Ended, Error, Events, Reply, Request};

/// A program that this one has started.
///
/// It runs on when this is dropped; when it has ended, [`reap_any`] tells how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Child {
    handle: u64,
}

impl Child {
    /// Starts the client that the manifest calls `name`, with `arguments` behind those of the manifest and `memory` bytes
    /// of this program's limit as its limit; with `None` as many as the manifest says.
    ///
    /// # Errors
    ///
    /// [`Error::NotPermitted`] where the manifest does not allow it, [`Error::OverQuota`] where this program has not as much
    /// left, [`Error::OutOfSlots`] where it has too many children, [`Error::BadMessage`] where the arguments are too long.
    /// What goes wrong later is the child's end: [`Cause::NotStarted`](crate::Cause::NotStarted).
    pub fn start(name: &str, arguments: &[&str], memory: Option<u64>) -> Result<Child, Error> {
        let mut text = [0; START_TEXT_BYTES_MAX];
        let mut length = 0;
        for (number, part) in core::iter::once(&name).chain(arguments).enumerate() {
            let start = length + usize::from(number > 0);
            length = start + part.len();
            text.get_mut(start..length)
                .ok_or(Error::BadMessage(BadMessage::TooLong))?
                .copy_from_slice(part.as_bytes());
        }
        let text = core::str::from_utf8(&text[..length])
            .map_err(|_| Error::BadMessage(BadMessage::Encoding))?;
        let memory = memory.unwrap_or(0);
        match transport::call(&Request::Start { memory, text })? {
            Reply::Client { handle } => Ok(Child { handle }),
            _ => transport::not_understood(),
        }
    }

    /// The child's handle, for other calls and for others.
    pub const fn handle(self) -> u64 {
        self.handle
    }

    /// Ends the child.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] where its end was seen already.
    pub fn kill(self) -> Result<(), Error> {
        kill(self.handle)
    }

    /// How the child ended, once everything that it had is back; the child is forgotten then.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] where its end was seen already.
    pub fn reap(self) -> Result<Option<Ended>, Error> {
        reap(self.handle)
    }

    /// Waits until the child has ended, and everything that it had is back.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] where its end was seen already.
    pub fn wait(self) -> Result<Ended, Error> {
        loop {
            if let Some(ended) = self.reap()? {
                return Ok(ended);
            }
            // The event may be another child's: who waits for that one looks before it waits.
            event::wait_for(Events::CHILD)?;
        }
    }
}

/// How any child ended, if one has and everything that it had is back.
///
/// # Errors
///
/// None that a program can do anything about.
pub fn reap_any() -> Result<Option<Ended>, Error> {
    reap(0)
}

fn reap(handle: u64) -> Result<Option<Ended>, Error> {
    match transport::call(&Request::Reap { handle })? {
        Reply::Ended(ended) => Ok(Some(ended)),
        Reply::Done => Ok(None),
        _ => transport::not_understood(),
    }
}

/// Ends a program: a child, this one, or one that the manifest allows this program to end.
///
/// # Errors
///
/// [`Error::NotPermitted`] or [`Error::Stale`].
pub fn kill(handle: u64) -> Result<(), Error> {
    transport::call_done(&Request::Kill { handle })
}
