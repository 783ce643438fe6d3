// SPDX-License-Identifier: BSD-2-Clause
//! Records on the console, one a line, for the host tool to read. What a client prints is escaped and prefixed, so that
//! no client can write one.

use crate::console::Console;
use crate::names::Ends;
use core::fmt::{self, Write};
use kmalloc_events::Held;
use kmalloc_manifest::{FaultKind, Outcome};
use kmalloc_server::Books;
use kmalloc_server::client::{End, FaultKind as Kind, Obituary};
use kmalloc_server::kernel::ClientIndex;

/// The end of a client, as the host tool reads it.
pub fn outcome_of(end: End) -> Outcome {
    match end {
        End::Exit { status } => Outcome::Exit(status as i32),
        End::Killed => Outcome::Killed,
        End::NotStarted(error) => Outcome::NotStarted(error.number()),
        End::Fault(fault) => Outcome::Fault {
            kind: match fault.kind {
                Kind::Vm => FaultKind::VirtualMemory,
                Kind::Capability => FaultKind::Capability,
                Kind::UnknownSyscall => FaultKind::UnknownSyscall,
                Kind::Exception => FaultKind::UserException,
                Kind::Timeout => FaultKind::Timeout,
                Kind::Unknown => FaultKind::Unknown,
            },
            address: fault.address,
            instruction: fault.instruction,
        },
    }
}

/// A client's record, and what it still held.
pub fn client(name: &str, program: &str, outcome: Outcome, obituary: &Obituary, held: &Held) {
    let Obituary {
        calls,
        peak_bytes,
        held_bytes,
        ..
    } = obituary;
    print_line!(
        "@client name={name} program={program} result={outcome} calls={calls} peak={peak_bytes} held={held_bytes}"
    );
    if *held_bytes > 0 {
        let Held {
            blocks,
            block_bytes,
            resident_bytes,
            large_bytes,
            dma_bytes,
            shared_bytes,
        } = held;
        print_line!(
            "# {name} held {block_bytes} bytes in {blocks} served blocks, and bytes of buckets {resident_bytes}, \
             large {large_bytes}, DMA {dma_bytes}, shared {shared_bytes}"
        );
    }
}

/// The record of a client whose ends are only counted.
pub fn ends(name: &str, ends: &Ends) {
    let Ends {
        exits,
        faults,
        kills,
        not_started,
    } = ends;
    print_line!(
        "@ends name={name} exits={exits} faults={faults} kills={kills} not_started={not_started}"
    );
}

/// The failure of a client stops the system.
pub fn stopped(name: &str) {
    print_line!("@stopped by={name}");
}

/// The record of the books; `server` are the bytes that the server has for itself.
pub fn books(books: Books, server: u64) {
    let Books {
        free,
        committed,
        total,
    } = books;
    let balanced = books.balance();
    let total = total + server;
    print_line!(
        "@books free={free} committed={committed} server={server} total={total} balanced={balanced}"
    );
}

/// Lines that clients print, each with its client's name before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines {
    /// Whose line is not ended yet.
    open: Option<ClientIndex>,
}

impl Lines {
    /// Prints a piece of a client's text. A line that is not ended stays open for the client's next piece.
    pub fn print(&mut self, client: ClientIndex, name: &str, text: &str) {
        for piece in text.split_inclusive('\n') {
            if self.open != Some(client) {
                self.close();
                let _ = write!(Console, "{name}| ");
            }
            let line = piece.strip_suffix('\n');
            let _ = write!(Console, "{}", Escaped(line.unwrap_or(piece)));
            self.open = Some(client);
            if line.is_some() {
                self.close();
            }
        }
    }

    /// Ends a line that is open.
    pub fn close(&mut self) {
        if self.open.take().is_some() {
            let _ = Console.write_str("\n");
        }
    }
}

/// Text without control characters.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\t' => f.write_char(character),
            _ if character.is_control() => write!(f, "{}", character.escape_default()),
            _ => f.write_char(character),
        })
    }
}
