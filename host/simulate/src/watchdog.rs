// SPDX-License-Identifier: BSD-2-Clause
//! Tells a server that hangs from a client that computes, when nothing has come out of the machine for a while: it is stopped
//! for a moment, again and again, and what was running is looked at.
//!
//! A server that makes progress goes back to its clients. So where no look finds a client running, the server is in a loop, or
//! the kernel is. Where nobody runs, somebody may be asleep for long: that is a matter for the timeout, as slowness is.
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::elf::Elf;

mod qmp;
#[cfg(test)]
mod tests;

pub use qmp::{Link, SOCKET_FILE};

/// How long nothing has come out before anything is looked at. It is far above what the server takes for anything: its
/// longest step is some million instructions.
const SILENCE: Duration = Duration::from_secs(20);
/// Looks until there is a verdict on a server that is found running in most of them: it is in a loop.
const LOOKS: u32 = 105;
/// Looks until there is one where the kernel is found in most. That is so of clients too which do nothing but call: they run in
/// a few of a hundred looks, and 105 without any are to be had within minutes. Of these it would be once in 10^28.
const LOOKS_IN_KERNEL: u32 = 10 * LOOKS;
/// Time between two looks: 105 of them take ten seconds.
const INTERVAL: Duration = Duration::from_millis(95);
/// Bytes of code that are compared, to know whose it is: clients are linked to the same addresses as the server.
const CODE_BYTES: u64 = 16;

/// What was running.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nobody: the processor waits for an interrupt.
    Idle,
    /// The kernel.
    Kernel,
    /// The server, in the function of this name, or at this address.
    Server(String),
    /// A client, at this address.
    Client(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => write!(f, "nobody"),
            Self::Kernel => write!(f, "the kernel"),
            Self::Server(function) => write!(f, "the server in {function}"),
            Self::Client(address) => write!(f, "a client at {address:#x}"),
        }
    }
}

/// The processor as QEMU shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processor {
    /// The address of the next instruction.
    pub instruction: u64,
    /// Whether it runs without the kernel's rights.
    pub is_user: bool,
    /// Whether it waits for an interrupt.
    pub is_halted: bool,
    /// The first bytes of code there, as many as can be read.
    pub code: Vec<u8>,
}

/// Where the processor of a machine can be looked at.
pub trait Look {
    /// Stops the machine, looks, and lets it go on. `None` where that can't be had: QEMU may be about to leave.
    fn look(&mut self) -> Option<Processor>;
}

/// What watches over one run.
pub struct Watchdog<'a, L> {
    /// The root task as it was loaded.
    server: Option<Elf<'a>>,
    link: L,
    /// When something last came out, or a client was found running.
    quiet_since: Option<Instant>,
    next_look: Instant,
    last_line: String,
    places: BTreeMap<Place, u32>,
}

impl<'a, L: Look> Watchdog<'a, L> {
    /// One that finds the server's functions in `image`.
    pub fn new(image: &'a [u8], link: L) -> Self {
        Self {
            server: Elf::parse(image).ok(),
            link,
            quiet_since: None,
            next_look: Instant::now(),
            last_line: String::new(),
            places: BTreeMap::new(),
        }
    }

    /// Takes note of a line. Before the first one the machine is booting, and nothing is expected of it.
    pub fn heard(&mut self, line: &str, now: Instant) {
        self.last_line = line.to_string();
        self.begin_again(now);
    }

    fn begin_again(&mut self, now: Instant) {
        self.quiet_since = Some(now);
        self.places.clear();
    }

    /// Looks at the machine if it is time. Says what hangs, once that is known.
    pub fn watch(&mut self, now: Instant) -> Option<String> {
        let silence = now.saturating_duration_since(self.quiet_since?);
        if silence < SILENCE || now < self.next_look {
            return None;
        }
        self.next_look = now + INTERVAL;
        let place = self.look()?;
        if let Place::Client(_) | Place::Idle = place {
            // That is slow, or asleep, and no matter: the timeout is for it.
            self.begin_again(now);
            return None;
        }
        *self.places.entry(place).or_default() += 1;
        let looks = self.places.values().sum::<u32>();
        let in_server = self.in_server().map(|(_, count)| *count).sum::<u32>();
        let enough = match in_server > looks / 2 {
            true => LOOKS,
            false => LOOKS_IN_KERNEL,
        };
        (looks >= enough).then(|| self.verdict(silence, looks))
    }

    /// Where the server was found, and how often.
    fn in_server(&self) -> impl Iterator<Item = (&Place, &u32)> {
        let places = self.places.iter();
        places.filter(|(place, _)| matches!(place, Place::Server(_)))
    }

    /// Who runs at this moment, and what was printed last: for a run whose time is over.
    pub fn last_words(&mut self) -> Option<String> {
        let place = self.look()?;
        Some(format!(
            "in the end {place} ran; the last line: `{}`",
            self.last_line
        ))
    }

    fn look(&mut self) -> Option<Place> {
        let processor = self.link.look()?;
        Some(self.place(&processor))
    }

    fn place(&self, processor: &Processor) -> Place {
        let at = processor.instruction;
        if processor.is_halted {
            return Place::Idle;
        }
        if !processor.is_user {
            return Place::Kernel;
        }
        let code = |elf: &Elf<'_>| elf.bytes_at(at, CODE_BYTES).map(<[u8]>::to_vec);
        match &self.server {
            Some(elf) if code(elf).is_some_and(|code| code == processor.code) => {
                let name = elf.function_at(at);
                let name = name.map(|name| format!("{:#}", rustc_demangle::demangle(name)));
                Place::Server(name.unwrap_or_else(|| format!("{at:#x}")))
            }
            _ => Place::Client(at),
        }
    }

    /// What it means that no client ran.
    fn verdict(&self, silence: Duration, looks: u32) -> String {
        let what = match self.in_server().max_by_key(|(_, count)| **count) {
            Some((place, count)) => format!(
                "the server answers nobody: in {looks} looks no client ran, but {count} times {place}"
            ),
            None => "the kernel does not come back to the server or any client".to_string(),
        };
        let seconds = silence.as_secs();
        format!(
            "hangs: nothing was printed for {seconds} s, and {what}; the last line: `{}`",
            self.last_line
        )
    }
}
