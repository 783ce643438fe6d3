// SPDX-License-Identifier: BSD-2-Clause
//! The ledger: what the server knows of each page of a segment. One cache line a page, out of every client's reach.

use crate::size_class::{PAGE_SIZE, SizeClass};

/// No entry, segment or page.
pub const NONE: u32 = u32::MAX;

/// What a page of a segment is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Use {
    /// Nothing is mapped.
    #[default]
    Free = 0,
    /// A bucket: blocks of one size class.
    Bucket = 1,
    /// The first page of a run.
    Head = 2,
    /// A further page of a run.
    Tail = 3,
    /// The first page of a segment whose other pages are mapped one by one, as tails.
    Segment = 4,
}

/// A page of a segment. All zero is a free page.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Entry {
    /// Set bits are free blocks.
    pub free: [u64; 4],
    /// What the page is used for.
    pub usage: Use,
    /// Index of the bucket's size class; after its end, of the last one.
    pub class: u8,
    /// How many blocks of the bucket are free.
    pub free_count: u16,
    /// The physical page.
    pub page: u32,
    /// Bucket: the next one of the class that has a free block; as a global page number.
    pub next: u32,
    /// Bucket: the one before.
    pub previous: u32,
    /// Head: pages of address space kept empty before the run.
    pub guard: u32,
    /// Head: pages mapped. Bucket: blocks in it.
    pub length: u32,
    /// Head: pages of address space from here on, mapped or kept to grow into.
    pub reserved: u32,
    /// Head: log2 of the pages that the run's address is a multiple of.
    pub align_bits: u8,
    /// What a free page was used for last, so that a second free is told from a wild pointer.
    pub history: Use,
    /// Bucket: the client that has it, by its place.
    pub owner: u16,
}

const _: () = assert!(size_of::<Entry>() == 64, "one cache line a page");

impl Entry {
    /// A bucket of `class` in physical page `page` for the client in place `owner`, with all blocks free.
    pub fn bucket(class: SizeClass, page: u32, owner: u16) -> Entry {
        let count = PAGE_SIZE >> class.block_size_bits();
        let mut free = [0; 4];
        for (index, word) in free.iter_mut().enumerate() {
            let bits = count.saturating_sub(index * 64).min(64);
            *word = if bits == 64 {
                u64::MAX
            } else {
                (1 << bits) - 1
            };
        }
        Entry {
            free,
            usage: Use::Bucket,
            class: class.index() as u8,
            free_count: count as u16,
            page,
            next: NONE,
            previous: NONE,
            length: count as u32,
            owner,
            ..Entry::default()
        }
    }

    /// Makes the entry of a free page that of a further page of a run, in physical page `page`. What else it holds is zero
    /// already, or says what the page was before.
    #[inline]
    pub fn become_tail(&mut self, page: u32) {
        self.usage = Use::Tail;
        self.page = page;
    }

    /// Makes the entry that of a free page.
    #[inline]
    pub fn retire(&mut self) {
        if self.usage == Use::Tail {
            // Nothing else was written.
            self.usage = Use::Free;
            self.history = Use::Tail;
            self.page = 0;
        } else {
            *self = Entry {
                history: self.usage,
                class: self.class,
                ..Entry::default()
            };
        }
    }

    /// Takes the first free block of a bucket.
    #[inline(always)]
    pub fn take_block(&mut self) -> Option<usize> {
        // Buckets of 64 bytes and more have one word, so it comes without a loop.
        let word = &mut self.free[0];
        if *word != 0 {
            let bit = word.trailing_zeros() as usize;
            *word &= *word - 1;
            self.free_count -= 1;
            return Some(bit);
        }
        self.take_block_behind()
    }

    /// Takes the first free block of those behind the first 64.
    #[inline(never)]
    fn take_block_behind(&mut self) -> Option<usize> {
        let words = self.free.iter_mut().enumerate();
        let (index, word) = words.skip(1).find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros() as usize;
        *word &= *word - 1;
        self.free_count -= 1;
        Some(index * 64 + bit)
    }

    /// Whether block `block` of a bucket is free.
    #[inline(always)]
    pub fn is_free(&self, block: usize) -> bool {
        self.free
            .get(block / 64)
            .is_none_or(|word| word >> (block % 64) & 1 == 1)
    }

    /// Gives back the block of the client in place `owner` that begins `offset` bytes into the page, where the page is a
    /// bucket of that client and the block is in use. Its bytes.
    #[inline(always)]
    pub fn give_block_at(&mut self, owner: u16, offset: usize) -> Option<u64> {
        if self.usage != Use::Bucket || self.owner != owner {
            return None;
        }
        let size_bits = self.block_size_bits();
        let block = offset >> size_bits;
        let bit = 1 << (block % 64);
        // An offset of a page is at most 4,095 and a block has at least 16 bytes, so there is such a word.
        let word = &mut self.free[block / 64 % 4];
        if block << size_bits != offset || *word & bit != 0 {
            return None;
        }
        *word |= bit;
        self.free_count += 1;
        Some(1 << size_bits)
    }

    /// Whether the block that came back last was the first free one, or the last in use.
    #[inline(always)]
    pub fn is_refilled_or_empty(&self) -> bool {
        self.free_count == 1 || u32::from(self.free_count) == self.length
    }

    /// Blocks in the bucket.
    #[inline(always)]
    pub fn block_count(&self) -> u16 {
        (PAGE_SIZE >> self.block_size_bits()) as u16
    }

    /// log2 of the bytes in a block of the bucket.
    #[inline(always)]
    pub fn block_size_bits(&self) -> u32 {
        4 + u32::from(self.class)
    }
}

#[cfg(test)]
mod tests;
