// SPDX-License-Identifier: BSD-2-Clause
//! The two ways to get a block.

use core::ptr::NonNull;
use kmalloc::{Error, Flags, Heap, ServerSource, served};

// SAFETY: this program has one thread.
static HEAP: Heap<ServerSource> = unsafe { Heap::single_threaded(ServerSource::new()) };

/// Gives back what the resident heap does not use.
pub fn trim() {
    HEAP.trim();
}

/// A way to get a block.
pub trait Way {
    /// What it is called.
    fn name(&self) -> &'static str;
    fn kmalloc(&self, size: usize, flags: Flags) -> Result<NonNull<u8>, Error>;
    fn kcalloc(&self, count: usize, size: usize, flags: Flags) -> Result<NonNull<u8>, Error>;
    /// # Safety
    ///
    /// `block` is null or a block got this way; unless this fails, it is used no more.
    unsafe fn krealloc(
        &self,
        block: *mut u8,
        size: usize,
        flags: Flags,
    ) -> Result<Option<NonNull<u8>>, Error>;
    /// # Safety
    ///
    /// `block` is null or a block got this way, and used no more.
    unsafe fn kfree(&self, block: *mut u8) -> Result<(), Error>;
}

/// One call to the server each.
pub struct Served;

impl Way for Served {
    fn name(&self) -> &'static str {
        "served"
    }

    fn kmalloc(&self, size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
        served::kmalloc(size, flags)
    }

    fn kcalloc(&self, count: usize, size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
        served::kcalloc(count, size, flags)
    }

    unsafe fn krealloc(
        &self,
        block: *mut u8,
        size: usize,
        flags: Flags,
    ) -> Result<Option<NonNull<u8>>, Error> {
        // SAFETY: as the caller says.
        unsafe { served::krealloc(block, size, flags) }
    }

    unsafe fn kfree(&self, block: *mut u8) -> Result<(), Error> {
        // SAFETY: as the caller says.
        unsafe { served::kfree(block) }
    }
}

/// From the heap in the program.
pub struct Resident;

impl Way for Resident {
    fn name(&self) -> &'static str {
        "resident"
    }

    fn kmalloc(&self, size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
        HEAP.kmalloc(size, flags)
    }

    fn kcalloc(&self, count: usize, size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
        HEAP.kcalloc(count, size, flags)
    }

    unsafe fn krealloc(
        &self,
        block: *mut u8,
        size: usize,
        flags: Flags,
    ) -> Result<Option<NonNull<u8>>, Error> {
        // SAFETY: as the caller says.
        unsafe { HEAP.krealloc(NonNull::new(block), size, flags) }
    }

    unsafe fn kfree(&self, block: *mut u8) -> Result<(), Error> {
        match NonNull::new(block) {
            // SAFETY: as the caller says.
            Some(block) => unsafe { HEAP.kfree(block) },
            None => Ok(()),
        }
    }
}
