// SPDX-License-Identifier: BSD-2-Clause
//! The heap as an allocator of single collections.

use super::Heap;
use crate::source::Source;
use crate::threading::Threading;
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use kmalloc_bucket::resident::slots::SizeClasses;

// SAFETY: blocks stay valid until they are freed, wherever the reference to the heap goes.
unsafe impl<S: Source, T: Threading, C: SizeClasses> Allocator for &Heap<S, T, C> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            let dangling = core::ptr::without_provenance_mut(layout.align());
            // SAFETY: alignments are not 0.
            let dangling = unsafe { NonNull::new_unchecked(dangling) };
            return Ok(NonNull::slice_from_raw_parts(dangling, 0));
        }
        // SAFETY: the layout is not empty.
        let block = unsafe { self.alloc(layout) };
        let block = NonNull::new(block).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() > 0 {
            // SAFETY: the block was allocated with this layout, so `alloc` made it.
            unsafe { self.dealloc(block.as_ptr(), layout) };
        }
    }

    #[inline(always)]
    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as the caller says.
        unsafe { resize(self, block, old, new) }
    }

    #[inline(always)]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as the caller says.
        unsafe { resize(self, block, old, new) }
    }
}

/// # Safety
///
/// As [`Allocator::grow`] or [`Allocator::shrink`].
unsafe fn resize<S: Source, T: Threading, C: SizeClasses>(
    heap: &&Heap<S, T, C>,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    // SAFETY: as the caller says.
    unsafe {
        if old.align() == new.align() && old.size() > 0 && new.size() > 0 {
            let resized = heap.realloc(block.as_ptr(), old, new.size());
            let resized = NonNull::new(resized).ok_or(AllocError)?;
            return Ok(NonNull::slice_from_raw_parts(resized, new.size()));
        }
        let moved = heap.allocate(new)?;
        let kept = old.size().min(new.size());
        moved.cast::<u8>().copy_from_nonoverlapping(block, kept);
        heap.deallocate(block, old);
        Ok(moved)
    }
}
