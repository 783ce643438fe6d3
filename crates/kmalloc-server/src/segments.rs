// SPDX-License-Identifier: BSD-2-Clause
//! Address space: segments of 2 MiB, numbered once for all clients.
//!
//! A segment belongs to one client and one window at a time. Since no two clients ever have the same one, an address
//! names its owner: another client's pointer is told from a wild one, and the way from an address to its ledger is an
//! index, not a look-up.

use crate::bits::{BitSet, in_one_word, words_of};
use crate::kernel::ClientIndex;
use alloc::vec;
use alloc::vec::Vec;
use kmalloc_bucket::ledger::NONE;
use kmalloc_protocol::window::{SEGMENT_SIZE_BITS, WINDOW_SIZE_BITS, Window};

/// Pages in a segment.
pub const SEGMENT_PAGES: usize = 512;
/// Entries in one frame of a ledger.
pub const LEDGER_ENTRIES: usize = 64;
/// Frames in the longest ledger of a segment.
pub const LEDGER_FRAMES: usize = SEGMENT_PAGES / LEDGER_ENTRIES;

/// A segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Whose it is.
    pub owner: Option<ClientIndex>,
    /// While it is free: whose it was last, and in which life.
    pub former: Option<(ClientIndex, u16)>,
    /// Which window it lies in.
    pub window: Window,
    /// The page table, or [`NONE`] (a frame of 2 MiB needs none).
    pub table: u32,
    /// The frame of 2 MiB that fills the segment, or [`NONE`].
    pub large: u32,
    /// Frames of the ledger, the first `ledger_frames` of them.
    pub ledger: [u32; LEDGER_FRAMES],
    /// How many frames the ledger has.
    pub ledger_frames: u8,
    /// Set bits are pages of address space that nobody has.
    pub free: [u64; LEDGER_FRAMES],
    /// Pages of address space that are taken.
    pub used: u16,
    /// Next segment of the same client.
    pub next: u32,
    /// The one before.
    pub previous: u32,
}

impl Segment {
    const FREE: Segment = Segment {
        owner: None,
        former: None,
        window: Window::Served,
        table: NONE,
        large: NONE,
        ledger: [NONE; LEDGER_FRAMES],
        ledger_frames: 0,
        free: [u64::MAX; LEDGER_FRAMES],
        used: 0,
        next: NONE,
        previous: NONE,
    };

    /// The lowest `count` consecutive free pages that begin at a multiple of `align` (a power of two). It takes as long
    /// however the free pages are scattered.
    pub fn find_pages(&self, count: usize, align: usize) -> Option<usize> {
        if usize::from(self.used) + count > SEGMENT_PAGES {
            return None;
        }
        if count <= align && align <= 64 {
            return self.find_aligned_pages(count, align);
        }
        if count <= 64 && align == 1 {
            return self.find_few_pages(count);
        }
        // After each round a bit says that as many pages from its own on are free as the round before asked for twice.
        let mut starts = self.free;
        let mut length = 1;
        while length < count {
            let more = length.min(count - length);
            let (words, bits) = (more / 64, more % 64);
            for index in 0..LEDGER_FRAMES {
                let word = |index: usize| starts.get(index + words).copied().unwrap_or(0);
                let shifted = match bits {
                    0 => word(index),
                    _ => word(index) >> bits | word(index + 1) << (64 - bits),
                };
                // What is read later lies above, and is not changed yet.
                if let Some(start) = starts.get_mut(index) {
                    *start &= shifted;
                }
            }
            length += more;
        }
        let (step, every) = if align < 64 {
            (1, every(align))
        } else {
            (align / 64, 1)
        };
        let words = starts.iter().enumerate().step_by(step);
        words
            .map(|(index, word)| (index, word & every))
            .find(|(_, word)| *word != 0)
            .map(|(index, word)| index * 64 + word.trailing_zeros() as usize)
    }

    /// As [`Segment::find_pages`], for pages that reach into one further word of the bits at the most, wherever they begin.
    fn find_few_pages(&self, count: usize) -> Option<usize> {
        (0..LEDGER_FRAMES).find_map(|index| {
            let word = |index: usize| u128::from(self.free.get(index).copied().unwrap_or(0));
            let here = word(index);
            if here == 0 {
                return None;
            }
            let mut starts = here | word(index + 1) << 64;
            // Most often the first free page is the one.
            let first = starts.trailing_zeros();
            let wanted = u128::MAX >> (128 - count);
            if starts >> first & wanted == wanted {
                return Some(index * 64 + first as usize);
            }
            let mut length = 1;
            while length < count && starts != 0 {
                let more = length.min(count - length);
                starts &= starts >> more;
                length += more;
            }
            let starts = starts as u64;
            (starts != 0).then(|| index * 64 + starts.trailing_zeros() as usize)
        })
    }

    /// As [`Segment::find_pages`], for pages that never cross a word of the bits.
    fn find_aligned_pages(&self, count: usize, align: usize) -> Option<usize> {
        let every = every(align);
        self.free.iter().enumerate().find_map(|(index, word)| {
            let mut starts = *word;
            let mut length = 1;
            while length < count && starts != 0 {
                let more = length.min(count - length);
                starts &= starts >> more;
                length += more;
            }
            let starts = starts & every;
            (starts != 0).then(|| index * 64 + starts.trailing_zeros() as usize)
        })
    }

    /// Whether the segment is this client's in this window.
    #[inline(always)]
    pub fn is(&self, client: ClientIndex, window: Window) -> bool {
        self.owner == Some(client) && self.window == window
    }

    /// Whether a page of address space is free.
    pub fn is_free(&self, page: usize) -> bool {
        self.free
            .get(page / 64)
            .is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// Takes pages of address space.
    pub fn take_pages(&mut self, first: usize, count: usize) {
        self.used += count as u16;
        if let Some((index, mask)) = in_one_word(&(first..first + count))
            && let Some(word) = self.free.get_mut(index)
        {
            *word &= !mask;
            return;
        }
        for (index, mask) in words_of(first..first + count) {
            if let Some(word) = self.free.get_mut(index) {
                *word &= !mask;
            }
        }
    }

    /// Gives pages of address space back.
    pub fn give_pages(&mut self, first: usize, count: usize) {
        for (index, mask) in words_of(first..first + count) {
            if let Some(word) = self.free.get_mut(index) {
                *word |= mask;
            }
        }
        self.used -= count as u16;
    }
}

/// All segments.
#[derive(Debug)]
pub struct Segments {
    segments: Vec<Segment>,
    free: BitSet,
}

/// A bit at each multiple of `align`, which is 1 to 64.
fn every(align: usize) -> u64 {
    u64::MAX / (u64::MAX >> (64 - align))
}

/// A page of a segment, by number: `segment * 512 + page`. The same in every window.
pub const fn page_number(segment: u32, page: usize) -> u32 {
    segment * SEGMENT_PAGES as u32 + page as u32
}

/// The address of a page of a segment.
#[inline(always)]
pub const fn address_of(window: Window, page_number: u32) -> usize {
    window.base() + ((page_number as usize) << 12)
}

/// The segment and the page that an address lies in, whatever the window.
#[inline(always)]
pub const fn place_of(address: usize) -> (u32, usize) {
    let offset = address & ((1 << WINDOW_SIZE_BITS) - 1);
    (
        (offset >> SEGMENT_SIZE_BITS) as u32,
        (offset >> 12) % SEGMENT_PAGES,
    )
}

impl Segments {
    /// `count` free segments.
    pub fn new(count: usize) -> Segments {
        let mut free = BitSet::new(count);
        free.insert_range(0..count);
        Segments {
            segments: vec![Segment::FREE; count],
            free,
        }
    }

    /// A segment by number.
    #[inline(always)]
    pub fn get(&self, segment: u32) -> Option<&Segment> {
        self.segments.get(segment as usize)
    }

    /// A segment by number.
    #[inline(always)]
    pub fn get_mut(&mut self, segment: u32) -> Option<&mut Segment> {
        self.segments.get_mut(segment as usize)
    }

    /// How many segments there are.
    pub fn capacity(&self) -> usize {
        self.segments.len()
    }

    /// The lowest `count` consecutive free segments that begin at a multiple of `align` (a power of two).
    pub fn find(&self, count: usize, align: usize) -> Option<u32> {
        let mut position = 0;
        loop {
            let start = self.free.first_from(position)?;
            let aligned = start.next_multiple_of(align);
            // How far the free segments go on behind that does not matter.
            let end = self.free.first_absent_below(start, aligned + count);
            if end == aligned + count {
                return Some(aligned as u32);
            }
            position = end;
        }
    }

    /// Gives a free segment to a client and puts it at the head of the client's list, which begins at `head`.
    pub fn open(&mut self, segment: u32, owner: ClientIndex, window: Window, head: &mut u32) {
        self.free.remove(segment as usize);
        let next = *head;
        if let Some(old_head) = self.get_mut(next) {
            old_head.previous = segment;
        }
        if let Some(place) = self.get_mut(segment) {
            *place = Segment {
                owner: Some(owner),
                window,
                next,
                ..Segment::FREE
            };
            *head = segment;
        }
    }

    /// Takes a segment from its owner in its life `generation`, whose list begins at `head`. Its table and ledger are
    /// gone already.
    pub fn close(&mut self, segment: u32, generation: u16, head: &mut u32) {
        let Some(place) = self.get_mut(segment) else {
            return;
        };
        let (previous, next) = (place.previous, place.next);
        let former = place.owner.map(|owner| (owner, generation));
        *place = Segment {
            former,
            ..Segment::FREE
        };
        match self.get_mut(previous) {
            Some(before) => before.next = next,
            None => *head = next,
        }
        if let Some(after) = self.get_mut(next) {
            after.previous = previous;
        }
        self.free.insert(segment as usize);
    }
}

#[cfg(test)]
mod tests;
