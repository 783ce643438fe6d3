// SPDX-License-Identifier: BSD-2-Clause
//! Runs: consecutive pages of a client's address space, mapped and unmapped as one.

use crate::Server;
use crate::kernel::{ClientIndex, Kernel, Mapping, Slot};
use crate::memory::Role;
use crate::physical::{Large, Page};
use crate::segments::{SEGMENT_PAGES, address_of, page_number};
use crate::statistics::Traced;
use core::ops::Range;
use kmalloc_bucket::ledger::{NONE, Use};
use kmalloc_protocol::Error;
use kmalloc_protocol::window::Window;

/// What a run is to be.
#[derive(Clone, Debug)]
pub(crate) struct RunPlan {
    pub window: Window,
    pub pages: usize,
    /// Pages of address space from the first mapped one on.
    pub reserve: usize,
    /// The address is a multiple of this many pages.
    pub align: usize,
    /// Pages of address space left unmapped before the run.
    pub guard: usize,
    pub how: Mapping,
    /// Consecutive physical pages, taken and charged already; or any.
    pub frames: Option<Range<usize>>,
    /// Whether frames of 2 MiB may be used.
    pub large: bool,
}

impl RunPlan {
    /// `pages` pages of memory, naturally aligned where their number is a power of two.
    pub(crate) fn pages(window: Window, pages: usize) -> RunPlan {
        let align = if pages.is_power_of_two() { pages } else { 1 };
        RunPlan {
            window,
            pages,
            reserve: pages,
            align,
            guard: 0,
            how: Mapping::MEMORY,
            frames: None,
            large: true,
        }
    }

    /// Pages of address space that the run takes: whole segments where it does not fit one.
    pub(crate) fn space(&self) -> usize {
        let space = self.guard + self.reserve;
        if space > SEGMENT_PAGES {
            space.next_multiple_of(SEGMENT_PAGES)
        } else {
            space
        }
    }
}

impl<K: Kernel> Server<K> {
    /// Maps a run; the global number of its first page. What it takes is charged; a refusal leaves nothing behind.
    pub(crate) fn map_run(&mut self, client: ClientIndex, plan: &RunPlan) -> Result<u32, Error> {
        if plan.frames.is_none() {
            self.check_supply(client, plan.pages)?;
        }
        let number = self.take_run_space(client, plan)? + plan.guard as u32;
        let mut mapped = 0;
        while mapped < plan.pages {
            match self.map_next(client, plan, number, mapped) {
                Ok(count) => mapped += count,
                Err(error) => {
                    self.unmap_pages(number, mapped)?;
                    self.give_run_space(client, number - plan.guard as u32, plan.space())?;
                    return Err(error);
                }
            }
        }
        self.write_run_entries(number, plan);
        if self.traces {
            self.trace_run(client, plan.window, number, plan.pages, Traced::Grant);
        }
        Ok(number)
    }

    /// Address space for a run, guard and reserve included: inside a segment, or whole ones.
    pub(crate) fn take_run_space(
        &mut self,
        client: ClientIndex,
        plan: &RunPlan,
    ) -> Result<u32, Error> {
        let reserve = plan.space();
        let inside = plan.align <= SEGMENT_PAGES;
        if inside && (reserve < SEGMENT_PAGES || (reserve == SEGMENT_PAGES && !plan.large)) {
            let (segment, first) = self.take_space(client, plan.window, reserve, plan.align)?;
            return Ok(page_number(segment, first));
        }
        self.take_segments(client, plan)
    }

    /// Whole segments for a run that does not fit one.
    fn take_segments(&mut self, client: ClientIndex, plan: &RunPlan) -> Result<u32, Error> {
        let count = plan.space().div_ceil(SEGMENT_PAGES);
        let align = (plan.align / SEGMENT_PAGES).max(1);
        let limit = self.segments.capacity() as u64;
        let first = self
            .segments
            .find(count, align)
            .ok_or(Error::OutOfSlots { limit })?;
        for index in 0..count {
            let segment = first + index as u32;
            // Buckets are released one by one: each segment has a head of its own.
            let head = index == plan.guard / SEGMENT_PAGES || plan.window == Window::Resident;
            if let Err(error) = self.open_long(client, plan.window, segment, head) {
                for opened in first..segment {
                    self.give_space(client, opened, 0, SEGMENT_PAGES)?;
                }
                return Err(error);
            }
            self.take_space_in(segment, 0, SEGMENT_PAGES);
        }
        Ok(page_number(first, 0))
    }

    /// Opens a segment of a long run. Table and ledger come with the pages; only a head's entry is there at once.
    fn open_long(
        &mut self,
        client: ClientIndex,
        window: Window,
        segment: u32,
        head: bool,
    ) -> Result<(), Error> {
        self.open_segment(client, window, segment, false)?;
        if let Err(error) = self.extend_ledger(client, segment, usize::from(head)) {
            self.close_segment(client, segment)?;
            return Err(error);
        }
        Ok(())
    }

    /// Maps the next pages of a run, those of one chunk at the most, or the next 2 MiB; how many pages that were.
    pub(crate) fn map_next(
        &mut self,
        client: ClientIndex,
        plan: &RunPlan,
        number: u32,
        mapped: usize,
    ) -> Result<usize, Error> {
        let at = number + mapped as u32;
        let (segment, page) = (at / SEGMENT_PAGES as u32, at as usize % SEGMENT_PAGES);
        let here = (plan.pages - mapped).min(SEGMENT_PAGES - page);
        let table = self.segments.get(segment).map_or(NONE, |open| open.table);
        if table == NONE && page == 0 && plan.large && here == SEGMENT_PAGES {
            let large = match &plan.frames {
                Some(frames) => {
                    let large = Page((frames.start + mapped) as u32).chunk().large();
                    self.physical.let_go_large(large);
                    Some(large)
                }
                None => self.large_for(client)?,
            };
            if let Some(large) = large {
                self.map_large(client, plan, segment, large)?;
                return Ok(SEGMENT_PAGES);
            }
        }
        self.prepare_pages(client, plan.window, at, here)?;
        let place = (address_of(plan.window, at) >> 12) as u32;
        let frames = match &plan.frames {
            None => self.take_pages(client, Role::Mapped, place, here)?,
            Some(frames) => {
                let start = frames.start + mapped;
                let frames = start..start + here;
                self.enlist(client, frames.clone(), Role::Mapped, place);
                frames
            }
        };
        self.map_frames(client, plan, at, frames)
    }

    /// Maps frames that the client has, side by side from page `at` on, in one segment; how many they are. A refusal leaves
    /// none of them mapped, and none with the client but those that its caller took.
    fn map_frames(
        &mut self,
        client: ClientIndex,
        plan: &RunPlan,
        at: u32,
        frames: Range<usize>,
    ) -> Result<usize, Error> {
        let count = frames.len();
        let vspace = Page(self.client_mut(client)?.vspace);
        let address = address_of(plan.window, at);
        let result = self
            .kernel
            .map_pages(frames.clone(), vspace, address, plan.how);
        let mapped = result.map_or_else(|(mapped, _)| mapped, |()| count);
        let page = at as usize % SEGMENT_PAGES;
        let entries = self.kernel.ledger(at / SEGMENT_PAGES as u32);
        if let Some(entries) = entries.get_mut(page..page + mapped) {
            for (entry, frame) in entries.iter_mut().zip(frames.clone()) {
                entry.become_tail(frame as u32);
            }
        }
        let Err((_, refused)) = result else {
            return Ok(count);
        };
        for frame in frames.skip(mapped) {
            let frame = Page(frame as u32);
            if plan.frames.is_none() {
                self.return_page(frame, true);
            } else {
                // Its charge stays with the caller, who took it.
                self.delist(frame, 0);
            }
        }
        self.unmap_pages(at, mapped)?;
        Err(refused.into())
    }

    /// Sees to it that pages of an open segment have a page table over them and entries in the ledger.
    pub(crate) fn prepare_pages(
        &mut self,
        client: ClientIndex,
        window: Window,
        at: u32,
        count: usize,
    ) -> Result<(), Error> {
        let (segment, page) = (at / SEGMENT_PAGES as u32, at as usize % SEGMENT_PAGES);
        if self.segments.get(segment).map_or(NONE, |open| open.table) == NONE {
            self.give_table(client, window, segment)?;
        }
        self.extend_ledger(client, segment, page + count)
    }

    /// Fills a segment with a frame of 2 MiB, made of a clean large page.
    fn map_large(
        &mut self,
        client: ClientIndex,
        plan: &RunPlan,
        segment: u32,
        large: Large,
    ) -> Result<(), Error> {
        let address = address_of(plan.window, page_number(segment, 0));
        self.take_large(client, large, (address >> 12) as u32)?;
        let vspace = Page(self.client_mut(client)?.vspace);
        let slot = Slot::LargeFrame(large);
        if let Err(refused) = self.kernel.map_page(slot, vspace, address, plan.how) {
            self.return_large(large)?;
            return Err(refused.into());
        }
        if let Some(open) = self.segments.get_mut(segment) {
            open.large = large.0;
        }
        Ok(())
    }

    pub(crate) fn give_table(
        &mut self,
        client: ClientIndex,
        window: Window,
        segment: u32,
    ) -> Result<(), Error> {
        let address = address_of(window, page_number(segment, 0));
        let table = self.make_table(client, crate::kernel::Table::PageTable, address)?;
        if let Some(open) = self.segments.get_mut(segment) {
            open.table = table.0;
        }
        Ok(())
    }

    pub(crate) fn write_run_entries(&mut self, number: u32, plan: &RunPlan) {
        if let Some(entry) = self.entry_at(number) {
            entry.usage = Use::Head;
            entry.length = plan.pages as u32;
            entry.reserved = (plan.space() - plan.guard) as u32;
            entry.guard = plan.guard as u32;
            entry.align_bits = plan.align.trailing_zeros() as u8;
        }
    }

    /// Unmaps the first `count` pages from `number` on and frees their frames. Entries are retired.
    pub(crate) fn unmap_pages(&mut self, number: u32, count: usize) -> Result<(), Error> {
        if self.traces {
            self.trace_unmapped(number, count);
        }
        let mut at = number;
        let end = number + count as u32;
        while at < end {
            let (segment, page) = (at / SEGMENT_PAGES as u32, at as usize % SEGMENT_PAGES);
            let large = self.segments.get(segment).map_or(NONE, |open| open.large);
            if large != NONE {
                self.kernel.unmap_page(Slot::LargeFrame(Large(large)))?;
                self.return_large(Large(large))?;
                if let Some(open) = self.segments.get_mut(segment) {
                    open.large = NONE;
                }
                if let Some(entry) = self.entry(segment, 0) {
                    entry.retire();
                }
                at += SEGMENT_PAGES as u32;
                continue;
            }
            let Some(entry) = self.entry(segment, page) else {
                break;
            };
            let frame = Page(entry.page);
            entry.retire();
            self.kernel.unmap_page(Slot::Page(frame))?;
            self.return_page(frame, false);
            at += 1;
        }
        Ok(())
    }

    /// Gives the address space of a run back, in one segment or several.
    pub(crate) fn give_run_space(
        &mut self,
        client: ClientIndex,
        number: u32,
        count: usize,
    ) -> Result<(), Error> {
        let mut at = number;
        let end = number + count as u32;
        while at < end {
            let (segment, page) = (at / SEGMENT_PAGES as u32, at as usize % SEGMENT_PAGES);
            let here = (SEGMENT_PAGES - page).min((end - at) as usize);
            self.give_space(client, segment, page, here)?;
            at += here as u32;
        }
        Ok(())
    }

    /// Unmaps `count` pages from `number` on and gives their address space back.
    pub(crate) fn unmap_run(
        &mut self,
        client: ClientIndex,
        number: u32,
        count: usize,
    ) -> Result<(), Error> {
        self.unmap_pages(number, count)?;
        self.give_run_space(client, number, count)
    }

    /// Frees the run that begins at `number`, its reserve and its guard; how many pages it had.
    pub(crate) fn release_run(&mut self, client: ClientIndex, number: u32) -> Result<usize, Error> {
        let Some(entry) = self.entry_at(number) else {
            return Ok(0);
        };
        let (pages, reserved, guard) =
            (entry.length as usize, entry.reserved as usize, entry.guard);
        self.unmap_pages(number, pages)?;
        self.give_run_space(client, number - guard, reserved + guard as usize)?;
        Ok(pages)
    }
}
