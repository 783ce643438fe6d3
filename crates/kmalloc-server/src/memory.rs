// SPDX-License-Identifier: BSD-2-Clause
//! Supply of pages: carrying out the steps that the books of physical memory ask for, charging clients, and knowing of
//! every page whose it is.

use crate::Server;
use crate::client::Client;
use crate::kernel::{ClientIndex, Kernel, Object, Slot, Worker};
use crate::physical::{CHUNK_PAGES, Chunk, LARGE_CHUNKS, Large, PAGE_BITS, Page, Step};
use core::ops::Range;
use kmalloc_bucket::ledger::NONE;
use kmalloc_protocol::Error;

/// What a physical page is to the client that has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// Nobody has it.
    #[default]
    Free,
    /// A frame of a client that is being built, not mapped yet.
    Unmapped,
    /// A frame mapped in the client.
    Mapped,
    /// A frame of 2 MiB mapped in the client; this is its first page.
    LargeMapped,
    /// A frame of a ledger; `place` is its segment.
    Ledger,
    /// The first page of a chunk of kernel objects; `place` is how many have been made of it.
    Objects,
    /// A frame of a dataspace; `next` is the next one of it, `place` the dataspace.
    Shared,
}

impl Role {
    /// By its place in the row of them.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
    fn from_number(number: u8) -> Role {
        const ALL: [Role; 8] = [
            Role::Free,
            Role::Unmapped,
            Role::Mapped,
            Role::LargeMapped,
            Role::Ledger,
            Role::Objects,
            Role::Shared,
            Role::Free,
        ];
        ALL[usize::from(number % 8)]
    }
}

/// What the server knows of a physical page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageInfo {
    pub next: u32,
    /// On a client's list: the page before. Of a page table that is not in use: the next such. That table may lie in the
    /// first page of a chunk, whose `next` is the next chunk.
    pub previous: u32,
    /// Where it is mapped, as address / 4096; or the segment of a ledger.
    pub place: u32,
    pub owner: u16,
    pub role: Role,
}

impl PageInfo {
    pub const FREE: PageInfo = PageInfo {
        next: NONE,
        previous: NONE,
        place: NONE,
        owner: u16::MAX,
        role: Role::Free,
    };
}

/// A [`PageInfo`] in two words: `next` and `previous`; `place`, `owner` and `role`. Of pages side by side each word is that of
/// the page before and a constant, so that a run of them is two stores a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedInfo {
    links: u64,
    rest: u64,
}

impl PackedInfo {
    /// What is added to the words from a page to the next one.
    const STEP: PackedInfo = PackedInfo {
        links: 1 << 32 | 1,
        rest: 1,
    };

    #[inline(always)]
    pub(crate) const fn pack(info: PageInfo) -> PackedInfo {
        PackedInfo {
            links: info.next as u64 | (info.previous as u64) << 32,
            rest: info.place as u64 | (info.owner as u64) << 32 | (info.role as u64) << 48,
        }
    }

    #[inline(always)]
    pub(crate) fn unpack(self) -> PageInfo {
        PageInfo {
            next: self.links as u32,
            previous: (self.links >> 32) as u32,
            place: self.rest as u32,
            owner: (self.rest >> 32) as u16,
            role: Role::from_number((self.rest >> 48) as u8),
        }
    }

    #[inline(always)]
    fn set_next(&mut self, next: u32) {
        self.links = self.links & !0xffff_ffff | u64::from(next);
    }

    #[inline(always)]
    fn set_previous(&mut self, previous: u32) {
        self.links = self.links & 0xffff_ffff | u64::from(previous) << 32;
    }
}

/// Bytes in `pages` pages.
pub(crate) const fn bytes(pages: usize) -> u64 {
    (pages as u64) << PAGE_BITS
}

impl<K: Kernel> Server<K> {
    /// Does what has to come before memory can be taken.
    pub(crate) fn carry_out<T>(&mut self, step: Step<T>) -> Result<(), Error> {
        match step {
            Step::Take(_) => {}
            Step::SplitLarge(large) => {
                let first = Slot::Chunk(large.first_chunk());
                let object = Object::Untyped(PAGE_BITS + CHUNK_PAGES.ilog2());
                self.kernel
                    .retype(Slot::Large(large), object, first, LARGE_CHUNKS)?;
                self.physical.large_was_split(large);
            }
            Step::SplitChunk(chunk) => {
                let first = Slot::Page(chunk.first_page());
                self.kernel
                    .retype(Slot::Chunk(chunk), Object::Frame, first, CHUNK_PAGES)?;
                self.physical.chunk_was_split(chunk);
            }
            Step::GatherChunk(chunk) => {
                self.kernel.revoke(Slot::Chunk(chunk))?;
                self.physical.chunk_was_gathered(chunk);
                self.wake_cleaner();
            }
            Step::Scrub(page) => {
                self.kernel.scrub(page)?;
                self.physical.page_was_scrubbed(page);
            }
        }
        Ok(())
    }

    /// Takes the 16 frames of a clean chunk that is whole.
    pub(crate) fn take_fresh_chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        let first = Slot::Page(chunk.first_page());
        self.kernel
            .retype(Slot::Chunk(chunk), Object::Frame, first, CHUNK_PAGES)?;
        self.physical.chunk_was_split_and_taken(chunk);
        self.want_frames();
        Ok(())
    }

    /// The client behind an index.
    #[inline(always)]
    pub(crate) fn client_mut(&mut self, client: ClientIndex) -> Result<&mut Client, Error> {
        self.clients
            .get_mut(client.index())
            .ok_or(Error::NotPermitted)
    }

    /// A zeroed frame, charged to the client and on its list.
    pub(crate) fn take_page(
        &mut self,
        client: ClientIndex,
        role: Role,
        place: u32,
    ) -> Result<Page, Error> {
        let pages = self.take_pages(client, role, place, 1)?;
        Ok(Page(pages.start as u32))
    }

    /// Zeroed frames that lie side by side in one chunk, up to `max` of them and one at least, charged to the client and
    /// on its list; the first has its place at `place`.
    pub(crate) fn take_pages(
        &mut self,
        client: ClientIndex,
        role: Role,
        place: u32,
        max: usize,
    ) -> Result<Range<usize>, Error> {
        self.check_supply(client, 1)?;
        self.check_slots(client, 1)?;
        let account = self.client_mut(client)?;
        let own = account.set_aside();
        let max = max
            .min(account.limit_pages - account.committed_pages)
            .min(account.slots.limit - account.slots.committed);
        let max = max.min(self.usable_for(own));
        let pages = self.supply_pages(max)?;
        self.commit(client, pages.len(), pages.len());
        self.enlist(client, pages.clone(), role, place);
        Ok(pages)
    }

    /// A zeroed frame, taken.
    pub(crate) fn supply_page(&mut self) -> Result<Page, Error> {
        let pages = self.supply_pages(1)?;
        Ok(Page(pages.start as u32))
    }

    fn supply_pages(&mut self, max: usize) -> Result<Range<usize>, Error> {
        if max >= CHUNK_PAGES {
            // A whole chunk at once, and not what others left of one first.
            if let Some(chunk) = self.physical.ready_chunk() {
                self.take_ready(chunk.pages());
                return Ok(chunk.pages());
            }
            if let Some(chunk) = self.physical.fresh_chunk() {
                self.take_fresh_chunk(chunk)?;
                return Ok(chunk.pages());
            }
        }
        loop {
            if let Some(pages) = self.physical.next_pages(max) {
                self.take_ready(pages.clone());
                return Ok(pages);
            }
            match self.physical.next_page() {
                Some(step) => self.carry_out(step)?,
                None => return Err(self.out_of_memory(1, 0)),
            }
        }
    }

    /// Takes frames of one chunk that are ready; the cleaner makes more while nobody asks for any.
    pub(crate) fn take_ready(&mut self, pages: Range<usize>) {
        self.physical.take_pages(pages);
        self.want_frames();
    }

    /// Has the cleaner make frames where few are ready.
    fn want_frames(&mut self) {
        if self.physical.is_short_of_frames() {
            self.kernel.wake(Worker::Cleaner);
        }
    }

    /// Takes a frame off its owner's list and frees it; `clean` where nobody could have written to it.
    pub(crate) fn return_page(&mut self, page: Page, clean: bool) {
        self.delist(page, 1);
        if clean {
            self.physical.give_clean_page(page);
        } else {
            self.physical.give_page(page);
            self.wake_cleaner();
        }
    }

    /// A whole chunk, charged to the client and on one of its lists, which begins where `head` says: its first page.
    pub(crate) fn take_chunk(
        &mut self,
        client: ClientIndex,
        head: impl Fn(&mut Client) -> &mut u32,
    ) -> Result<Page, Error> {
        self.charge(client, CHUNK_PAGES, 1)?;
        let chunk = loop {
            match self.physical.next_chunk() {
                Some(Step::Take(chunk)) => break chunk,
                Some(step) => {
                    if let Err(error) = self.carry_out(step) {
                        self.refund(client, CHUNK_PAGES, 1);
                        return Err(error);
                    }
                }
                None => {
                    self.refund(client, CHUNK_PAGES, 1);
                    let largest = bytes(self.physical.largest_run(u64::MAX));
                    return Err(Error::NoContiguousRun {
                        largest,
                        requested: bytes(CHUNK_PAGES),
                    });
                }
            }
        };
        self.physical.take_chunk(chunk);
        let first = chunk.first_page();
        let account = self.client_mut(client)?;
        account.counters.object_chunks += 1;
        let next = core::mem::replace(head(account), first.0);
        self.set_info(
            first,
            PageInfo {
                next,
                place: 0,
                owner: client.0,
                role: Role::Objects,
                ..PageInfo::FREE
            },
        );
        Ok(first)
    }

    /// Puts pages on the list of a client, which has been charged for them. Their places lie side by side from `place` on.
    pub(crate) fn enlist(
        &mut self,
        client: ClientIndex,
        pages: Range<usize>,
        role: Role,
        place: u32,
    ) {
        let (Some(account), Some(last)) = (
            self.clients.get_mut(client.index()),
            pages.end.checked_sub(1),
        ) else {
            return;
        };
        let head = core::mem::replace(&mut account.pages, last as u32);
        if let Some(info) = self.pages.get_mut(head as usize) {
            info.set_previous(pages.start as u32);
        }
        let infos = self.pages.get_mut(pages.clone());
        let Some((lowest, others)) = infos.and_then(|infos| infos.split_first_mut()) else {
            return;
        };
        // Each page is followed on the list by the one below it, and the lowest by what was first before.
        let first = pages.start as u32;
        let lowest_info = PageInfo {
            next: head,
            previous: first + 1,
            place,
            owner: client.0,
            role,
        };
        *lowest = PackedInfo::pack(lowest_info);
        let mut info = PackedInfo::pack(PageInfo {
            next: first,
            previous: first + 2,
            place: place + 1,
            ..lowest_info
        });
        for page in &mut *others {
            *page = info;
            info.links += PackedInfo::STEP.links;
            info.rest += PackedInfo::STEP.rest;
        }
        others.last_mut().unwrap_or(lowest).set_previous(NONE);
    }

    /// Takes what begins at `page` off its owner's list and refunds `count` pages.
    pub(crate) fn delist(&mut self, page: Page, count: usize) {
        let info = self.info(page);
        self.set_info(page, PageInfo::FREE);
        match self.pages.get_mut(info.previous as usize) {
            Some(before) => before.set_next(info.next),
            None => {
                if let Some(account) = self.clients.get_mut(info.owner as usize) {
                    account.pages = info.next;
                }
            }
        }
        if let Some(after) = self.pages.get_mut(info.next as usize) {
            after.set_previous(info.previous);
        }
        // A frame of 2 MiB has one slot, and so has a page.
        self.refund(ClientIndex(info.owner), count, count.min(1));
    }

    #[inline(always)]
    pub(crate) fn info(&self, page: Page) -> PageInfo {
        let info = self.pages.get(page.index());
        info.map_or(PageInfo::FREE, |info| info.unpack())
    }

    #[inline(always)]
    pub(crate) fn set_info(&mut self, page: Page, info: PageInfo) {
        if let Some(place) = self.pages.get_mut(page.index()) {
            *place = PackedInfo::pack(info);
        }
    }

    /// Makes another page follow on a list.
    pub(crate) fn set_next(&mut self, page: u32, next: u32) -> bool {
        let info = self.pages.get_mut(page as usize);
        info.map(|info| info.set_next(next)).is_some()
    }

    /// Makes another page precede on a list.
    pub(crate) fn set_previous(&mut self, page: u32, previous: u32) {
        if let Some(info) = self.pages.get_mut(page as usize) {
            info.set_previous(previous);
        }
    }

    /// Records that a page is mapped where it was to be.
    pub(crate) fn set_mapped(&mut self, page: Page) {
        let info = self.info(page);
        self.set_info(
            page,
            PageInfo {
                role: Role::Mapped,
                ..info
            },
        );
    }

    /// Records where a page is mapped.
    pub(crate) fn set_place(&mut self, page: Page, place: u32) {
        let info = self.info(page);
        self.set_info(page, PageInfo { place, ..info });
    }

    /// A large page that costs no zeroing, for a client that may have one; `None` where there is none.
    pub(crate) fn large_for(&mut self, client: ClientIndex) -> Result<Option<Large>, Error> {
        let large = self.physical.next_large();
        // One that goes back can't be had before it is clean. What is set aside can be had at any time.
        let may = large.is_some() && self.client_mut(client)?.reserved_pages == 0;
        Ok(large.filter(|_| may))
    }

    /// Makes a frame of 2 MiB of a clean large page, charged to the client and on its list.
    pub(crate) fn take_large(
        &mut self,
        client: ClientIndex,
        large: Large,
        place: u32,
    ) -> Result<(), Error> {
        let pages = large.pages();
        self.charge(client, pages.len(), 1)?;
        let retyped = self.kernel.retype(
            Slot::Large(large),
            Object::LargeFrame,
            Slot::LargeFrame(large),
            1,
        );
        if let Err(refused) = retyped {
            self.refund(client, pages.len(), 1);
            return Err(refused.into());
        }
        self.physical.take_large(large);
        self.enlist(
            client,
            pages.start..pages.start + 1,
            Role::LargeMapped,
            place,
        );
        Ok(())
    }

    /// Takes an unmapped frame of 2 MiB off its owner's list and frees it.
    pub(crate) fn return_large(&mut self, large: Large) -> Result<(), Error> {
        self.kernel.delete(Slot::LargeFrame(large))?;
        let pages = large.pages();
        self.delist(Page(pages.start as u32), pages.len());
        self.physical.give_large(large);
        self.wake_cleaner();
        Ok(())
    }
}
