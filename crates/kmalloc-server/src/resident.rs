// SPDX-License-Identifier: BSD-2-Clause
//! Segments for the resident heap: 2 MiB of address space of which the client has pages mapped and unmapped as it goes.

use crate::Server;
use crate::kernel::{ClientIndex, Kernel};
use crate::memory::bytes;
use crate::run::RunPlan;
use crate::segments::{SEGMENT_PAGES, address_of, page_number, place_of};
use crate::statistics::Traced;
use core::ops::Range;
use kmalloc_bucket::ledger::{NONE, Use};
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Reply, Response};

impl<K: Kernel> Server<K> {
    /// Opens a segment and maps its first `size` bytes.
    pub(crate) fn open_segment_for(&mut self, client: ClientIndex, size: u64) -> Response {
        let pages = whole_pages(size)?;
        if pages > SEGMENT_PAGES {
            return Err(Error::BadSize { size });
        }
        let plan = RunPlan {
            reserve: SEGMENT_PAGES,
            align: SEGMENT_PAGES,
            // A frame of 2 MiB is never unmapped in part.
            large: pages == SEGMENT_PAGES,
            ..RunPlan::pages(Window::Resident, pages)
        };
        let number = self.map_run(client, &plan)?;
        let segment = number / SEGMENT_PAGES as u32;
        let by_pages = self
            .segments
            .get(segment)
            .is_some_and(|open| open.large == NONE);
        if by_pages && let Some(entry) = self.entry_at(number) {
            entry.usage = Use::Segment;
        }
        self.client_mut(client)?.counters.region_pages += pages as u64;
        Ok(Reply::Region {
            address: address_of(Window::Resident, number) as u64,
            size,
        })
    }

    /// Maps pages of an open segment, none of which is mapped.
    pub(crate) fn map_in_segment(
        &mut self,
        client: ClientIndex,
        address: u64,
        size: u64,
    ) -> Response {
        let (segment, range) = self.find_pages(client, address, size)?;
        if let Some(used) = self.first_page_where(segment, &range, |usage| usage != Use::Free) {
            return Err(Error::BadPointer {
                address: page_address(segment, used),
            });
        }
        self.check_supply(client, range.len())?;
        // Never by a frame of 2 MiB: the segment's first page is mapped.
        let plan = RunPlan::pages(Window::Resident, range.len());
        let first = page_number(segment, range.start);
        let mut mapped = 0;
        while mapped < range.len() {
            match self.map_next(client, &plan, first, mapped) {
                Ok(count) => mapped += count,
                Err(error) => {
                    self.unmap_pages(first, mapped)?;
                    return Err(error);
                }
            }
        }
        if self.traces {
            self.trace_run(client, Window::Resident, first, range.len(), Traced::Map);
        }
        self.count_pages(client, segment, range.len() as i64)?;
        Ok(Reply::Done)
    }

    /// Unmaps pages of an open segment, all of them mapped. The first page stays: it is the segment's mark.
    pub(crate) fn unmap_in_segment(
        &mut self,
        client: ClientIndex,
        address: u64,
        size: u64,
    ) -> Response {
        let (segment, range) = self.find_pages(client, address, size)?;
        if let Some(unused) = self.first_page_where(segment, &range, |usage| usage != Use::Tail) {
            return Err(Error::BadPointer {
                address: page_address(segment, unused),
            });
        }
        self.unmap_pages(page_number(segment, range.start), range.len())?;
        self.count_pages(client, segment, -(range.len() as i64))?;
        Ok(Reply::Done)
    }

    /// Takes a segment back, whatever part of it is mapped.
    pub(crate) fn release_segment(&mut self, client: ClientIndex, segment: u32) -> Response {
        let mapped = self.entry(segment, 0).map_or(0, |entry| entry.length);
        for page in 0..SEGMENT_PAGES {
            let usage = self
                .entry(segment, page)
                .map_or(Use::Free, |entry| entry.usage);
            if usage != Use::Free {
                self.unmap_pages(page_number(segment, page), 1)?;
            }
        }
        self.give_space(client, segment, 0, SEGMENT_PAGES)?;
        self.client_mut(client)?.counters.region_pages -= u64::from(mapped);
        Ok(Reply::Done)
    }

    /// The open segment that `address` lies in, if the client has it and its pages are mapped one by one.
    pub(crate) fn find_segment(&mut self, client: ClientIndex, address: u64) -> Result<u32, Error> {
        if Window::of(address as usize) != Some(Window::Resident) {
            return Err(self.refuse_window(client, address));
        }
        let (segment, page) = place_of(address as usize);
        let open = self.segments.get(segment);
        if !open.is_some_and(|open| open.is(client, Window::Resident)) {
            return Err(self.refuse_segment(client, address, segment, page));
        }
        match self.entry(segment, 0) {
            Some(entry) if entry.usage == Use::Segment => Ok(segment),
            Some(entry) if entry.usage != Use::Free => Err(Error::WrongKind { address }),
            _ => Err(Error::BadPointer { address }),
        }
    }

    /// The pages of an open segment that a request names.
    fn find_pages(
        &mut self,
        client: ClientIndex,
        address: u64,
        size: u64,
    ) -> Result<(u32, Range<usize>), Error> {
        let segment = self.find_segment(client, address)?;
        let pages = whole_pages(size)?;
        let (_, first) = place_of(address as usize);
        if !(address as usize).is_multiple_of(PAGE_SIZE) {
            return Err(Error::BadPointer { address });
        }
        if pages > SEGMENT_PAGES - first {
            return Err(Error::BadSize { size });
        }
        Ok((segment, first..first + pages))
    }

    /// The first page of a range whose use is as asked; a page without an entry is free.
    fn first_page_where(
        &mut self,
        segment: u32,
        range: &Range<usize>,
        wanted: impl Fn(Use) -> bool,
    ) -> Option<usize> {
        range.clone().find(|page| {
            let usage = self
                .entry(segment, *page)
                .map_or(Use::Free, |entry| entry.usage);
            wanted(usage)
        })
    }

    /// Counts pages mapped to, or unmapped from, an open segment.
    fn count_pages(&mut self, client: ClientIndex, segment: u32, pages: i64) -> Result<(), Error> {
        if let Some(entry) = self.entry(segment, 0) {
            entry.length = entry.length.wrapping_add_signed(pages as i32);
        }
        let counters = &mut self.client_mut(client)?.counters;
        counters.region_pages = counters.region_pages.wrapping_add_signed(pages);
        Ok(())
    }
}

fn page_address(segment: u32, page: usize) -> u64 {
    address_of(Window::Resident, page_number(segment, page)) as u64
}

/// Pages of a size that must be whole pages.
fn whole_pages(size: u64) -> Result<usize, Error> {
    if size == 0 || !size.is_multiple_of(bytes(1)) {
        return Err(Error::BadSize { size });
    }
    usize::try_from(size / bytes(1)).map_err(|_| Error::BadSize { size })
}
