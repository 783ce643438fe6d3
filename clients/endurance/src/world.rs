// SPDX-License-Identifier: BSD-2-Clause
//! The blocks in use, and what is known of them without the server.

use crate::HEAP;
use alloc::alloc::{Layout, dealloc};
use alloc::vec::Vec;
use client_test::{Failed, Outcome, check, ok};
use core::ptr::NonNull;
use kmalloc::{Error, Flags, served};
use kmalloc_bucket::size_class::{PAGE_SIZE, SizeClass};

/// Blocks in use at the most. The list of them is there before anything is measured, and never grows.
const BLOCKS_MAX: usize = 100_000;
/// Where each round's random numbers begin.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where blocks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The program's own heap.
    Resident,
    /// The server, a request each.
    Served,
}

struct Block {
    address: NonNull<u8>,
    size: usize,
}

/// The blocks in use.
pub struct World {
    way: Way,
    live: Vec<Block>,
    /// Bytes in use: those asked for of the resident heap, the usable ones of served blocks.
    pub used: u64,
    /// The most of it.
    pub used_peak: u64,
    /// The least of it when the account was full; the largest number there is if it never was.
    pub full_least: u64,
    /// Blocks taken and freed so far.
    pub operations: u64,
    /// Blocks that could not be had.
    pub refusals: u64,
    state: u64,
}

impl World {
    /// With the list of blocks, which is in the heap, and no blocks.
    pub fn new(way: Way) -> World {
        World {
            way,
            live: Vec::with_capacity(BLOCKS_MAX),
            used: 0,
            used_peak: 0,
            full_least: u64::MAX,
            operations: 0,
            refusals: 0,
            state: SEED,
        }
    }

    /// Where its blocks come from.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Blocks in use.
    pub fn count(&self) -> usize {
        self.live.len()
    }

    /// Each round has the same random numbers.
    pub fn begin_round(&mut self) {
        self.state = SEED;
    }

    /// A number below `end`, which is not 0.
    pub fn random(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % end as u64) as usize
    }

    /// What a block of `size` bytes counts for.
    fn counted(&self, size: usize) -> u64 {
        let bytes = match self.way {
            Way::Resident => size,
            Way::Served => match SizeClass::of(size, 1) {
                Some(class) => class.block_size(),
                None => size.next_multiple_of(PAGE_SIZE),
            },
        };
        bytes as u64
    }

    fn try_take(&mut self, size: usize) -> Result<(), Error> {
        let address = match self.way {
            Way::Resident => HEAP.kmalloc(size, Flags::empty()),
            Way::Served => served::kmalloc(size, Flags::empty()),
        }?;
        // SAFETY: every block has 16 bytes at least, and this one is nobody else's.
        unsafe { address.cast().write(mark(address, size)) };
        self.live.push(Block { address, size });
        self.operations += 1;
        self.used += self.counted(size);
        self.used_peak = self.used_peak.max(self.used);
        Ok(())
    }

    /// One more block, which must be had.
    pub fn take(&mut self, size: usize) -> Outcome {
        check!(self.live.len() < BLOCKS_MAX);
        ok!(self.try_take(size));
        Ok(())
    }

    /// One more block, if the account has room for it; whether it has.
    pub fn take_if_there_is_room(&mut self, size: usize) -> Result<bool, Failed> {
        check!(self.live.len() < BLOCKS_MAX);
        match self.try_take(size) {
            Ok(()) => Ok(true),
            Err(Error::OverQuota { .. }) => {
                self.refusals += 1;
                self.full_least = self.full_least.min(self.used);
                Ok(false)
            }
            Err(error) => Err(client_test::refused(&error, "over quota", line!())),
        }
    }

    /// Frees the block at this place of the list, where the last one comes to stand.
    pub fn free(&mut self, index: usize) -> Outcome {
        let Block { address, size } = self.live.swap_remove(index);
        // SAFETY: the block was in use until now, with 16 bytes at least.
        check!(unsafe { address.cast::<u64>().read() } == mark(address, size));
        self.operations += 1;
        self.used -= self.counted(size);
        // Programs free by both ways of the heap: one knows the size, and one has to find it.
        let layout = Layout::from_size_align(size, 1);
        match (self.way, layout) {
            (Way::Resident, Ok(layout)) if self.operations.is_multiple_of(2) => {
                // SAFETY: the block is on the list no more.
                unsafe { dealloc(address.as_ptr(), layout) };
            }
            (Way::Resident, _) => {
                // SAFETY: as above.
                ok!(unsafe { HEAP.kfree(address) });
            }
            (Way::Served, _) => {
                // SAFETY: as above.
                ok!(unsafe { served::kfree(address.as_ptr()) });
            }
        }
        Ok(())
    }

    /// Frees any of the blocks. There is one at least.
    pub fn free_any(&mut self) -> Outcome {
        let index = self.random(self.live.len());
        self.free(index)
    }

    /// Frees the last of the list until no more than `count` are left.
    pub fn free_to(&mut self, count: usize) -> Outcome {
        while self.live.len() > count {
            self.free(self.live.len() - 1)?;
        }
        Ok(())
    }
}

/// What stands in a block, and in no other.
fn mark(address: NonNull<u8>, size: usize) -> u64 {
    address.addr().get() as u64 ^ (size as u64) << 48
}
