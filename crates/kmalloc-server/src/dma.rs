// SPDX-License-Identifier: BSD-2-Clause
//! DMA memory: physically contiguous, exactly the pages asked for, guard pages around it.

use crate::Server;
use crate::kernel::{ClientIndex, Kernel, Mapping};
use crate::memory::bytes;
use crate::physical::{
    CHUNK_PAGES, Chunk, LARGE_PAGES, Large, PAGE_BITS, Page, RunRequest, by_chunk,
};
use crate::run::RunPlan;
use crate::segments::{SEGMENT_PAGES, address_of, place_of};
use core::ops::Range;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::window::{WINDOW_SIZE_BITS, Window};
use kmalloc_protocol::{Cache, Error, Reply, Response, SIZE_MAX};

/// A request for DMA memory, as it came.
#[derive(Clone, Copy)]
pub(crate) struct DmaRequest {
    pub size: u64,
    pub max_addr: u64,
    pub align_bits: u8,
    pub boundary_bits: u8,
    pub cache: u8,
}

impl DmaRequest {
    /// The run that would do, and how it is to be mapped.
    fn check(&self) -> Result<(RunRequest, Cache), Error> {
        if self.size == 0 || self.size > SIZE_MAX {
            return Err(Error::BadSize { size: self.size });
        }
        let cache = Cache::from_number(self.cache).ok_or(Error::BadAlignment {
            value: u64::from(self.cache),
        })?;
        let (align_bits, boundary_bits) =
            (u32::from(self.align_bits), u32::from(self.boundary_bits));
        if align_bits > WINDOW_SIZE_BITS {
            return Err(Error::BadAlignment {
                value: u64::from(align_bits),
            });
        }
        let pages = (self.size as usize).div_ceil(PAGE_SIZE);
        // A boundary below a page or below the size can't be kept.
        let crosses =
            !(PAGE_BITS..=63).contains(&boundary_bits) || bytes(pages) > 1 << boundary_bits;
        if boundary_bits != 0 && crosses {
            return Err(Error::BadAlignment {
                value: u64::from(boundary_bits),
            });
        }
        let run = RunRequest {
            pages,
            align_pages: 1 << align_bits.saturating_sub(PAGE_BITS),
            max_addr: self.max_addr,
            boundary_pages: if boundary_bits == 0 {
                0
            } else {
                1 << (boundary_bits - PAGE_BITS)
            },
        };
        Ok((run, cache))
    }
}

/// The large page that begins with this page.
fn large_at(page: usize) -> Large {
    Page(page as u32).chunk().large()
}

impl<K: Kernel> Server<K> {
    pub(crate) fn kmalloc_dma(&mut self, client: ClientIndex, request: &DmaRequest) -> Response {
        let (run, cache) = request.check()?;
        self.check_supply(client, run.pages)?;
        if let Some(response) = self.large_dma(client, &run, cache) {
            return response;
        }
        self.check_slots(client, run.pages)?;
        let frames = self.take_dma_run(client, &run)?;
        let plan = RunPlan {
            // A page before and a page behind: what a driver or device writes past the end hits nobody.
            reserve: run.pages + 1,
            guard: 1,
            align: 1,
            how: Mapping {
                writable: true,
                cache,
            },
            frames: Some(frames.clone()),
            large: false,
            ..RunPlan::pages(Window::Dma, run.pages)
        };
        let mapped = self.map_run(client, &plan);
        if mapped.is_err() {
            self.give_unmapped(client, frames.clone());
        }
        self.dma_response(client, mapped?, frames)
    }

    fn dma_response(&mut self, client: ClientIndex, number: u32, frames: Range<usize>) -> Response {
        if self.io_levels != 0
            && let Err(error) = self.let_functions_reach(client, number, frames.len())
        {
            self.release_run(client, number)?;
            return Err(error);
        }
        self.client_mut(client)?.counters.dma_pages += frames.len() as u64;
        Ok(Reply::Dma {
            address: address_of(Window::Dma, number) as u64,
            dma_addr: self.physical.address_of(Page(frames.start as u32)),
            size: bytes(frames.len()),
        })
    }

    /// A run of 2 MiB and more out of whole large pages, each mapped as one frame, with pages for what is left over behind
    /// the last; `None` where that can't be had, and pages alone may do.
    fn large_dma(
        &mut self,
        client: ClientIndex,
        run: &RunRequest,
        cache: Cache,
    ) -> Option<Response> {
        let larges = run.pages / LARGE_PAGES;
        // What is set aside can be had at any time; a large page that comes back has to be cleaned first.
        if larges == 0 || self.client_mut(client).ok()?.reserved_pages > 0 {
            return None;
        }
        if self.needs_small_pages(client) {
            return None;
        }
        let frames = self.physical.find_large_run(run)?;
        let rest = frames.start + larges * LARGE_PAGES..frames.end;
        self.check_slots(client, larges + rest.len()).ok()?;
        let plan = RunPlan {
            reserve: run.pages + 1,
            // Whole segments before it as well, so that the frames' addresses are multiples of their size.
            guard: SEGMENT_PAGES,
            align: 1,
            how: Mapping {
                writable: true,
                cache,
            },
            frames: Some(frames.clone()),
            ..RunPlan::pages(Window::Dma, run.pages)
        };
        if let Err(error) = self.take_dma_pages(client, rest.clone()) {
            return Some(Err(error));
        }
        // Tables and ledgers are made of other memory, or can't be had.
        let held = || {
            (frames.start..rest.start)
                .step_by(LARGE_PAGES)
                .map(large_at)
        };
        held().for_each(|large| self.physical.hold_large(large));
        match self.map_run(client, &plan) {
            Ok(number) => Some(self.dma_response(client, number, frames)),
            Err(error) => {
                held().for_each(|large| self.physical.let_go_large(large));
                self.give_unmapped(client, rest);
                // There may be address space for pages yet.
                (!matches!(error, Error::OutOfSlots { .. })).then_some(Err(error))
            }
        }
    }

    /// Takes a run, zeroed and charged to the client; pages of others are moved where that helps and is allowed.
    fn take_dma_run(
        &mut self,
        client: ClientIndex,
        run: &RunRequest,
    ) -> Result<Range<usize>, Error> {
        let Some(frames) = self.find_dma_run(run) else {
            let own = self.client_mut(client)?.set_aside();
            let room = self.make_room(run)?;
            let frames = room.ok_or_else(|| self.why_no_run(run, own))?;
            self.commit(client, run.pages, run.pages);
            return Ok(frames);
        };
        self.take_dma_pages(client, frames.clone())?;
        Ok(frames)
    }

    /// Takes these free pages, zeroed and charged to the client.
    fn take_dma_pages(&mut self, client: ClientIndex, pages: Range<usize>) -> Result<(), Error> {
        let chunk = Page(pages.start as u32).chunk();
        let is_chunk = chunk.pages() == pages;
        if is_chunk && self.physical.is_clean_chunk(chunk) {
            self.take_fresh_chunk(chunk)?;
        } else if is_chunk && self.physical.is_ready_chunk(chunk) {
            self.take_ready(pages.clone());
        } else {
            for (_, pages) in by_chunk(pages.clone()) {
                while let Some(step) = self.physical.next_step_for_run(pages.clone()) {
                    self.carry_out(step)?;
                }
            }
            self.physical.take_run(pages.clone());
        }
        self.commit(client, pages.len(), pages.len());
        Ok(())
    }

    /// The highest free run that would do. Of whole chunks where they are asked for and there are any: other places
    /// would break up two chunks more.
    fn find_dma_run(&self, run: &RunRequest) -> Option<Range<usize>> {
        let chunks = RunRequest {
            align_pages: run.align_pages.max(CHUNK_PAGES),
            ..*run
        };
        if run.pages == CHUNK_PAGES && run.align_pages <= CHUNK_PAGES {
            let ready = self.physical.ready_chunk();
            let chunk = ready.or_else(|| self.physical.fresh_chunk());
            let start_max = run.max_addr.checked_sub(bytes(CHUNK_PAGES) - 1);
            let is_low = |chunk: &Chunk| {
                start_max.is_some_and(|max| self.physical.address_of(chunk.first_page()) <= max)
            };
            if let Some(chunk) = chunk.filter(is_low) {
                // No boundary that the run could keep lies inside a chunk.
                return Some(chunk.pages());
            }
        }
        let are_chunks = run.pages.is_multiple_of(CHUNK_PAGES);
        let found = are_chunks.then(|| self.physical.find_run(&chunks));
        found.flatten().or_else(|| self.physical.find_run(run))
    }

    /// Frees those frames of a run that had not been mapped when it failed.
    fn give_unmapped(&mut self, client: ClientIndex, frames: Range<usize>) {
        for index in frames {
            let page = Page(index as u32);
            if !self.physical.is_free(page) {
                self.refund(client, 1, 1);
                self.physical.give_clean_page(page);
            }
        }
    }

    pub(crate) fn kfree_dma(&mut self, client: ClientIndex, address: u64) -> Response {
        if address == 0 {
            return Ok(Reply::Done);
        }
        if Window::of(address as usize) != Some(Window::Dma) {
            return Err(self.refuse_window(client, address));
        }
        let (number, pages) = self.find_run(client, Window::Dma, address)?;
        debug_assert_eq!(place_of(address as usize).0, number / 512);
        if self.io_levels != 0 {
            self.end_reach(number, pages)?;
        }
        self.release_run(client, number)?;
        self.client_mut(client)?.counters.dma_pages -= pages as u64;
        Ok(Reply::Done)
    }
}
