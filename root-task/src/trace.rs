// SPDX-License-Identifier: BSD-2-Clause
//! The trace channel: COM2, one way. Where nobody asked for it, there is no port and nothing is sent.

use crate::kernel::Sel4;
use crate::ports;
use kmalloc_events::{Event, FRAME_BYTES_MAX, Record, VERSION, encode};
use kmalloc_protocol::message::REQUEST_COUNT;
use kmalloc_protocol::statistics::REASONS_A_PAGE;
use kmalloc_server::Server;
use kmalloc_server::kernel::{ClientIndex, Kernel};
use sel4::BootInfoPtr;
use sel4_extension::IOPort;

/// The first and last of the port's registers.
const PORTS: (u16, u16) = (0x2f8, 0x2ff);
const DATA: u16 = PORTS.0;
const FIFO_CONTROL: u16 = PORTS.0 + 2;
const LINE_CONTROL: u16 = PORTS.0 + 3;
const LINE_STATUS: u16 = PORTS.0 + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// Both FIFOs on, and empty.
const FIFO_ON: u8 = 0x07;
/// Eight bits, no parity, one stop bit.
const EIGHT_BITS: u8 = 0x03;
/// Bytes that an empty transmitter takes.
const FIFO_BYTES: usize = 16;
/// Polls before a frame is given up: a port that hangs must not stop the server.
const POLLS_MAX: usize = 100_000;

/// Of so many requests one is told of.
const CALLS_A_SAMPLE: u64 = 32;
/// Rounds of samples in a second.
const ROUNDS_A_SECOND: u64 = 100;
/// Of so many rounds one has the figures that take long to gather.
const ROUNDS_A_FULL_ONE: u64 = 16;
/// Records that a message of a client waits for at the most.
const RECORDS_A_STEP: usize = 4;

/// The processor's counter.
pub fn ticks() -> u64 {
    // SAFETY: every x86_64 processor has the instruction, and seL4 does not forbid it to user programs.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The port that records go out by.
pub struct Channel(IOPort);

impl Channel {
    /// Takes the port. It must happen before the root task moves into a CSpace of its own.
    pub fn open(bootinfo: &BootInfoPtr) -> sel4::Result<Channel> {
        let port = ports::issue(bootinfo, ports::TRACE, PORTS)?;
        port.out8(LINE_CONTROL, EIGHT_BITS)?;
        port.out8(FIFO_CONTROL, FIFO_ON)?;
        Ok(Channel(port))
    }

    /// Sends a record. One that the port does not take is lost, and its reader knows.
    pub fn send(&self, event: &Event<'_>) {
        let record = Record {
            ticks: ticks(),
            event: *event,
        };
        let mut frame = [0; FRAME_BYTES_MAX];
        let frame = encode(&record, &mut frame).unwrap_or(&[0]);
        for piece in frame.chunks(FIFO_BYTES) {
            if !self.is_ready() {
                return;
            }
            for byte in piece {
                let _ = self.0.out8(DATA, *byte);
            }
        }
    }

    fn is_ready(&self) -> bool {
        (0..POLLS_MAX).any(|_| match self.0.in8(LINE_STATUS) {
            Ok(status) => status & TRANSMITTER_EMPTY != 0,
            Err(_) => false,
        })
    }
}

/// What comes next in a round of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Rest,
    Memory,
    /// The accounts from this place on.
    Accounts(u64),
    /// The served blocks of the client in this place, from this cursor on.
    Blocks(u16, u64),
    /// Physical memory from this large page on.
    Larges(u64),
    /// Latencies from this request on.
    Calls(u8),
}

/// Sends figures at intervals, a few records with each message of a client, so that none waits long.
pub struct Sampler {
    /// Ticks between two rounds.
    interval: u64,
    due: u64,
    round: u64,
    calls: u64,
    stage: Stage,
}

impl Sampler {
    /// Begins the channel.
    pub fn begin(server: &mut Server<Sel4>, memory: u64, own: u64) -> sel4::Result<Sampler> {
        let hertz = server.kernel_mut().devices.timer.ticks_per_second()?;
        server.kernel_mut().trace(&Event::Begin {
            version: VERSION,
            hertz,
            memory,
            server: own,
        });
        Ok(Sampler {
            interval: hertz / ROUNDS_A_SECOND,
            due: 0,
            round: 0,
            calls: 0,
            stage: Stage::Rest,
        })
    }

    /// A request with this number was served in `took` ticks; its client, and the number of the error or 0.
    pub fn call(
        &mut self,
        server: &mut Server<Sel4>,
        client: ClientIndex,
        operation: u8,
        took: u64,
        error: u32,
    ) {
        self.calls += 1;
        if self.calls.is_multiple_of(CALLS_A_SAMPLE) || error != 0 {
            let client = server.handle_of(client);
            server.kernel_mut().trace(&Event::Call {
                client,
                operation,
                ticks: took,
                error,
            });
        }
    }

    /// A few records of the round that is due.
    pub fn step(&mut self, server: &mut Server<Sel4>) {
        if self.stage == Stage::Rest {
            let now = ticks();
            if now < self.due {
                return;
            }
            self.due = now + self.interval;
            self.stage = Stage::Memory;
        }
        for _ in 0..RECORDS_A_STEP {
            if self.stage == Stage::Rest {
                return;
            }
            self.next(server);
        }
    }

    /// A whole round with everything in it, then the end.
    pub fn end(mut self, server: &mut Server<Sel4>) {
        self.round = 0;
        self.stage = Stage::Memory;
        while self.stage != Stage::Rest {
            self.next(server);
        }
        let balanced = server.books().balance();
        server.kernel_mut().trace(&Event::End { balanced });
    }

    /// One thing of a round; most are one record.
    fn next(&mut self, server: &mut Server<Sel4>) {
        self.stage = match self.stage {
            Stage::Rest => Stage::Rest,
            Stage::Memory => {
                let figures = server.memory_figures();
                server.kernel_mut().trace(&Event::Memory(figures));
                Stage::Accounts(0)
            }
            Stage::Accounts(place) => self.account(server, place),
            Stage::Blocks(place, cursor) => blocks(server, place, cursor),
            Stage::Larges(cursor) => match server.physical().large_figures(cursor as usize) {
                Some(figures) => {
                    server.kernel_mut().trace(&Event::Large(figures));
                    Stage::Larges(figures.next)
                }
                None => Stage::Calls(0),
            },
            Stage::Calls(operation) if operation < REQUEST_COUNT => {
                let figures = server.call_figures(operation);
                if let Some(figures) = figures.filter(|figures| figures.calls() > 0) {
                    server.kernel_mut().trace(&Event::Calls(operation, figures));
                }
                Stage::Calls(operation + 1)
            }
            Stage::Calls(_) => self.over(server),
        };
    }

    /// The next account, with what belongs to it.
    fn account(&mut self, server: &mut Server<Sel4>, place: u64) -> Stage {
        let Some(figures) = server.client_figures(place as usize) else {
            return if self.round.is_multiple_of(ROUNDS_A_FULL_ONE) {
                Stage::Blocks(0, 0)
            } else {
                self.over(server)
            };
        };
        let client = ClientIndex((figures.next - 1) as u16);
        let uses = server.use_figures(client);
        let pages = [0, REASONS_A_PAGE].map(|first| server.failure_figures(client, first));
        let kernel = server.kernel_mut();
        kernel.trace(&Event::Account(figures));
        kernel.trace(&Event::Use(figures.handle, uses));
        let pages = pages.into_iter().flatten();
        for page in pages.filter(|page| page.counts.iter().any(|count| *count > 0)) {
            kernel.trace(&Event::Failures(figures.handle, page));
        }
        Stage::Accounts(figures.next)
    }

    fn over(&mut self, server: &mut Server<Sel4>) -> Stage {
        self.round += 1;
        server.kernel_mut().trace(&Event::Sampled);
        Stage::Rest
    }
}

/// The next segment with served blocks, of the client in this place or of the next one.
fn blocks(server: &mut Server<Sel4>, place: u16, cursor: u64) -> Stage {
    let client = ClientIndex(place);
    if let Some(figures) = server.block_figures(client, cursor) {
        let handle = server.handle_of(client);
        server.kernel_mut().trace(&Event::Blocks(handle, figures));
        return Stage::Blocks(place, figures.next);
    }
    match server.client_figures(usize::from(place) + 1) {
        Some(next) => Stage::Blocks((next.next - 1) as u16, 0),
        None => Stage::Larges(0),
    }
}
