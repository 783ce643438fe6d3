// SPDX-License-Identifier: BSD-2-Clause
//! What all threads of a heap use together: the source, one call at a time, and the books of the large blocks.

use crate::Error;
use crate::large::Large;
use crate::source::{Region, Source};
use core::ptr::NonNull;
use spin::Mutex;

/// The shared part of a heap.
pub(crate) struct Shared<S> {
    source: S,
    /// Held during every call of the source but `region_of`. None of the fast paths takes it.
    large: Mutex<Large>,
    /// What the checked mode hides its words with.
    #[cfg(feature = "checked")]
    pub secret: crate::checked::Secret,
}

impl<S: Source> Shared<S> {
    pub const fn new(source: S) -> Shared<S> {
        Shared {
            source,
            large: Mutex::new(Large::new()),
            #[cfg(feature = "checked")]
            secret: crate::checked::Secret::new(),
        }
    }

    pub fn source(&self) -> &S {
        &self.source
    }

    #[inline(always)]
    pub fn region_of(&self, block: NonNull<u8>) -> Option<Region> {
        self.source.region_of(block.addr().get())
    }

    pub fn segment_open(&self, bytes: usize) -> Result<NonNull<u8>, Error> {
        let _alone = self.large.lock();
        self.source.segment_open(bytes)
    }

    /// # Safety
    ///
    /// As [`Source::segment_map`].
    pub unsafe fn segment_map(&self, at: NonNull<u8>, bytes: usize) -> Result<(), Error> {
        let _alone = self.large.lock();
        // SAFETY: as the caller says.
        unsafe { self.source.segment_map(at, bytes) }
    }

    /// # Safety
    ///
    /// As [`Source::segment_unmap`].
    pub unsafe fn segment_unmap(&self, at: NonNull<u8>, bytes: usize) {
        let _alone = self.large.lock();
        // SAFETY: as the caller says.
        unsafe { self.source.segment_unmap(at, bytes) }
    }

    /// # Safety
    ///
    /// As [`Source::segment_close`].
    pub unsafe fn segment_close(&self, segment: NonNull<u8>) {
        let _alone = self.large.lock();
        // SAFETY: as the caller says.
        unsafe { self.source.segment_close(segment) }
    }

    pub fn large_alloc(&self, bytes: usize, align: usize) -> Result<(NonNull<u8>, bool), Error> {
        self.large.lock().alloc(&self.source, bytes, align)
    }

    pub fn large_size_of(&self, block: NonNull<u8>) -> Option<usize> {
        self.large.lock().size_of(block)
    }

    /// # Safety
    ///
    /// As [`Large::resize`].
    pub unsafe fn large_resize(
        &self,
        block: NonNull<u8>,
        bytes_new: usize,
    ) -> Result<NonNull<u8>, Error> {
        // SAFETY: as the caller says.
        unsafe { self.large.lock().resize(&self.source, block, bytes_new) }
    }

    /// # Safety
    ///
    /// As [`Large::free`].
    pub unsafe fn large_free(&self, block: NonNull<u8>) -> Result<(), Error> {
        // SAFETY: as the caller says.
        unsafe { self.large.lock().free(&self.source, block) }
    }

    /// As [`Large::look`].
    #[cfg(feature = "checked")]
    pub fn large_look(&self) -> bool {
        self.large.lock().look()
    }

    /// As [`Large::is_waiting`].
    #[cfg(feature = "checked")]
    pub fn large_is_waiting(&self, block: NonNull<u8>) -> bool {
        self.large.lock().is_waiting(block)
    }

    /// As [`Large::take_damaged`].
    #[cfg(feature = "checked")]
    pub fn large_take_damaged(&self) -> Option<(NonNull<u8>, usize)> {
        self.large.lock().take_damaged()
    }

    pub fn large_flush(&self) {
        self.large.lock().flush(&self.source);
    }
}
