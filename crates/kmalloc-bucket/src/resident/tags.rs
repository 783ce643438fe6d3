// SPDX-License-Identifier: BSD-2-Clause
//! What each page of a segment is used for.

use super::{GROUP_PAGES, SEGMENT_PAGES};
use core::sync::atomic::{AtomicU16, Ordering};

/// What a page is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Nothing, or the inside of a run: of a run only the first page is tagged, so that it can grow and shrink quickly.
    Unused,
    /// A bucket of this slot.
    Bucket {
        /// See [`super::slots`].
        slot: usize,
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
            BUCKET => Tag::Bucket { slot: value },
            RUN => Tag::Run { pages: value },
            _ => Tag::Unused,
        }
    }

    /// Makes the group that begins at `page` a bucket.
    pub fn set_bucket(&self, page: usize, slot: usize) {
        self.fill(page, GROUP_PAGES, BUCKET | slot as u16);
    }

    /// Makes the pages from `page` a run of `pages`, whatever it was before. The further ones must be unused.
    pub fn set_run(&self, page: usize, pages: usize) {
        self.fill(page, 1, RUN | pages as u16);
    }

    /// Says that the group that begins at `page` is no bucket any more.
    pub fn clear_bucket(&self, page: usize) {
        self.fill(page, GROUP_PAGES, 0);
    }

    /// Says that no run begins at `page` any more.
    pub fn clear_run(&self, page: usize) {
        self.fill(page, 1, 0);
    }

    fn fill(&self, page: usize, pages: usize, tag: u16) {
        for entry in &self.0[page..page + pages] {
            entry.store(tag, Ordering::Relaxed);
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
