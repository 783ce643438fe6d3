// SPDX-License-Identifier: BSD-2-Clause
//! From the bytes of a trace to what happened, in order of time.

use std::collections::BTreeMap;

use kmalloc_events::{Event, Held, Record, decode};
use kmalloc_protocol::Cause;
use kmalloc_protocol::statistics::{
    BlockFigures, CallFigures, FailureFigures, LargeFigures, MemoryFigures, SERVED_CLASSES,
    UseFigures,
};

#[cfg(test)]
mod tests;

/// What a trace tells.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Bytes of memory that the kernel gave.
    pub memory: u64,
    /// Of those, the ones that the server has for itself.
    pub server: u64,
    /// Seconds from its begin to the last record.
    pub length: f64,
    /// Records that were read.
    pub records: usize,
    /// Frames that are no records: bytes were lost on the way.
    pub broken: usize,
    /// Whether the books balanced at the end; `None` if the trace breaks off before.
    pub balanced: Option<bool>,
    /// The clients, in the order of their births.
    pub clients: Vec<Client>,
    /// Physical memory over time.
    pub samples: Vec<(f64, MemoryFigures)>,
    /// Rounds of samples with everything in them.
    pub rounds: Vec<Round>,
    /// How long requests took, by their number, from the last round.
    pub calls: BTreeMap<u8, CallFigures>,
    /// Ticks of the processor's counter in a second.
    pub hertz: u64,
    /// Pages that were granted or mapped, attached, and freed.
    pub pages: Pages,
}

/// Pages by what happened to them, each time counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Granted to a client, or mapped in one of its segments.
    pub granted: u64,
    /// Of dataspaces, attached.
    pub attached: u64,
    /// Unmapped.
    pub freed: u64,
}

/// A client, from its birth on.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its handle.
    pub handle: u64,
    /// Its name in the manifest.
    pub name: String,
    /// Its program's.
    pub program: String,
    /// When it was born, in seconds.
    pub birth: f64,
    /// What it may have, in bytes.
    pub limit: u64,
    /// Bytes it had, over time.
    pub committed: Vec<(f64, u64)>,
    /// The most it had.
    pub peak: u64,
    /// What it had its memory for, at the last sample before its end.
    pub uses: UseFigures,
    /// Requests, and those refused.
    pub calls: u64,
    /// Requests refused.
    pub failures: u64,
    /// Why, by the number of the error.
    pub reasons: BTreeMap<u32, u32>,
    /// A fault: how, where, by which instruction.
    pub fault: Option<(Cause, u64, u64)>,
    /// Its end: when, how, with what value, and what it still held.
    pub death: Option<(f64, Cause, u64, Held)>,
}

/// A round of samples with everything in it.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// When it ended, in seconds.
    pub time: f64,
    /// Physical memory.
    pub memory: MemoryFigures,
    /// Each large page.
    pub larges: Vec<LargeFigures>,
    /// Served blocks of all clients.
    pub blocks: BlockFigures,
}

impl Trace {
    /// Reads a trace. What is no record is counted and passed over.
    pub fn read(bytes: &[u8]) -> Trace {
        let mut trace = Trace::default();
        let mut round = Round::default();
        let mut start = None;
        for frame in bytes.split(|byte| *byte == 0) {
            if frame.is_empty() {
                continue;
            }
            let mut frame = frame.to_vec();
            let Some(Record { ticks, event }) = decode(&mut frame) else {
                trace.broken += 1;
                continue;
            };
            trace.records += 1;
            if let Event::Begin { hertz, .. } = event {
                trace.hertz = hertz.max(1);
                start = Some(ticks);
            }
            // Without a begin there is no telling when things were.
            let Some(start) = start else { continue };
            let time = ticks.saturating_sub(start) as f64 / trace.hertz as f64;
            trace.length = trace.length.max(time);
            trace.add(time, &event, &mut round);
        }
        trace
    }

    /// The client with this handle.
    pub fn client(&self, handle: u64) -> Option<&Client> {
        self.clients.iter().find(|client| client.handle == handle)
    }

    /// The round in which the least memory was free.
    pub fn fullest(&self) -> Option<&Round> {
        let rounds = self.rounds.iter();
        rounds.min_by_key(|round| (round.memory.free, std::cmp::Reverse(used(&round.blocks))))
    }

    /// The round with the most served blocks.
    pub fn busiest(&self) -> Option<&Round> {
        let rounds = self.rounds.iter();
        rounds.max_by_key(|round| used(&round.blocks))
    }

    fn add(&mut self, time: f64, event: &Event, round: &mut Round) {
        match *event {
            Event::Begin { memory, server, .. } => (self.memory, self.server) = (memory, server),
            Event::Birth {
                client,
                name,
                program,
                ..
            } => self.clients.push(Client {
                handle: client,
                name: name.into(),
                program: program.into(),
                birth: time,
                ..Client::default()
            }),
            Event::Grant { pages, .. } | Event::Map { pages, .. } => {
                self.pages.granted += u64::from(pages);
            }
            Event::Attach { pages, .. } => self.pages.attached += u64::from(pages),
            Event::Free { pages, .. } => self.pages.freed += u64::from(pages),
            Event::Memory(figures) => {
                self.samples.push((time, figures));
                *round = Round {
                    memory: figures,
                    ..Round::default()
                };
            }
            Event::Blocks(_, figures) => add_blocks(&mut round.blocks, &figures),
            Event::Large(figures) => round.larges.push(figures),
            Event::Calls(operation, figures) => {
                self.calls.insert(operation, figures);
            }
            Event::Sampled if !round.larges.is_empty() => {
                round.time = time;
                self.rounds.push(std::mem::take(round));
            }
            Event::Sampled | Event::Call { .. } => {}
            Event::End { balanced } => self.balanced = Some(balanced),
            _ => self.add_to_client(time, event),
        }
    }

    fn add_to_client(&mut self, time: f64, event: &Event) {
        let handle = match *event {
            Event::Account(figures) => figures.handle,
            Event::Use(client, _)
            | Event::Failures(client, _)
            | Event::Fault { client, .. }
            | Event::Death { client, .. } => client,
            _ => return,
        };
        // The last ones are the likeliest.
        let mut clients = self.clients.iter_mut().rev();
        let Some(client) = clients.find(|client| client.handle == handle) else {
            return;
        };
        match *event {
            Event::Account(figures) => {
                client.limit = figures.limit;
                client.peak = client.peak.max(figures.committed_peak);
                (client.calls, client.failures) = (figures.calls, figures.failures);
                client.committed.push((time, figures.committed));
            }
            Event::Use(_, figures) if client.death.is_none() => client.uses = figures,
            Event::Failures(_, FailureFigures { first, counts }) => {
                client.reasons.extend((first..).zip(counts));
            }
            Event::Fault {
                cause,
                address,
                instruction,
                ..
            } => client.fault = Some((cause, address, instruction)),
            Event::Death {
                cause,
                value,
                calls,
                peak,
                held,
                ..
            } => {
                client.death = Some((time, cause, value, held));
                (client.calls, client.peak) = (calls, peak);
            }
            _ => {}
        }
    }
}

fn used(blocks: &BlockFigures) -> u32 {
    blocks.blocks.iter().sum::<u32>() + blocks.runs
}

fn add_blocks(sum: &mut BlockFigures, figures: &BlockFigures) {
    sum.runs += figures.runs;
    sum.run_pages += figures.run_pages;
    for class in 0..SERVED_CLASSES {
        sum.buckets[class] += figures.buckets[class];
        sum.blocks[class] += figures.blocks[class];
    }
}
