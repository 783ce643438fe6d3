// SPDX-License-Identifier: BSD-2-Clause
//! The server as the heap's source, with a note of everything that it has mapped for the heap.

use core::ptr::NonNull;
use kmalloc::{Error, Region, ServerSource, Source};
use spin::Mutex;

/// Ranges that can be noted at once.
const RANGES_MAX: usize = 64;

/// A range of the heap's memory: where it begins, and how many bytes it has.
#[derive(Clone, Copy)]
pub struct Range(pub NonNull<u8>, pub usize);

// SAFETY: it is a note of where memory is; the one thread there is uses it.
unsafe impl Send for Range {}

/// The source.
pub struct Recorder {
    server: ServerSource,
    ranges: Mutex<[Option<Range>; RANGES_MAX]>,
}

impl Recorder {
    pub const fn new() -> Recorder {
        Recorder {
            server: ServerSource::new(),
            ranges: Mutex::new([None; RANGES_MAX]),
        }
    }

    /// All that is mapped for the heap.
    pub fn ranges(&self) -> [Option<Range>; RANGES_MAX] {
        *self.ranges.lock()
    }

    /// Notes a range that was mapped.
    fn add(&self, at: NonNull<u8>, bytes: usize) {
        let mut ranges = self.ranges.lock();
        let vacant = ranges.iter_mut().find(|range| range.is_none());
        *vacant.expect("too many ranges to note") = Some(Range(at, bytes));
    }

    /// Forgets what lies between these addresses. This program gives back what was mapped at once, or with all its segment.
    fn remove(&self, at: NonNull<u8>, bytes: usize) {
        for range in self.ranges.lock().iter_mut() {
            if let Some(Range(start, _)) = range
                && start.addr().get().wrapping_sub(at.addr().get()) < bytes
            {
                *range = None;
            }
        }
    }
}

// SAFETY: the server's source is one, and this one only takes notes.
unsafe impl Source for Recorder {
    fn segment_open(&self, bytes: usize) -> Result<NonNull<u8>, Error> {
        let segment = self.server.segment_open(bytes)?;
        self.add(segment, bytes);
        Ok(segment)
    }

    unsafe fn segment_map(&self, at: NonNull<u8>, bytes: usize) -> Result<(), Error> {
        // SAFETY: as the caller says.
        unsafe { self.server.segment_map(at, bytes)? };
        self.add(at, bytes);
        Ok(())
    }

    unsafe fn segment_unmap(&self, at: NonNull<u8>, bytes: usize) {
        self.remove(at, bytes);
        // SAFETY: as the caller says.
        unsafe { self.server.segment_unmap(at, bytes) };
    }

    unsafe fn segment_close(&self, segment: NonNull<u8>) {
        self.remove(segment, kmalloc::SEGMENT_SIZE);
        // SAFETY: as the caller says.
        unsafe { self.server.segment_close(segment) };
    }

    fn large_alloc(&self, bytes: usize, align: usize) -> Result<NonNull<u8>, Error> {
        let block = self.server.large_alloc(bytes, align)?;
        self.add(block, bytes);
        Ok(block)
    }

    unsafe fn large_resize(
        &self,
        block: NonNull<u8>,
        bytes_old: usize,
        bytes_new: usize,
    ) -> Result<NonNull<u8>, Error> {
        // SAFETY: as the caller says.
        let moved = unsafe { self.server.large_resize(block, bytes_old, bytes_new)? };
        self.remove(block, bytes_old);
        self.add(moved, bytes_new);
        Ok(moved)
    }

    unsafe fn large_free(&self, block: NonNull<u8>, bytes: usize) {
        self.remove(block, bytes);
        // SAFETY: as the caller says.
        unsafe { self.server.large_free(block, bytes) };
    }

    fn region_of(&self, address: usize) -> Option<Region> {
        self.server.region_of(address)
    }
}
