// SPDX-License-Identifier: BSD-2-Clause
//! Books of the large blocks: how many bytes each has, and the few freed ones that are kept for the next request.

#[cfg(feature = "checked")]
mod checked;
mod table;

use crate::source::Source;
use crate::{Error, bad_pointer};
#[cfg(feature = "checked")]
pub(crate) use checked::prepare;
use core::ptr::NonNull;
pub(crate) use table::Table;

/// Freed blocks kept.
const CACHE_LENGTH: usize = 8;
/// Bytes of freed blocks kept, at most.
const CACHE_SIZE_MAX: usize = 8 << 20;
/// A kept block serves a request that is smaller by no more than this part of the block.
const CACHE_SLACK_FRACTION: usize = 8;

/// Large blocks of a heap.
pub(crate) struct Large {
    /// Bytes of each block that is in use.
    table: Table,
    /// Freed blocks and their bytes, the oldest first.
    cache: [Option<(NonNull<u8>, usize)>; CACHE_LENGTH],
    cached_bytes: usize,
    /// Freed blocks that something was written to, until that is reported.
    #[cfg(feature = "checked")]
    damaged: [Option<(NonNull<u8>, usize)>; CACHE_LENGTH],
}

// SAFETY: the blocks it names are reached through the one `Large` that names them.
unsafe impl Send for Large {}

impl Large {
    pub const fn new() -> Large {
        Large {
            table: Table::new(),
            cache: [None; CACHE_LENGTH],
            cached_bytes: 0,
            #[cfg(feature = "checked")]
            damaged: [None; CACHE_LENGTH],
        }
    }

    /// A block of `bytes`, and whether its bytes are known to be zero.
    pub fn alloc<S: Source>(
        &mut self,
        source: &S,
        bytes: usize,
        align: usize,
    ) -> Result<(NonNull<u8>, bool), Error> {
        self.table.reserve(source)?;
        if let Some((block, bytes)) = self.take_cached(bytes, align) {
            self.table.insert(block, bytes);
            return Ok((block, false));
        }
        let block = source.large_alloc(bytes, align)?;
        self.table.insert(block, bytes);
        Ok((block, true))
    }

    /// Bytes of a block in use; `None` if `block` is none.
    pub fn size_of(&self, block: NonNull<u8>) -> Option<usize> {
        self.table.get(block)
    }

    /// Makes the block `bytes_new` long; it may move.
    ///
    /// # Safety
    ///
    /// Nothing uses what lies above `bytes_new`, nor the block itself if it moves.
    pub unsafe fn resize<S: Source>(
        &mut self,
        source: &S,
        block: NonNull<u8>,
        bytes_new: usize,
    ) -> Result<NonNull<u8>, Error> {
        let bytes_old = self.table.get(block).ok_or_else(|| bad_pointer(block))?;
        // SAFETY: the block has `bytes_old`; the rest is the caller's promise.
        let moved = unsafe { source.large_resize(block, bytes_old, bytes_new)? };
        // The place that `block` leaves is enough for the new entry.
        self.table.remove(block);
        self.table.insert(moved, bytes_new);
        Ok(moved)
    }

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// If `block` is a block in use, nothing uses it any more.
    pub unsafe fn free<S: Source>(&mut self, source: &S, block: NonNull<u8>) -> Result<(), Error> {
        let bytes = self.table.remove(block).ok_or_else(|| bad_pointer(block))?;
        if bytes > CACHE_SIZE_MAX {
            // SAFETY: the block has `bytes`, and nothing uses it.
            unsafe { source.large_free(block, bytes) };
            return Ok(());
        }
        while self.cached_bytes + bytes > CACHE_SIZE_MAX || self.cache[CACHE_LENGTH - 1].is_some() {
            self.drop_oldest(source);
        }
        let place = self.cache.iter_mut().find(|place| place.is_none());
        *place.expect("the last place of the cache is empty") = Some((block, bytes));
        self.cached_bytes += bytes;
        Ok(())
    }

    /// Gives all kept blocks back, and the table if it is empty.
    pub fn flush<S: Source>(&mut self, source: &S) {
        while self.cache[0].is_some() {
            self.drop_oldest(source);
        }
        self.table.release_if_empty(source);
    }

    /// A kept block for a request of `bytes`. A power of two gets exactly its size: the lists of a thread rely on it.
    fn take_cached(&mut self, bytes: usize, align: usize) -> Option<(NonNull<u8>, usize)> {
        if cfg!(feature = "checked") {
            // Freed blocks wait, and are not used again.
            return None;
        }
        let place = self.cache.iter().rposition(|entry| {
            entry.is_some_and(|(block, size)| {
                let slack = if bytes.is_power_of_two() {
                    0
                } else {
                    size / CACHE_SLACK_FRACTION
                };
                size >= bytes && size - bytes <= slack && block.addr().get().is_multiple_of(align)
            })
        })?;
        self.take_place(place)
    }

    fn drop_oldest<S: Source>(&mut self, source: &S) {
        if let Some((block, bytes)) = self.take_place(0) {
            #[cfg(feature = "checked")]
            self.look_for_writes(block, bytes);
            // SAFETY: a kept block has that many bytes, and nothing uses it.
            unsafe { source.large_free(block, bytes) };
        }
    }

    fn take_place(&mut self, place: usize) -> Option<(NonNull<u8>, usize)> {
        let taken = self.cache[place].take()?;
        self.cache[place..].rotate_left(1);
        self.cached_bytes -= taken.1;
        Some(taken)
    }
}
