// SPDX-License-Identifier: BSD-2-Clause
//! The longest that each request takes: first on memory that nobody used, without any of it coming back; then on a
//! machine that is full, where everything was used before and pieces of all kinds come and go.

use crate::measure::{count, report_worst};
use crate::random::Random;
use kmalloc::transport::call;
use kmalloc_protocol::{Error, Reply, Request, Response};

/// Requests on fresh memory.
const COLD_CALLS: usize = 4000;
/// Requests after that.
const FULL_CALLS: usize = 60_000;
/// Pieces of a kind that are held at once.
const HELD_MAX: usize = 8192;
/// Octaves of sizes from 16 bytes on: up to 16 KiB.
const SMALL_OCTAVES: usize = 10;
/// Octaves of sizes from 16 bytes on: up to 1 MiB.
const LARGE_OCTAVES: usize = 16;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// Bytes of a segment.
const SEGMENT: u64 = 2 << 20;

/// Addresses that are held.
struct Held {
    addresses: &'static mut [u64],
    count: usize,
}

impl Held {
    fn new() -> Result<Held, Error> {
        Ok(Held {
            addresses: crate::measure::table(HELD_MAX, 0)?,
            count: 0,
        })
    }

    fn add(&mut self, address: u64) -> bool {
        let room = self.addresses.get_mut(self.count);
        if let Some(place) = room {
            *place = address;
            self.count += 1;
            return true;
        }
        false
    }

    fn is_full(&self) -> bool {
        self.count == self.addresses.len()
    }

    fn pick(&self, random: &mut Random) -> Option<usize> {
        (self.count > 0).then(|| random.below(self.count))
    }

    fn remove(&mut self, place: usize) {
        self.count -= 1;
        self.addresses[place] = self.addresses[self.count];
    }
}

/// The longest that a kind of request took, and how many there were.
#[derive(Clone, Copy, Default)]
struct Worst {
    instructions: u64,
    calls: usize,
}

/// Names of the requests that are counted, as in the figures.
const NAMES: [&str; 15] = [
    "kmalloc",
    "kcalloc",
    "krealloc",
    "kfree",
    "ksize",
    "kmalloc_dma",
    "kfree_dma",
    "grant",
    "grant_large",
    "resize",
    "release",
    "open_segment",
    "map",
    "unmap",
    "stats",
];

/// Where in [`NAMES`] a request is.
fn number(request: &Request<'_>) -> usize {
    match request {
        Request::Kmalloc { .. } => 0,
        Request::Kcalloc { .. } => 1,
        Request::Krealloc { .. } => 2,
        Request::Kfree { .. } => 3,
        Request::Ksize { .. } => 4,
        Request::KmallocDma { .. } => 5,
        Request::KfreeDma { .. } => 6,
        Request::Grant { .. } => 7,
        Request::GrantLarge { .. } => 8,
        Request::Resize { .. } => 9,
        Request::Release { .. } => 10,
        Request::OpenSegment { .. } => 11,
        Request::Map { .. } => 12,
        Request::Unmap { .. } => 13,
        _ => 14,
    }
}

/// Pieces of all kinds, and what was seen.
struct Mix {
    random: Random,
    blocks: Held,
    dma: Held,
    buckets: Held,
    large: Held,
    segments: Held,
    worst: [Worst; NAMES.len()],
}

/// Counts them all.
pub fn run() -> Result<(), Error> {
    let mut mix = Mix {
        random: Random::new(),
        blocks: Held::new()?,
        dma: Held::new()?,
        buckets: Held::new()?,
        large: Held::new()?,
        segments: Held::new()?,
        worst: [Worst::default(); NAMES.len()],
    };
    for _ in 0..COLD_CALLS {
        match mix.random.below(8) {
            0 => mix.krealloc(),
            1 => mix.kcalloc(),
            _ => mix.kmalloc(),
        }
    }
    mix.report(".cold");
    for _ in 0..FULL_CALLS {
        mix.step();
    }
    mix.report("");
    Ok(())
}

impl Mix {
    fn call(&mut self, request: Request<'_>) -> Response {
        let mut response = Err(Error::NotPermitted);
        let instructions = count(|| response = call(&request));
        let worst = &mut self.worst[number(&request)];
        worst.instructions = worst.instructions.max(instructions);
        worst.calls += 1;
        response
    }

    fn report(&mut self, phase: &str) {
        for (name, worst) in NAMES.iter().zip(core::mem::take(&mut self.worst)) {
            if worst.calls > 0 {
                let name = format_args!("worst.{name}{phase}");
                report_worst(name, worst.instructions, worst.calls);
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(32) {
            0..=7 => self.kmalloc(),
            8 => self.kcalloc(),
            9..=11 => self.krealloc(),
            12..=18 => self.kfree(),
            19 => self.ksize(),
            20 => self.dma(),
            21 => self.free_dma(),
            22 => self.bucket(),
            23 => self.large(),
            24 => self.resize(),
            25 => self.release(),
            26 => self.segment(),
            27 | 28 => self.pages(true),
            29 => self.pages(false),
            30 => self.wild(),
            _ => {
                let _ = self.call(Request::Stats);
            }
        }
    }

    fn small(&mut self) -> u64 {
        self.random.size(SMALL_OCTAVES) as u64
    }

    /// Takes note of a new piece; one too many goes back.
    fn keep(held: &mut Held, response: Response) {
        let address = match response {
            Ok(
                Reply::Block { address }
                | Reply::Region { address, .. }
                | Reply::Dma { address, .. },
            ) => address,
            _ => return,
        };
        assert!(held.add(address), "no room to note a piece");
    }

    fn kmalloc(&mut self) {
        if !self.blocks.is_full() {
            let (size, flags) = (self.small(), 0);
            let response = self.call(Request::Kmalloc { size, flags });
            Self::keep(&mut self.blocks, response);
        }
    }

    fn kcalloc(&mut self) {
        if !self.blocks.is_full() {
            let (count, size, flags) = (self.small() / 16, 16, 0);
            let response = self.call(Request::Kcalloc { count, size, flags });
            Self::keep(&mut self.blocks, response);
        }
    }

    fn krealloc(&mut self) {
        let Some(place) = self.blocks.pick(&mut self.random) else {
            return;
        };
        let (old, size, flags) = (self.blocks.addresses[place], self.small(), 0);
        let request = Request::Krealloc {
            address: old,
            size,
            flags,
        };
        match self.call(request) {
            Ok(Reply::Block { address }) => self.blocks.addresses[place] = address,
            Ok(Reply::Moved { address, .. }) => {
                self.blocks.addresses[place] = address;
                let _ = self.call(Request::Kfree { address: old });
            }
            _ => {}
        }
    }

    fn kfree(&mut self) {
        if let Some(place) = self.blocks.pick(&mut self.random) {
            let address = self.blocks.addresses[place];
            if self.call(Request::Kfree { address }).is_ok() {
                self.blocks.remove(place);
            }
        }
    }

    fn ksize(&mut self) {
        if let Some(place) = self.blocks.pick(&mut self.random) {
            let address = self.blocks.addresses[place];
            let _ = self.call(Request::Ksize { address });
        }
    }

    fn dma(&mut self) {
        if !self.dma.is_full() {
            let size = 1 + self.random.below(64 << 10) as u64;
            let response = self.call(Request::KmallocDma {
                size,
                max_addr: u64::MAX,
                align_bits: 0,
                boundary_bits: 0,
                cache: 0,
            });
            Self::keep(&mut self.dma, response);
        }
    }

    fn free_dma(&mut self) {
        if let Some(place) = self.dma.pick(&mut self.random) {
            let address = self.dma.addresses[place];
            if self.call(Request::KfreeDma { address }).is_ok() {
                self.dma.remove(place);
            }
        }
    }

    fn bucket(&mut self) {
        if !self.buckets.is_full() {
            let (size_bits, count) = (16, 1);
            let response = self.call(Request::Grant { size_bits, count });
            Self::keep(&mut self.buckets, response);
        }
    }

    fn large(&mut self) {
        if !self.large.is_full() {
            let (size, align_bits) = (self.random.size(LARGE_OCTAVES) as u64, 0);
            let response = self.call(Request::GrantLarge { size, align_bits });
            Self::keep(&mut self.large, response);
        }
    }

    fn resize(&mut self) {
        if let Some(place) = self.large.pick(&mut self.random) {
            let size = self.random.size(LARGE_OCTAVES) as u64;
            let address = self.large.addresses[place];
            if let Ok(Reply::Region { address, .. }) = self.call(Request::Resize { address, size })
            {
                self.large.addresses[place] = address;
            }
        }
    }

    /// Gives back a piece of one of the kinds that go back by `Release`.
    fn release(&mut self) {
        let kind = self.random.below(8);
        let held = match kind {
            0..=3 => &mut self.large,
            4..=6 => &mut self.buckets,
            _ => &mut self.segments,
        };
        let Some(place) = held.pick(&mut self.random) else {
            return;
        };
        let address = held.addresses[place];
        held.remove(place);
        let _ = self.call(Request::Release { address });
    }

    fn segment(&mut self) {
        if !self.segments.is_full() {
            let response = self.call(Request::OpenSegment { size: PAGE });
            Self::keep(&mut self.segments, response);
        }
    }

    /// Maps or unmaps a page of a segment, which may be mapped or not.
    fn pages(&mut self, map: bool) {
        if let Some(place) = self.segments.pick(&mut self.random) {
            let page = self.random.below((SEGMENT / PAGE) as usize) as u64;
            let (address, size) = (self.segments.addresses[place] + page * PAGE, PAGE);
            let _ = self.call(if map {
                Request::Map { address, size }
            } else {
                Request::Unmap { address, size }
            });
        }
    }

    /// A pointer that is none: anywhere, or into a block.
    fn wild(&mut self) {
        let address = match self.blocks.pick(&mut self.random) {
            Some(place) if self.random.below(2) == 0 => self.blocks.addresses[place] + 8,
            _ => self.random.below(1 << 32) as u64 * 1021,
        };
        let _ = self.call(Request::Kfree { address });
    }
}
