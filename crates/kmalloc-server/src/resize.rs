// SPDX-License-Identifier: BSD-2-Clause
//! Another length for a run: in place, or by mapping its frames elsewhere. No byte is copied.

use crate::Server;
use crate::kernel::{ClientIndex, Kernel, Mapping, Slot};
use crate::physical::{Large, Page};
use crate::run::RunPlan;
use crate::segments::{SEGMENT_PAGES, address_of};
use kmalloc_bucket::ledger::NONE;
use kmalloc_protocol::Error;
use kmalloc_protocol::window::Window;

impl<K: Kernel> Server<K> {
    /// Another length for a run: in place where there is room, else by mapping its frames elsewhere. The number of its
    /// first page. A refusal leaves the run as it was.
    pub(crate) fn resize_run(
        &mut self,
        client: ClientIndex,
        window: Window,
        number: u32,
        wanted: usize,
    ) -> Result<u32, Error> {
        let Some(entry) = self.entry_at(number) else {
            return Ok(number);
        };
        let (pages, reserved) = (entry.length as usize, entry.reserved as usize);
        if wanted <= pages {
            return self.shrink_run(number, pages, wanted).map(|()| number);
        }
        self.check_supply(client, wanted - pages)?;
        let plan = RunPlan {
            reserve: wanted.max(reserved),
            ..RunPlan::pages(window, wanted)
        };
        // A block that grows to a power of two is promised its natural alignment; a large region is not.
        let is_aligned = window != Window::Served || (number as usize).is_multiple_of(plan.align);
        if is_aligned && (wanted <= reserved || self.extend_space(number, reserved, wanted)) {
            return self.grow_run(client, &plan, number, pages).map(|()| number);
        }
        self.move_run(client, window, number, wanted)
    }

    fn shrink_run(&mut self, number: u32, pages: usize, wanted: usize) -> Result<(), Error> {
        // A frame of 2 MiB stays whole: the run keeps what does not end at its edge.
        let mut keep = wanted;
        while keep < pages {
            let at = number + keep as u32;
            let segment = at / SEGMENT_PAGES as u32;
            let large = self
                .segments
                .get(segment)
                .is_some_and(|open| open.large != NONE);
            if !large || (at as usize).is_multiple_of(SEGMENT_PAGES) {
                break;
            }
            keep = keep + SEGMENT_PAGES - at as usize % SEGMENT_PAGES;
        }
        if keep < pages {
            self.unmap_pages(number + keep as u32, pages - keep)?;
        }
        if let Some(entry) = self.entry_at(number) {
            entry.length = keep.min(pages) as u32;
        }
        Ok(())
    }

    /// Takes the address space behind a run of one segment, where nobody has it.
    fn extend_space(&mut self, number: u32, reserved: usize, wanted: usize) -> bool {
        let (segment, page) = (
            number / SEGMENT_PAGES as u32,
            number as usize % SEGMENT_PAGES,
        );
        if page + wanted > SEGMENT_PAGES {
            return false;
        }
        let Some(open) = self.segments.get_mut(segment) else {
            return false;
        };
        if open.table == NONE || (page + reserved..page + wanted).any(|taken| !open.is_free(taken))
        {
            return false;
        }
        open.take_pages(page + reserved, wanted - reserved);
        true
    }

    /// Maps the pages `from ..` of a run that has the address space for them.
    fn grow_run(
        &mut self,
        client: ClientIndex,
        plan: &RunPlan,
        number: u32,
        from: usize,
    ) -> Result<(), Error> {
        let mut mapped = from;
        while mapped < plan.pages {
            match self.map_next(client, plan, number, mapped) {
                Ok(count) => mapped += count,
                Err(error) => {
                    self.unmap_pages(number + from as u32, mapped - from)?;
                    if let Some(entry) = self.entry_at(number) {
                        entry.reserved = entry.reserved.max(plan.reserve as u32);
                    }
                    return Err(error);
                }
            }
        }
        if let Some(entry) = self.entry_at(number) {
            entry.length = plan.pages as u32;
            entry.reserved = plan.reserve as u32;
        }
        Ok(())
    }

    /// Maps a run elsewhere, longer. First what is new is mapped behind the new place, which may fail and changes
    /// nothing then; after that the frames move one by one.
    fn move_run(
        &mut self,
        client: ClientIndex,
        window: Window,
        number: u32,
        wanted: usize,
    ) -> Result<u32, Error> {
        let Some(entry) = self.entry_at(number) else {
            return Ok(number);
        };
        // Runs with a guard are DMA memory, which has one length.
        let (pages, reserved) = (entry.length as usize, entry.reserved as usize);
        let align_bits = entry.align_bits;
        let reserve = if window == Window::Large {
            large_reserve(wanted)
        } else {
            wanted
        };
        // Pages move one by one or 2 MiB at once, in the same places of a segment; so does what is new.
        let natural = RunPlan::pages(window, wanted);
        let align = natural.align.max(1 << align_bits);
        let least = if align > SEGMENT_PAGES {
            SEGMENT_PAGES
        } else {
            1
        };
        let plan = RunPlan {
            reserve: reserve.max(least),
            align,
            ..natural
        };
        let target = self.take_run_space(client, &plan)?;
        let mut mapped = pages;
        while mapped < wanted {
            match self.map_next(client, &plan, target, mapped) {
                Ok(count) => mapped += count,
                Err(error) => {
                    self.unmap_pages(target + pages as u32, mapped - pages)?;
                    self.give_run_space(client, target, plan.space())?;
                    return Err(error);
                }
            }
        }
        if let Err(error) = self.move_pages(client, window, number, target, pages) {
            self.unmap_pages(target + pages as u32, wanted - pages)?;
            self.give_run_space(client, target, plan.space())?;
            return Err(error);
        }
        self.write_run_entries(target, &plan);
        self.give_run_space(client, number, reserved)?;
        Ok(target)
    }

    /// Moves the frames of `count` pages from one place to another; back again where the kernel refuses one.
    fn move_pages(
        &mut self,
        client: ClientIndex,
        window: Window,
        from: u32,
        to: u32,
        count: usize,
    ) -> Result<(), Error> {
        let mut moved = 0;
        while moved < count {
            match self.move_page(client, window, from + moved as u32, to + moved as u32) {
                Ok(pages) => moved += pages,
                Err(error) => {
                    let mut back = 0;
                    while back < moved {
                        back +=
                            self.move_page(client, window, to + back as u32, from + back as u32)?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Moves the frame at page `from` to page `to`; how many pages it has.
    fn move_page(
        &mut self,
        client: ClientIndex,
        window: Window,
        from: u32,
        to: u32,
    ) -> Result<usize, Error> {
        let (source, target) = (from / SEGMENT_PAGES as u32, to / SEGMENT_PAGES as u32);
        let (old, new) = (address_of(window, from), address_of(window, to));
        let vspace = Page(self.client_mut(client)?.vspace);
        let large = self.segments.get(source).map_or(NONE, |open| open.large);
        let (slot, first, pages) = if large != NONE {
            (
                Slot::LargeFrame(Large(large)),
                Page(Large(large).pages().start as u32),
                SEGMENT_PAGES,
            )
        } else {
            if self
                .segments
                .get(target)
                .is_none_or(|open| open.table == NONE)
            {
                self.give_table(client, window, target)?;
            }
            self.extend_ledger(client, target, to as usize % SEGMENT_PAGES + 1)?;
            let frame = Page(self.entry_at(from).map_or(NONE, |entry| entry.page));
            (Slot::Page(frame), frame, 1)
        };
        self.kernel.unmap_page(slot)?;
        if let Err(refused) = self.kernel.map_page(slot, vspace, new, Mapping::MEMORY) {
            self.kernel.map_page(slot, vspace, old, Mapping::MEMORY)?;
            return Err(refused.into());
        }
        self.set_place(first, (new >> 12) as u32);
        if large != NONE {
            if let Some(open) = self.segments.get_mut(source) {
                open.large = NONE;
            }
            if let Some(open) = self.segments.get_mut(target) {
                open.large = large;
            }
        }
        let moved = self.entry_at(from).map(|entry| {
            let was = *entry;
            entry.retire();
            was
        });
        if let (Some(was), Some(entry)) = (moved, self.entry_at(to)) {
            *entry = was;
        }
        Ok(pages)
    }
}

/// Pages of address space for a large region of `pages` pages, room to grow in place included.
pub(crate) fn large_reserve(pages: usize) -> usize {
    if pages <= SEGMENT_PAGES / 4 {
        (pages * 2).next_power_of_two()
    } else {
        (pages + pages.min(16 * SEGMENT_PAGES)).next_multiple_of(SEGMENT_PAGES)
    }
}
