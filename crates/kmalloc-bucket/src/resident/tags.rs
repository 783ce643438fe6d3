// SPDX-License-Identifier: BSD-2-Clause
//! What each page of a segment is used for.

use super::SEGMENT_PAGES;
use super::buckets::{BUCKET_PAGES_MAX, BUCKET_SLOTS_MAX};
use core::sync::atomic::{AtomicU16, Ordering};

/// What a page is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Nothing, or the inside of a run: of a run only the first page is tagged, so that it can grow and shrink quickly.
    Unused,
    /// A page of a bucket of this slot.
    Bucket {
        /// See [`super::slots`].
        slot: usize,
        /// Which page of the bucket it is: 0 is the first.
        index: usize,
    },
    /// The first page of a run of this many pages.
    Run {
        /// 1 to [`super::RUN_PAGES_MAX`].
        pages: usize,
    },
}

const BUCKET: u16 = 0x4000;
const RUN: u16 = 0x8000;
const KIND: u16 = 0xc000;
/// Where the slot stands in a bucket's tag, above the index.
const SLOT_SHIFT: u32 = BUCKET_PAGES_MAX.ilog2();

const _: () = assert!(BUCKET_SLOTS_MAX << SLOT_SHIFT <= BUCKET as usize);

/// The tags of a segment's pages.
///
/// A thread that frees a block of another thread's segment reads the tag of the block's page, while the owner may write
/// those of other pages: hence atomics, relaxed ones, which cost what plain loads and stores do. A page's tag does not
/// change while a block in it is in use.
pub struct PageTags([AtomicU16; SEGMENT_PAGES]);

impl PageTags {
    /// Nothing is used.
    pub const fn new() -> PageTags {
        PageTags([const { AtomicU16::new(0) }; SEGMENT_PAGES])
    }

    /// What `page` is used for.
    #[inline(always)]
    pub fn get(&self, page: usize) -> Tag {
        let tag = self.0[page % SEGMENT_PAGES].load(Ordering::Relaxed);
        let value = (tag & !KIND) as usize;
        match tag & KIND {
            BUCKET => Tag::Bucket {
                slot: value >> SLOT_SHIFT,
                index: value % BUCKET_PAGES_MAX,
            },
            RUN => Tag::Run { pages: value },
            _ => Tag::Unused,
        }
    }

    /// Makes the `pages` pages from `page` a bucket.
    pub fn set_bucket(&self, page: usize, pages: usize, slot: usize) {
        for (index, tag) in self.0[page..page + pages].iter().enumerate() {
            let value = BUCKET | (slot << SLOT_SHIFT | index) as u16;
            tag.store(value, Ordering::Relaxed);
        }
    }

    /// Makes the pages from `page` a run of `pages`, whatever it was before. The further ones must be unused.
    pub fn set_run(&self, page: usize, pages: usize) {
        self.0[page].store(RUN | pages as u16, Ordering::Relaxed);
    }

    /// Says that the `pages` pages from `page` are no bucket any more, or no run begins there.
    pub fn clear(&self, page: usize, pages: usize) {
        for tag in &self.0[page..page + pages] {
            tag.store(0, Ordering::Relaxed);
        }
    }
}

impl Default for PageTags {
    fn default() -> PageTags {
        PageTags::new()
    }
}

#[cfg(test)]
mod tests;
