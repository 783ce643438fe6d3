// SPDX-License-Identifier: BSD-2-Clause
//! Regions of memory, and what each cost.

use core::arch::x86_64::_rdtsc;
use core::ptr::NonNull;
use kmalloc::{Error, ServerSource, Source};

/// What regions are filled with.
const PATTERN: u64 = 0x5ec2_e75e_c2e7;
/// Regions at the most; an array of them is on the stack.
const COUNT_MAX: usize = 400;

#[inline(always)]
fn now() -> u64 {
    // SAFETY: every x86_64 processor has a time-stamp counter, and seL4 lets programs read it.
    unsafe { _rdtsc() }
}

/// Whether costs are instructions, as under `--icount`: then doing nothing always costs the same.
pub fn are_instructions_counted() -> bool {
    let nothing = || {
        let before = now();
        now() - before
    };
    let first = nothing();
    (0..100).all(|_| nothing() == first)
}

/// A region.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    start: NonNull<u64>,
    bytes: usize,
    /// What the call for it cost.
    pub cost: u64,
}

impl Region {
    fn words(&self) -> &[u64] {
        // SAFETY: the region is mapped, initialised, and this program's alone; nobody writes to it meanwhile.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.bytes / 8) }
    }

    /// Whether all of it is zero.
    pub fn is_zero(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    fn give(self) {
        // SAFETY: the region is used no more.
        unsafe { ServerSource::new().large_free(self.start.cast(), self.bytes) }
    }
}

/// No region.
const NONE: Region = Region {
    start: NonNull::dangling(),
    bytes: 0,
    cost: 0,
};

/// The regions that a test has.
pub struct Regions {
    regions: [Region; COUNT_MAX],
    count: usize,
}

impl Regions {
    /// None yet.
    pub const fn new() -> Regions {
        Regions {
            regions: [NONE; COUNT_MAX],
            count: 0,
        }
    }

    /// All of them; whose place is behind another's was taken later.
    pub fn all(&mut self) -> &mut [Region] {
        &mut self.regions[..self.count]
    }

    /// Whether no more can be taken, whatever memory there is.
    pub fn is_full(&self) -> bool {
        self.count == COUNT_MAX
    }

    /// Takes one more.
    pub fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let limit = COUNT_MAX as u64;
        let place = self.regions.get_mut(self.count);
        let place = place.ok_or(Error::OutOfSlots { limit })?;
        let before = now();
        let start = ServerSource::new().large_alloc(bytes, 1)?;
        let cost = now() - before;
        *place = Region {
            start: start.cast(),
            bytes,
            cost,
        };
        self.count += 1;
        Ok(())
    }

    /// Whether all are zero.
    pub fn are_zero(&mut self) -> bool {
        self.all().iter().all(Region::is_zero)
    }

    /// Writes to all of them.
    pub fn fill(&mut self) {
        for region in self.all() {
            // SAFETY: as in `Region::words`, and nobody reads it meanwhile.
            unsafe { core::slice::from_raw_parts_mut(region.start.as_ptr(), region.bytes / 8) }
                .fill(PATTERN);
        }
    }

    /// Gives all back.
    pub fn give_all(&mut self) {
        for region in self.all() {
            region.give();
        }
        self.count = 0;
    }

    /// Gives back up to `count` of this size; how many that were.
    pub fn give_of_size(&mut self, bytes: usize, count: usize) -> usize {
        let mut given = 0;
        let mut index = 0;
        while index < self.count {
            if self.regions[index].bytes == bytes && given < count {
                self.regions[index].give();
                self.count -= 1;
                self.regions[index] = self.regions[self.count];
                given += 1;
            } else {
                index += 1;
            }
        }
        given
    }
}
