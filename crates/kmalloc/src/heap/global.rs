// SPDX-License-Identifier: BSD-2-Clause
//! The heap as it runs in production: the fast paths as the global allocator of a Rust program, and under kmalloc.

use super::Heap;
use super::slow::Kind;
use crate::Error;
use crate::source::Source;
use crate::threading::Threading;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::PAGE_SIZE;
use kmalloc_bucket::resident::slots::{BUCKET_MASK_MAX, SizeClasses, mask_of};

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// Takes and returns what `alloc` does, in the same registers, so that the fast path has nothing to move.
    #[cold]
    #[inline(never)]
    fn alloc_slow_or_null(&self, layout: Layout) -> *mut u8 {
        match self.alloc_slow(layout.size(), layout.align()) {
            Ok((block, _)) => block.as_ptr(),
            Err(_) => ptr::null_mut(),
        }
    }

    /// As `realloc_slow`, with the arguments of `realloc`.
    ///
    /// # Safety
    ///
    /// As [`GlobalAlloc::realloc`].
    #[cold]
    #[inline(never)]
    unsafe fn realloc_slow_or_null(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller says.
        let moved = unsafe {
            let block = NonNull::new_unchecked(block);
            self.realloc_slow(block, layout.size(), size, layout.align())
        };
        moved.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    /// Whether the block lies in a segment of the running thread.
    ///
    /// # Safety
    ///
    /// `block` is a block of this heap in use.
    #[inline(always)]
    unsafe fn is_own_resident(&self, block: NonNull<u8>) -> bool {
        // SAFETY: as the caller says.
        unsafe { self.source().is_resident(block.addr().get()) && self.is_own(block) }
    }

    /// Grows a block of whole pages to serve a request with this mask; `false` if that is not quickly done.
    ///
    /// # Safety
    ///
    /// `block` is a block of this heap in use.
    #[inline(always)]
    unsafe fn grow_quickly(&self, block: NonNull<u8>, mask: usize) -> bool {
        // SAFETY: the block lies in an open segment, and the part is this thread's own.
        unsafe {
            self.is_own_resident(block)
                && (*self.local()).run_grow_quickly(
                    block,
                    mask / PAGE_SIZE + 1,
                    C::GEOMETRY.largest(),
                )
        }
    }

    /// As `free_slow`, with the arguments of `dealloc`.
    ///
    /// # Safety
    ///
    /// `block` is a block of this heap in use, which the caller gives up.
    #[cold]
    #[inline(never)]
    unsafe fn dealloc_slow(&self, block: *mut u8) {
        // SAFETY: as the caller says.
        unsafe {
            let block = NonNull::new_unchecked(block);
            let quickly = self.is_own_resident(block)
                && (*self.local()).run_free_quickly(block, C::GEOMETRY.largest());
            let freed = quickly || self.free_slow(block).is_ok();
            debug_assert!(freed);
        }
    }
}

/// What kmalloc and its family are made of.
impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// A block, and whether its bytes are known to be zero.
    #[inline(always)]
    pub(super) fn allocate(&self, size: usize, align: usize) -> Result<(NonNull<u8>, bool), Error> {
        match self.pop(mask_of(size, align)) {
            Some(block) => Ok((block, false)),
            None => self.alloc_slow(size, align),
        }
    }

    /// # Safety
    ///
    /// As [`Heap::kfree`].
    #[inline(always)]
    pub(super) unsafe fn free(&self, block: NonNull<u8>) -> Result<(), Error> {
        // SAFETY: as the caller says.
        unsafe {
            let kind = self.kind_of(block)?;
            if !self.push(block, kind.size(), kind.size() - 1) {
                return self.free_slow(block);
            }
            if let Kind::Bucket { .. } = kind {
                let part = T::current(&self.main);
                let countdown = &raw mut (*(*part).local.get()).frees_until_collect;
                *countdown -= 1;
                if *countdown == 0 {
                    self.maintain(&*part);
                }
            }
            Ok(())
        }
    }

    /// # Safety
    ///
    /// As [`Heap::ksize`].
    #[inline(always)]
    pub(super) unsafe fn usable_size(&self, block: NonNull<u8>) -> Result<usize, Error> {
        // SAFETY: as the caller says.
        Ok(unsafe { self.kind_of(block)? }.size())
    }

    /// # Safety
    ///
    /// As [`Heap::realloc_slow`].
    pub(super) unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        kept: usize,
        size: usize,
        align: usize,
    ) -> Result<NonNull<u8>, Error> {
        // SAFETY: as the caller says.
        unsafe { self.realloc_slow(block, kept, size, align) }
    }
}

// SAFETY: blocks are as large and as aligned as their layout says (`slots::mask_of`), and disjoint; nothing unwinds.
unsafe impl<S: Source, T: Threading, C: SizeClasses> GlobalAlloc for Heap<S, T, C> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.pop(mask_of(layout.size(), layout.align())) {
            Some(block) => block.as_ptr(),
            None => self.alloc_slow_or_null(layout),
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` is a block of this heap that was allocated with this layout.
        unsafe {
            let mask = mask_of(layout.size(), layout.align());
            if !self.push(NonNull::new_unchecked(block), layout.size(), mask) {
                self.dealloc_slow(block);
            }
        }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (block, zero) = match self.pop(mask_of(layout.size(), layout.align())) {
            Some(block) => (block, false),
            None => match self.alloc_slow(layout.size(), layout.align()) {
                Ok(allocated) => allocated,
                Err(_) => return ptr::null_mut(),
            },
        };
        if !zero {
            // SAFETY: the block has at least that many bytes.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block.as_ptr()
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: `block` is a block of this heap that was allocated with this layout.
        unsafe {
            let new = mask_of(size, layout.align());
            if new > BUCKET_MASK_MAX {
                if self.grow_quickly(NonNull::new_unchecked(block), new) {
                    return block;
                }
            } else {
                let old = mask_of(layout.size(), layout.align());
                if old <= BUCKET_MASK_MAX && C::slot_of(old) == C::slot_of(new) {
                    return block;
                }
            }
            self.realloc_slow_or_null(block, layout, size)
        }
    }
}
