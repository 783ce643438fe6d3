// SPDX-License-Identifier: BSD-2-Clause
//! The heap in checked mode, which finds a program's mistakes.
//!
//! It stands on the heap as it is, asks it for 16 bytes more a block, and keeps freed blocks in a queue a class before they
//! are used again. What is found: see [`Fault`]; by which words: see `crate::checked`. What is not: reads, writes that hit
//! what another block's owner may write, and writes to freed blocks that are gone: such a write faults where nothing is
//! mapped, and is the next owner's affair where something is.
//!
//! The heap's lists are empty but for the time of a `trim`: what has a link has its check.

mod inspect;
mod rest;

use super::Heap;
use super::slow::Kind;
use crate::checked::{Call, Fault, LINK_SIZE, State, TRAILER_SIZE, Trailer, report};
use crate::large::prepare;
use crate::source::Source;
use crate::tags::Number;
use crate::threading::Threading;
use crate::{Error, Tag};
use core::alloc::{GlobalAlloc, Layout};
use core::panic::Location;
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::slots::{BUCKET_MASK_MAX, SizeClasses, mask_of};

/// Bytes of a block on its way to its thread that hold its link.
const SENT_LINK_SIZE: usize = size_of::<usize>();

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// A block, and whether its bytes are known to be zero. It is known by the line that called.
    #[track_caller]
    pub(super) fn allocate(&self, size: usize, align: usize) -> Result<(NonNull<u8>, bool), Error> {
        self.allocate_for(size, align, Number::of_line(Location::caller()))
    }

    /// Has a block that was just allocated known by another tag.
    pub(super) fn retag(&self, block: NonNull<u8>, tag: &'static Tag) -> Result<(), Error> {
        // SAFETY: the caller has just allocated the block.
        let trailer = unsafe { Trailer::of(block, self.kind_of(block)?.size()) };
        if let State::Live(size) = trailer.state(&self.shared.secret) {
            let number = Number::of_tag(tag);
            trailer.number(&self.shared.secret).give(size);
            trailer.set_live(&self.shared.secret, size, number);
            number.take(size);
        }
        Ok(())
    }

    fn allocate_for(
        &self,
        size: usize,
        align: usize,
        number: Number,
    ) -> Result<(NonNull<u8>, bool), Error> {
        // With nothing but a trailer in it, a free block would have its link where that is.
        let size = size.max(1);
        let raw_size = size
            .checked_add(TRAILER_SIZE + 1)
            .ok_or(Error::BadSize { size: size as u64 })?
            - 1;
        let align = if size.is_power_of_two() {
            align.max(size)
        } else {
            align
        };
        let (block, zero) = self.take(raw_size, align)?;
        let mask = mask_of(raw_size, align);
        let block_size = if mask <= BUCKET_MASK_MAX {
            // Its page's tag says the same, unless someone wrote to it.
            C::GEOMETRY.bucket(C::slot_of(mask)).block_size
        } else {
            // SAFETY: the block was just allocated.
            unsafe { self.kind_of(block)?.size() }
        };
        // SAFETY: the block was just allocated.
        unsafe {
            let trailer = Trailer::of(block, block_size);
            trailer.set_live(&self.shared.secret, size, number);
        }
        number.take(size);
        Ok((block, zero))
    }

    /// A block that waited long enough, or one that was never used.
    fn take(&self, size: usize, align: usize) -> Result<(NonNull<u8>, bool), Error> {
        let mask = mask_of(size, align);
        if mask > BUCKET_MASK_MAX {
            return self.alloc_slow(size, align);
        }
        let slot = C::slot_of(mask);
        if let Some(block) = self.take_rested(slot)? {
            return Ok((block, false));
        }
        let part = self.current()?;
        {
            // SAFETY: the part is this thread's own.
            let local = unsafe { &mut *part.local.get() };
            if local.has_fresh(slot) {
                return Ok((local.refill(&self.shared, part, slot)?, false));
            }
        }
        match self.alloc_slow(size, align) {
            Ok(block) => Ok(block),
            // Before nothing is left, what waits need not wait any longer.
            Err(error) => Ok((self.take_waiting(slot, 0)?.ok_or(error)?, false)),
        }
    }

    /// # Safety
    ///
    /// As [`Heap::kfree`].
    pub(super) unsafe fn free(&self, block: NonNull<u8>) -> Result<(), Error> {
        // SAFETY: as the caller says; what is no block is refused.
        unsafe {
            let (kind, _) = self.inspect(block, Call::Free)?;
            self.free_inspected(block, kind)
        }
    }

    /// # Safety
    ///
    /// `block` is a block in use of this kind, which the caller gives up.
    unsafe fn free_inspected(&self, block: NonNull<u8>, kind: Kind) -> Result<(), Error> {
        // SAFETY: as the caller says.
        unsafe {
            let trailer = Trailer::of(block, kind.size());
            if let State::Live(size) = trailer.state(&self.shared.secret) {
                trailer.number(&self.shared.secret).give(size);
            }
            if let Kind::Large { bytes } = kind {
                prepare(block, bytes);
                let freed = self.free_slow(block);
                self.report_large(Call::Free);
                return freed;
            }
            if !self.is_own(block) {
                trailer.set_sent(&self.shared.secret);
                trailer.poison(SENT_LINK_SIZE);
                return self.free_slow(block);
            }
            trailer.set_free(&self.shared.secret);
            trailer.poison(LINK_SIZE);
            self.rest(self.current()?, block, kind, Call::Free);
            Ok(())
        }
    }

    /// # Safety
    ///
    /// As [`Heap::ksize`].
    pub(super) unsafe fn usable_size(&self, block: NonNull<u8>) -> Result<usize, Error> {
        // SAFETY: what is no block is refused.
        Ok(unsafe { self.inspect(block, Call::Size)? }.1)
    }

    /// Moves the block always, so that whoever kept the old pointer is found out.
    ///
    /// # Safety
    ///
    /// As [`Heap::krealloc`].
    pub(super) unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        kept: usize,
        size: usize,
        align: usize,
    ) -> Result<NonNull<u8>, Error> {
        // SAFETY: what is no block is refused.
        unsafe {
            let (kind, old_size) = self.inspect(block, Call::Reallocate)?;
            // Whose it was, it stays.
            let number = Trailer::of(block, kind.size()).number(&self.shared.secret);
            let (moved, _) = self.allocate_for(size, align, number)?;
            moved.copy_from_nonoverlapping(block, kept.min(old_size).min(size));
            self.free_inspected(block, kind)?;
            Ok(moved)
        }
    }

    /// # Safety
    ///
    /// As [`GlobalAlloc::dealloc`]; what is no block of that size is refused.
    unsafe fn inspect_layout(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        call: Call,
    ) -> Option<Kind> {
        // SAFETY: as the caller says.
        let (kind, size) = unsafe { self.inspect(block, call).ok()? };
        if size != layout.size() {
            report(Fault::WrongSize, call, block, kind.size());
            return None;
        }
        Some(kind)
    }
}

// SAFETY: blocks are as large and as aligned as their layout says, and disjoint; violations do not unwind where panics
// abort.
unsafe impl<S: Source, T: Threading, C: SizeClasses> GlobalAlloc for Heap<S, T, C> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.allocate_for(layout.size(), layout.align(), Number::GLOBAL) {
            Ok((block, _)) => block.as_ptr(),
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller says; what is no block is refused.
        unsafe {
            let block = NonNull::new_unchecked(block);
            if let Some(kind) = self.inspect_layout(block, layout, Call::Free) {
                // It was just found to be a block.
                let _ = self.free_inspected(block, kind);
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller says; what is no block is refused.
        unsafe {
            let block = NonNull::new_unchecked(block);
            let inspected = self.inspect_layout(block, layout, Call::Reallocate);
            let moved = inspected.and_then(|_| {
                self.reallocate(block, layout.size(), size, layout.align())
                    .ok()
            });
            moved.map_or(ptr::null_mut(), NonNull::as_ptr)
        }
    }
}
