// SPDX-License-Identifier: BSD-2-Clause
//! Regions for the resident heap: whole buckets and large regions that the client cuts and keeps the books of itself.

use crate::Server;
use crate::kernel::{ClientIndex, Kernel};
use crate::memory::bytes;
use crate::physical::PAGE_BITS;
use crate::resize::large_reserve;
use crate::run::RunPlan;
use crate::segments::{SEGMENT_PAGES, address_of, page_number, place_of};
use kmalloc_bucket::ledger::{Entry, Use};
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::window::{SEGMENT_SIZE_BITS, WINDOW_SIZE_BITS, Window};
use kmalloc_protocol::{Error, Reply, Response, SIZE_MAX};

impl<K: Kernel> Server<K> {
    /// `count` buckets of `2^size_bits` bytes, each aligned to its size, one behind the other.
    pub(crate) fn grant(&mut self, client: ClientIndex, size_bits: u8, count: u32) -> Response {
        let size_bits = u32::from(size_bits);
        if !(PAGE_BITS..=SEGMENT_SIZE_BITS).contains(&size_bits) {
            return Err(Error::BadAlignment {
                value: u64::from(size_bits),
            });
        }
        let size = u64::from(count) << size_bits;
        if size == 0 || size > SIZE_MAX {
            return Err(Error::BadSize { size });
        }
        let bucket_pages = 1 << (size_bits - PAGE_BITS);
        let pages = bucket_pages * count as usize;
        // A frame of 2 MiB can only go back whole: it serves buckets of just that size.
        let large = size_bits == SEGMENT_SIZE_BITS;
        let plan = RunPlan {
            align: bucket_pages,
            large,
            ..RunPlan::pages(Window::Resident, pages)
        };
        let number = self.map_run(client, &plan)?;
        // Address space behind the last bucket, up to the end of its segment, goes back with it.
        let behind = plan.space() - pages;
        for bucket in 0..count {
            let behind = if bucket == count - 1 { behind } else { 0 };
            let first = number + bucket * bucket_pages as u32;
            self.write_bucket_head(first, bucket_pages, bucket_pages + behind);
        }
        self.client_mut(client)?.counters.region_pages += pages as u64;
        Ok(Reply::Region {
            address: address_of(Window::Resident, number) as u64,
            size,
        })
    }

    fn write_bucket_head(&mut self, number: u32, pages: usize, reserved: usize) {
        if let Some(entry) = self.entry_at(number) {
            *entry = Entry {
                usage: Use::Head,
                length: pages as u32,
                reserved: reserved as u32,
                page: entry.page,
                ..Entry::default()
            };
        }
    }

    /// Whole pages with address space behind them.
    pub(crate) fn grant_large(
        &mut self,
        client: ClientIndex,
        size: u64,
        align_bits: u8,
    ) -> Response {
        let pages = region_pages(size)?;
        if u32::from(align_bits) > WINDOW_SIZE_BITS {
            return Err(Error::BadAlignment {
                value: u64::from(align_bits),
            });
        }
        let natural = RunPlan::pages(Window::Large, pages);
        let align = natural
            .align
            .max(1 << u32::from(align_bits).saturating_sub(PAGE_BITS));
        // An alignment of more than a segment takes whole segments.
        let least = if align > SEGMENT_PAGES {
            SEGMENT_PAGES
        } else {
            1
        };
        let plan = |reserve: usize| RunPlan {
            align,
            reserve: reserve.max(least),
            ..natural.clone()
        };
        let number = match self.map_run(client, &plan(large_reserve(pages))) {
            // Room to grow is a kindness: without it there may be room enough.
            Err(Error::OutOfSlots { .. }) => self.map_run(client, &plan(pages))?,
            other => other?,
        };
        let counters = &mut self.client_mut(client)?.counters;
        counters.region_pages += pages as u64;
        counters.large_pages += pages as u64;
        Ok(Reply::Region {
            address: address_of(Window::Large, number) as u64,
            size: bytes(pages),
        })
    }

    /// Another size for a large region.
    pub(crate) fn resize(&mut self, client: ClientIndex, address: u64, size: u64) -> Response {
        if self.segment_at(client, address).is_some() {
            return Err(Error::WrongKind { address });
        }
        let (window, number, pages) = self.find_region(client, address)?;
        if window != Window::Large {
            return Err(Error::WrongKind { address });
        }
        let wanted = region_pages(size)?;
        let moved = self.resize_run(client, window, number, wanted)?;
        let now = self
            .entry_at(moved)
            .map_or(wanted, |entry| entry.length as usize);
        let counters = &mut self.client_mut(client)?.counters;
        counters.region_pages = counters.region_pages - pages as u64 + now as u64;
        counters.large_pages = counters.large_pages - pages as u64 + now as u64;
        Ok(Reply::Region {
            address: address_of(window, moved) as u64,
            size: bytes(now),
        })
    }

    /// Takes a bucket, a segment or a large region back.
    pub(crate) fn release(&mut self, client: ClientIndex, address: u64) -> Response {
        if let Some(segment) = self.segment_at(client, address) {
            return self.release_segment(client, segment);
        }
        let (window, number, _) = self.find_region(client, address)?;
        let pages = self.release_run(client, number)?;
        let counters = &mut self.client_mut(client)?.counters;
        counters.region_pages -= pages as u64;
        if window == Window::Large {
            counters.large_pages -= pages as u64;
        }
        Ok(Reply::Done)
    }

    /// The open segment that begins at `address`, if the client has it and its pages are mapped one by one.
    fn segment_at(&mut self, client: ClientIndex, address: u64) -> Option<u32> {
        let begins = (address as usize).is_multiple_of(1 << SEGMENT_SIZE_BITS);
        let segment = self.find_segment(client, address).ok();
        segment.filter(|_| begins)
    }

    /// The bucket or large region that begins at `address`, if the client has it: window, first page, pages.
    fn find_region(
        &mut self,
        client: ClientIndex,
        address: u64,
    ) -> Result<(Window, u32, usize), Error> {
        let window = match Window::of(address as usize) {
            Some(window @ (Window::Resident | Window::Large)) => window,
            _ => return Err(self.refuse_window(client, address)),
        };
        let (number, pages) = self.find_run(client, window, address)?;
        Ok((window, number, pages))
    }

    /// The run of `window` that begins at `address`, if the client has it: first page, pages.
    pub(crate) fn find_run(
        &mut self,
        client: ClientIndex,
        window: Window,
        address: u64,
    ) -> Result<(u32, usize), Error> {
        let (segment, page) = place_of(address as usize);
        if !self
            .segments
            .get(segment)
            .is_some_and(|open| open.is(client, window))
        {
            return Err(self.refuse_segment(client, address, segment, page));
        }
        let aligned = (address as usize).is_multiple_of(PAGE_SIZE);
        match self.entry(segment, page) {
            Some(entry) if entry.usage == Use::Head && aligned => {
                Ok((page_number(segment, page), entry.length as usize))
            }
            Some(entry) if entry.usage == Use::Free && entry.history == Use::Head && aligned => {
                Err(Error::DoubleFree { address })
            }
            _ => Err(Error::BadPointer { address }),
        }
    }
}

pub(crate) fn region_pages(size: u64) -> Result<usize, Error> {
    if size == 0 || size > SIZE_MAX - bytes(SEGMENT_PAGES) {
        return Err(Error::BadSize { size });
    }
    Ok((size as usize).div_ceil(PAGE_SIZE))
}
