// SPDX-License-Identifier: BSD-2-Clause
//! What is worth doing while nobody asks for memory, one job at a time: cleaning what is dirty, and making frames ahead of
//! need, so that a call has only to map them.

use super::{CHUNK_PAGES, Chunk, ChunkForm, LARGE_PAGES, Large, LargeForm, Page, Physical};

/// log2 of the bytes of what is made of an untyped to have it zeroed: the least that there is.
pub const GRAIN_BITS: u32 = 4;

/// Clean whole large pages that are to be there. With fewer, they come before all else, and split ones are gathered.
const LARGES_WANTED: usize = 4;
/// Pages that stay available while a split large page is gathered: a call may come before that is done.
const GATHER_RESERVE: usize = 2 * LARGE_PAGES;

/// Frames that are to be ready, in whole chunks, on a machine that has 64 times as many pages.
const READY_WANTED: usize = 64 * CHUNK_PAGES;

/// A thing to make clean or ready, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleaning {
    /// Zero frames of a chunk.
    Pages {
        /// The chunk.
        chunk: Chunk,
        /// Bit n stands for the n-th page of the chunk.
        mask: u16,
    },
    /// Make something small of this chunk's untyped, and delete it again: the kernel zeroes what was used of the untyped
    /// first.
    Chunk(Chunk),
    /// The same with a large page's untyped.
    Large(Large),
    /// Revoke a large page's untyped, whose chunks and frames nobody has; then as with [`Cleaning::Large`].
    Gather(Large),
    /// Make the 16 frames of this clean chunk.
    Frames(Chunk),
    /// Make the 32 chunks of this clean large page.
    Chunks(Large),
}

impl Cleaning {
    /// How many pages it is about.
    pub fn page_count(self) -> usize {
        match self {
            Cleaning::Pages { mask, .. } => mask.count_ones() as usize,
            Cleaning::Chunk(_) | Cleaning::Frames(_) => CHUNK_PAGES,
            Cleaning::Large(_) | Cleaning::Gather(_) | Cleaning::Chunks(_) => LARGE_PAGES,
        }
    }

    /// Whether it is about this page.
    pub fn contains(self, page: Page) -> bool {
        match self {
            Cleaning::Pages { chunk, mask } => {
                page.chunk() == chunk && mask >> (page.index() % CHUNK_PAGES) & 1 == 1
            }
            Cleaning::Chunk(chunk) | Cleaning::Frames(chunk) => page.chunk() == chunk,
            Cleaning::Large(large) | Cleaning::Gather(large) | Cleaning::Chunks(large) => {
                page.chunk().large() == large
            }
        }
    }

    /// The frames that [`Cleaning::Pages`] is about.
    pub fn pages(self) -> impl Iterator<Item = Page> {
        let (chunk, mask) = match self {
            Cleaning::Pages { chunk, mask } => (chunk, mask),
            _ => (Chunk(0), 0),
        };
        let all = chunk.pages().map(|page| Page(page as u32));
        all.filter(move |page| mask >> (page.index() % CHUNK_PAGES) & 1 == 1)
    }
}

impl Physical {
    /// What is being cleaned.
    pub fn cleaning(&self) -> Option<Cleaning> {
        self.cleaning
    }

    /// So many pages are wanted at once. Whether cleaning large pages helps.
    pub fn want(&mut self, pages: usize) -> bool {
        self.wanted_pages = self
            .wanted_pages
            .max(pages)
            .max(LARGES_WANTED * LARGE_PAGES);
        self.is_wanting()
    }

    /// Whether as many pages as are wanted can't be had, and cleaning large pages helps.
    pub fn is_wanting(&self) -> bool {
        self.available.len() < self.wanted_pages && !self.dirty_larges.is_empty()
    }

    /// Sets the next thing to clean apart, so that nobody takes it; `None` where nothing is worth it, or something is
    /// being cleaned already.
    pub fn begin_cleaning(&mut self) -> Option<Cleaning> {
        if self.cleaning.is_some() {
            return None;
        }
        if !self.is_wanting() {
            self.wanted_pages = 0;
        }
        let cleaning = self.next_cleaning().filter(|it| self.can_spare(it));
        let dirty_large = || Some(Cleaning::Large(Large(self.dirty_larges.last()? as u32)));
        let cleaning = cleaning.or_else(dirty_large)?;
        match cleaning {
            Cleaning::Pages { .. } => {
                for page in cleaning.pages() {
                    self.dirty.remove(page.index());
                    self.set_taken(page.index()..page.index() + 1);
                }
            }
            Cleaning::Chunk(chunk) => {
                self.dirty_chunks.remove(chunk.index());
                self.set_taken(chunk.pages());
            }
            Cleaning::Large(large) => {
                self.dirty_larges.remove(large.index());
            }
            Cleaning::Frames(chunk) => {
                self.whole_chunks.remove(chunk.index());
                self.set_taken(chunk.pages());
            }
            Cleaning::Chunks(large) => {
                self.whole_larges.remove(large.index());
                self.set_taken(large.pages());
            }
            Cleaning::Gather(large) => {
                self.ready.remove_range(large.pages());
                self.dirty.remove_range(large.pages());
                self.whole_chunks.remove_range(large.chunks());
                self.dirty_chunks.remove_range(large.chunks());
                self.set_taken(large.pages());
            }
        }
        self.cleaning = Some(cleaning);
        self.cleaning
    }

    /// So many pages that can be taken now must stay so: cleaning leaves them alone.
    pub fn keep_usable(&mut self, pages: usize) {
        self.kept_pages = pages;
    }

    /// Whether what is to be cleaned can be done without for as long. A dirty large page can't be had anyway.
    fn can_spare(&self, cleaning: &Cleaning) -> bool {
        let is_usable = !matches!(cleaning, Cleaning::Large(_));
        !is_usable || self.usable_pages() >= self.kept_pages + cleaning.page_count()
    }

    /// Large pages come first while there are few, or too few: a client's call can have everything else dirty, if need be.
    /// Then what is cleaned soonest.
    fn next_cleaning(&self) -> Option<Cleaning> {
        let dirty_large = || Some(Cleaning::Large(Large(self.dirty_larges.last()? as u32)));
        if (self.whole_larges.len() < LARGES_WANTED || self.is_wanting())
            && let Some(cleaning) = dirty_large().or_else(|| self.next_gathering())
        {
            return Some(cleaning);
        }
        if let Some(page) = self.dirty.last() {
            let chunk = Page(page as u32).chunk();
            let bit = |page: usize| u16::from(self.dirty.contains(page)) << (page % CHUNK_PAGES);
            let mask = chunk.pages().fold(0, |mask, page| mask | bit(page));
            return Some(Cleaning::Pages { chunk, mask });
        }
        if let Some(chunk) = self.dirty_chunks.last() {
            return Some(Cleaning::Chunk(Chunk(chunk as u32)));
        }
        dirty_large().or_else(|| self.next_making())
    }

    /// Frames that are ready when there is nothing else to do.
    pub fn ready_wanted(&self) -> usize {
        READY_WANTED.min(self.page_capacity() / 64)
    }

    /// Whether so few frames are ready that it is time to make more, once nobody has anything else to do. Of a full stock half
    /// can be taken before that is so: to tell the cleaner costs the one that does.
    #[inline]
    pub fn is_short_of_frames(&self) -> bool {
        self.ready.len() < self.ready_wanted() / 2
            && (!self.whole_chunks.is_empty() || self.whole_larges.len() > LARGES_WANTED)
    }

    /// A chunk of which frames are to be made ahead, or a large page for such chunks: the highest, as calls take them. Large
    /// pages that are wanted whole stay so.
    fn next_making(&self) -> Option<Cleaning> {
        if self.ready.len() + CHUNK_PAGES > self.ready_wanted() {
            return None;
        }
        if let Some(chunk) = self.whole_chunks.last() {
            return Some(Cleaning::Frames(Chunk(chunk as u32)));
        }
        let large = self.whole_larges.last()?;
        (self.whole_larges.len() > LARGES_WANTED).then_some(Cleaning::Chunks(Large(large as u32)))
    }

    /// The lowest split large page that nobody has anything of: low addresses are taken last.
    fn next_gathering(&self) -> Option<Cleaning> {
        let large = self.gatherable_larges.first()?;
        let others = self.available.len().checked_sub(LARGE_PAGES)?;
        (others >= GATHER_RESERVE).then_some(Cleaning::Gather(Large(large as u32)))
    }

    /// Ends what [`Physical::begin_cleaning`] began. What the kernel refused to clean is dirty as it was, and a large page
    /// that was to be gathered is whole and dirty.
    pub fn end_cleaning(&mut self, clean: bool) {
        let Some(cleaning) = self.cleaning.take() else {
            return;
        };
        match cleaning {
            Cleaning::Pages { .. } => {
                for page in cleaning.pages() {
                    let set = if clean {
                        &mut self.ready
                    } else {
                        &mut self.dirty
                    };
                    set.insert(page.index());
                    self.set_available(page.index()..page.index() + 1);
                }
            }
            Cleaning::Chunk(chunk) => {
                let set = if clean {
                    &mut self.whole_chunks
                } else {
                    &mut self.dirty_chunks
                };
                set.insert(chunk.index());
                self.set_available(chunk.pages());
            }
            Cleaning::Large(large) => self.end_large(large, clean),
            Cleaning::Frames(chunk) => {
                self.set_available(chunk.pages());
                if clean {
                    self.chunk_was_split(chunk);
                } else {
                    self.whole_chunks.insert(chunk.index());
                }
            }
            Cleaning::Chunks(large) => {
                self.set_available(large.pages());
                if clean {
                    self.large_was_split(large);
                } else {
                    self.whole_larges.insert(large.index());
                }
            }
            Cleaning::Gather(large) => {
                for chunk in large.chunks() {
                    self.set_chunk_form(Chunk(chunk as u32), ChunkForm::InLarge);
                }
                self.set_large_form(large, LargeForm::Whole);
                self.end_large(large, clean);
            }
        }
    }

    fn end_large(&mut self, large: Large, clean: bool) {
        if clean {
            self.whole_larges.insert(large.index());
            self.set_available(large.pages());
        } else {
            self.dirty_larges.insert(large.index());
        }
    }
}
