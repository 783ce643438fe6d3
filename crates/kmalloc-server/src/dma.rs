// SPDX-License-Identifier: BSD-2-Clause
//! DMA memory: physically contiguous, exactly the pages asked for, guard pages around it.

use crate::Server;
use crate::kernel::{ClientIndex, Kernel, Mapping};
use crate::memory::bytes;
use crate::physical::{PAGE_BITS, Page, RunRequest};
use crate::run::RunPlan;
use crate::segments::{address_of, place_of};
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

impl<K: Kernel> Server<K> {
    pub(crate) fn kmalloc_dma(&mut self, client: ClientIndex, request: &DmaRequest) -> Response {
        let (run, cache) = request.check()?;
        self.check_supply(client, run.pages)?;
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
        match self.map_run(client, &plan) {
            Ok(number) => {
                self.client_mut(client)?.counters.dma_pages += run.pages as u64;
                Ok(Reply::Dma {
                    address: address_of(Window::Dma, number) as u64,
                    dma_addr: self.physical.address_of(Page(frames.start as u32)),
                    size: bytes(run.pages),
                })
            }
            Err(error) => {
                self.give_unmapped(client, frames);
                Err(error)
            }
        }
    }

    /// Takes a run, zeroed and charged to the client; pages of others are moved where that helps and is allowed.
    fn take_dma_run(
        &mut self,
        client: ClientIndex,
        run: &RunRequest,
    ) -> Result<Range<usize>, Error> {
        let Some(frames) = self.physical.find_run(run) else {
            let own = self.client_mut(client)?.set_aside();
            let room = self.make_room(run)?;
            let frames = room.ok_or_else(|| self.why_no_run(run, own))?;
            self.commit(client, run.pages, run.pages);
            return Ok(frames);
        };
        while let Some(step) = self.physical.next_step_for_run(frames.clone()) {
            self.carry_out(step)?;
        }
        self.commit(client, run.pages, run.pages);
        self.physical.take_run(frames.clone());
        Ok(frames)
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
        let (number, _) = self.find_run(client, Window::Dma, address)?;
        debug_assert_eq!(place_of(address as usize).0, number / 512);
        let pages = self.release_run(client, number)?;
        self.client_mut(client)?.counters.dma_pages -= pages as u64;
        Ok(Reply::Done)
    }
}
