// SPDX-License-Identifier: BSD-2-Clause
//! Figures about the whole system, a page of them in each reply.
//!
//! Pages of all kinds travel as one: [`Figures`]. So a program that does not ask for any has no code in it that could read
//! them, and a response stays as small as it was.

use crate::padding::{after6, counts};
use postcard::fixint::le;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Size classes whose blocks share a page with others: 16 bytes to 2 KiB.
pub const SERVED_CLASSES: usize = 8;
/// Orders of free memory inside a large page: 2^0 to 2^9 pages.
pub const ORDERS: usize = 10;
/// Steps of a latency histogram.
pub const LATENCY_STEPS: usize = 16;
/// log2 of the ticks below which everything is in the first step.
pub const LATENCY_FIRST_BITS: u32 = 8;
/// Counters of refusals: by [`Error::number`](crate::Error::number), the last one for all above.
pub const REASONS: usize = 32;
/// Counters in one page.
pub const REASONS_A_PAGE: usize = 16;

/// What [`Observe`](crate::Request::Observe) asks for; its number in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Subject {
    /// Physical memory as a whole. Reply: [`MemoryFigures`].
    Memory = 0,
    /// The first client whose place is `cursor` or above. Reply: [`ClientFigures`], or `Done` behind the last.
    Client = 1,
    /// What the client with handle `of` has its memory for. Reply: [`UseFigures`].
    Use = 2,
    /// Why requests of the client with handle `of` were refused, from reason `cursor` on. Reply: [`FailureFigures`], or
    /// `Done` behind the last.
    Failures = 3,
    /// Its name in the manifest. Reply: [`ClientName`].
    Name = 4,
    /// Served blocks of the client with handle `of`, a segment at a time. Reply: [`BlockFigures`], or `Done` behind the last.
    Blocks = 5,
    /// The large page of 2 MiB with number `cursor`, or the next that is memory. Reply: [`LargeFigures`], or `Done`
    /// behind the last.
    Large = 6,
    /// How long requests with number `of` took. Reply: [`CallFigures`].
    Calls = 7,
    /// Takes the time of all requests with `cursor` 1, of none with 0, as at first. Reply: `Done`.
    Measure = 8,
}

impl Subject {
    /// The subject with this number in a message.
    pub const fn from_number(number: u8) -> Option<Subject> {
        Some(match number {
            0 => Subject::Memory,
            1 => Subject::Client,
            2 => Subject::Use,
            3 => Subject::Failures,
            4 => Subject::Name,
            5 => Subject::Blocks,
            6 => Subject::Large,
            7 => Subject::Calls,
            8 => Subject::Measure,
            _ => return None,
        })
    }
}

/// Words of a page.
const PAGE_WORDS: usize = 26;

/// A page of figures of one kind, encoded as everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Lowest byte first; zero behind the end.
    #[serde(with = "counts")]
    pub page: [u32; PAGE_WORDS],
}

impl Figures {
    /// The page with these figures. All kinds of this module fit.
    pub fn new<T: Serialize>(figures: &T) -> Figures {
        let mut bytes = [0; PAGE_WORDS * 4];
        // What does not fit would be left out; the tests say that there is no such thing.
        let _ = postcard::to_slice(figures, &mut bytes);
        let mut page = [0; PAGE_WORDS];
        for (word, place) in page.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*place);
        }
        Figures { page }
    }

    /// The figures in the page; `None` where they are of another kind, as far as that can be seen.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let mut bytes = [0; PAGE_WORDS * 4];
        for (word, place) in self.page.iter().zip(bytes.as_chunks_mut::<4>().0) {
            *place = word.to_le_bytes();
        }
        let (figures, rest) = postcard::take_from_bytes(&bytes).ok()?;
        rest.iter().all(|byte| *byte == 0).then_some(figures)
    }
}

/// Physical memory as a whole, in bytes. `free` is all that nobody has; the six after `usable` are parts of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFigures {
    /// What the server was given to hand out.
    #[serde(with = "after6")]
    pub total: u64,
    /// What nobody has.
    #[serde(with = "le")]
    pub free: u64,
    /// Of the free, what can be had at once.
    #[serde(with = "le")]
    pub usable: u64,
    /// Free frames that are zero.
    #[serde(with = "le")]
    pub clean_pages: u64,
    /// Free frames that have to be zeroed.
    #[serde(with = "le")]
    pub dirty_pages: u64,
    /// Free chunks of 64 KiB, as untypeds, that cost no zeroing.
    #[serde(with = "le")]
    pub clean_chunks: u64,
    /// Free chunks that do.
    #[serde(with = "le")]
    pub dirty_chunks: u64,
    /// Free large pages of 2 MiB, as untypeds, that cost no zeroing.
    #[serde(with = "le")]
    pub clean_larges: u64,
    /// Free large pages that do; they can't be had before they are clean.
    #[serde(with = "le")]
    pub dirty_larges: u64,
    /// What is being cleaned just now.
    #[serde(with = "le")]
    pub cleaning: u64,
}

/// A client's account. Bytes unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFigures {
    /// Its handle.
    #[serde(with = "after6")]
    pub handle: u64,
    /// The `cursor` that goes on behind it.
    #[serde(with = "le")]
    pub next: u64,
    /// Its parent's handle; 0 if the root task started it.
    #[serde(with = "le")]
    pub parent: u64,
    /// 1 while it is built, 2 while it runs, 3 while it is taken back, 4 when it is dead and has something still, 5 when it
    /// is dead and waits for its parent.
    #[serde(with = "le")]
    pub life: u64,
    /// What it may have.
    #[serde(with = "le")]
    pub limit: u64,
    /// What it has.
    #[serde(with = "le")]
    pub committed: u64,
    /// The most it has had.
    #[serde(with = "le")]
    pub committed_peak: u64,
    /// Requests so far, as a number.
    #[serde(with = "le")]
    pub calls: u64,
    /// Requests refused so far, as a number.
    #[serde(with = "le")]
    pub failures: u64,
    /// Threads, as a number.
    #[serde(with = "le")]
    pub threads: u64,
    /// What of the limit it can have whatever others do.
    #[serde(with = "le")]
    pub reserved: u64,
    /// How many capabilities the server holds for it, as a number.
    #[serde(with = "le")]
    pub slots: u64,
}

/// What a client has its memory for. Bytes unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseFigures {
    /// Served blocks in use, at their usable size.
    #[serde(with = "after6")]
    pub block_bytes: u64,
    /// The most of it.
    #[serde(with = "le")]
    pub block_bytes_peak: u64,
    /// Served blocks in use, as a number.
    #[serde(with = "le")]
    pub blocks: u64,
    /// Buckets and segments that the client cuts itself.
    #[serde(with = "le")]
    pub resident_bytes: u64,
    /// Large regions.
    #[serde(with = "le")]
    pub large_bytes: u64,
    /// DMA memory.
    #[serde(with = "le")]
    pub dma_bytes: u64,
    /// Dataspaces that it has made and holds.
    #[serde(with = "le")]
    pub shared_bytes: u64,
    /// Pages of dataspaces, its own and others', that it has attached; nobody is charged for these twice.
    #[serde(with = "le")]
    pub attached_bytes: u64,
    /// Chunks that its kernel objects are made of: page tables, threads, the address space.
    #[serde(with = "le")]
    pub kernel_bytes: u64,
    /// Pages of the server's books about it.
    #[serde(with = "le")]
    pub ledger_bytes: u64,
}

/// Refusals by [`Error::number`](crate::Error::number); the last counter of the last page has all above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureFigures {
    /// The number of the error of the first counter.
    #[serde(with = "le")]
    pub first: u32,
    /// Requests refused, as numbers.
    #[serde(with = "counts")]
    pub counts: [u32; REASONS_A_PAGE],
}

/// A client's name in the manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientName {
    /// UTF-8, filled up with zero bytes.
    pub name: [u8; 32],
}

impl ClientName {
    /// The name, cut after 32 bytes.
    pub fn new(text: &str) -> ClientName {
        let mut name = [0; 32];
        for (place, byte) in name.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        ClientName { name }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let name = self.name.split(|byte| *byte == 0).next();
        core::str::from_utf8(name.unwrap_or_default()).unwrap_or("")
    }
}

/// Served blocks in one segment, by size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockFigures {
    /// The `cursor` that goes on behind the segment.
    #[serde(with = "after6")]
    pub next: u64,
    /// Pages of runs: blocks that share no page.
    #[serde(with = "le")]
    pub run_pages: u32,
    /// Runs, as a number.
    #[serde(with = "le")]
    pub runs: u32,
    /// Buckets, each a page, by class.
    #[serde(with = "counts")]
    pub buckets: [u32; SERVED_CLASSES],
    /// Blocks in use, by class.
    #[serde(with = "counts")]
    pub blocks: [u32; SERVED_CLASSES],
}

/// A large page of 2 MiB of physical memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeFigures {
    /// The `cursor` that goes on behind it.
    #[serde(with = "after6")]
    pub next: u64,
    /// Its physical address.
    #[serde(with = "le")]
    pub address: u64,
    /// 1 as an untyped, 2 split into chunks, 3 as a frame of 2 MiB; 0 if it is not wholly the server's.
    #[serde(with = "le")]
    pub form: u32,
    /// Its pages that nobody has.
    #[serde(with = "le")]
    pub free: u32,
    /// Of those, the ones that would have to be zeroed.
    #[serde(with = "le")]
    pub dirty: u32,
    /// Its pages in chunks of kernel objects.
    #[serde(with = "le")]
    pub objects: u32,
    /// Free blocks of 2^n pages, each aligned to its size, none of them part of a larger one.
    #[serde(with = "counts")]
    pub orders: [u32; ORDERS],
}

/// How long requests of one kind took inside the server, in ticks of the processor's counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFigures {
    /// The ticks of all together.
    #[serde(with = "after6")]
    pub ticks: u64,
    /// How many took less than 2^8 ticks; then less than 2^9, and so on; the last has all above.
    #[serde(with = "counts")]
    pub steps: [u32; LATENCY_STEPS],
}

impl CallFigures {
    /// Counts a request that took `ticks`.
    pub fn count(&mut self, ticks: u64) {
        let bits = u64::BITS.saturating_sub(ticks.leading_zeros());
        let step = bits.saturating_sub(LATENCY_FIRST_BITS) as usize;
        if let Some(step) = self.steps.get_mut(step.min(LATENCY_STEPS - 1)) {
            *step = step.saturating_add(1);
        }
        self.ticks = self.ticks.saturating_add(ticks);
    }

    /// How many requests there were.
    pub fn calls(&self) -> u64 {
        self.steps.iter().map(|step| u64::from(*step)).sum()
    }
}

#[cfg(test)]
mod tests;
