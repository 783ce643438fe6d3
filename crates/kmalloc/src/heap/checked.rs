// SPDX-License-Identifier: BSD-2-Clause
//! The heap in checked mode, which finds a program's mistakes.
//!
//! It stands on the heap as it is, asks it for 16 bytes more a block, and keeps freed blocks in a queue a class before they
//! are used again. What is found: see [`Fault`]; by which words: see `crate::checked`. What is not: reads, writes that hit
//! another block exactly, writes in front of a block that has a run or nothing in front of it, and writes to a freed block of
//! more than 512 KiB.

use super::Heap;
use super::slow::Kind;
use crate::checked::{Call, Fault, State, TRAILER_SIZE, Trailer, bucket_end, report};
use crate::local::tag_of;
use crate::segment::Segment;
use crate::source::{Region, Source};
use crate::tags::Number;
use crate::thread_heap::ThreadHeap;
use crate::threading::Threading;
use crate::{Error, Tag, bad_pointer};
use core::alloc::{GlobalAlloc, Layout};
use core::panic::Location;
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::slots::{BUCKET_MASK_MAX, SizeClasses, mask_of};
use kmalloc_bucket::resident::tags::Tag as PageTag;
use kmalloc_bucket::resident::{PAGE_SIZE, page_of};

/// Freed blocks of a class that wait before the first of them is used again, and bytes of them.
const QUARANTINE_LENGTH: usize = 64;
const QUARANTINE_SIZE: usize = 64 << 10;
/// Freed runs, of up to 512 KiB, that wait.
const RUN_QUARANTINE_LENGTH: usize = 4;

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
        let mask = mask_of(raw_size, align);
        let rested = if mask <= BUCKET_MASK_MAX {
            self.take_rested(C::slot_of(mask))?
        } else {
            None
        };
        let (block, zero) = match rested.or_else(|| self.pop(mask)) {
            Some(block) => (block, false),
            None => self.alloc_slow(raw_size, align)?,
        };
        // SAFETY: the block was just allocated.
        unsafe {
            let trailer = Trailer::of(block, self.kind_of(block)?.size());
            trailer.set_live(&self.shared.secret, size, number);
        }
        number.take(size);
        Ok((block, zero))
    }

    /// The block of a class that was freed first, if enough wait behind it.
    fn take_rested(&self, slot: usize) -> Result<Option<NonNull<u8>>, Error> {
        let part = self.current()?;
        let block_size = C::GEOMETRY.bucket(slot).block_size;
        let wait = QUARANTINE_LENGTH.min(QUARANTINE_SIZE / block_size);
        // SAFETY: the part is this thread's own.
        let queue = unsafe { &mut (*part.local.get()).quarantine[slot] };
        while queue.length > wait {
            let rested = queue.pop(&self.shared.secret);
            if let Some((block, link_whole)) = rested
                && self.is_untouched(block, block_size, link_whole, Call::Allocate)
            {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// Whether nothing was written to a queued block.
    fn is_untouched(&self, block: NonNull<u8>, size: usize, link_whole: bool, call: Call) -> bool {
        // SAFETY: a queued block is mapped, and nobody's.
        let trailer = unsafe { Trailer::of(block, size) };
        let untouched = link_whole
            && trailer.poison_is_whole()
            && trailer.state(&self.shared.secret) == State::Free;
        if !untouched {
            report(Fault::WriteAfterFree, call, block, size);
        }
        untouched
    }

    /// What the block in use at `block` is, and the size that was asked for.
    ///
    /// # Safety
    ///
    /// None beyond the region's: this is where wild pointers are found out.
    unsafe fn inspect(&self, block: NonNull<u8>, call: Call) -> Result<(Kind, usize), Error> {
        // SAFETY: `is_known` says that the segment is open.
        let kind = match unsafe { self.is_known(block).then(|| self.kind_of(block)) } {
            Some(Ok(kind)) => kind,
            _ => {
                report(Fault::BadPointer, call, block, 0);
                return Err(bad_pointer(block));
            }
        };
        // SAFETY: the block is mapped as far as it reaches.
        let trailer = unsafe { Trailer::of(block, kind.size()) };
        let (fault, error) = match trailer.state(&self.shared.secret) {
            State::Live(size) if trailer.canary_is_whole(size) => {
                // SAFETY: it was just found to be such a block.
                if unsafe { self.front_is_whole(block, kind) } {
                    return Ok((kind, size));
                }
                (Fault::Underflow, bad_pointer(block))
            }
            State::Free => {
                let address = block.addr().get() as u64;
                (Fault::DoubleFree, Error::DoubleFree { address })
            }
            State::Blank => (Fault::BadPointer, bad_pointer(block)),
            State::Live(_) | State::Damaged => (Fault::Overflow, bad_pointer(block)),
        };
        report(fault, call, block, kind.size());
        Err(error)
    }

    /// Whether a pointer lies where a block could be. Other threads' segments can't be looked up; their pointers are
    /// believed.
    fn is_known(&self, block: NonNull<u8>) -> bool {
        match self.shared.region_of(block) {
            Some(Region::Large) => true,
            Some(Region::Resident) => {
                let Ok(part) = self.current() else {
                    return false;
                };
                // SAFETY: the part is this thread's own.
                let segments = unsafe { (*part.local.get()).segments() };
                let mut next = segments.first();
                while let Some(segment) = next {
                    // SAFETY: it is in the list; the header of another segment is not touched.
                    unsafe {
                        if Segment::of(block) == segment {
                            return true;
                        }
                        next = segments.after(segment);
                    }
                }
                T::SHARED
            }
            None => false,
        }
    }

    /// Whether what the heap wrote in front of this block is whole: the end of the block there, in the same bucket or the
    /// one in front. Nothing is known of what is behind a run, or in front of a large block.
    ///
    /// # Safety
    ///
    /// `block` is a block of this kind in an open segment, or a large block.
    unsafe fn front_is_whole(&self, block: NonNull<u8>, kind: Kind) -> bool {
        if let Kind::Large { .. } = kind {
            return true;
        }
        let address = block.addr().get();
        // SAFETY: as the caller says. A block of the same size is in front of a bucket's further blocks, which are stamped
        // when they are cut, and a bucket is stamped at its end when it is made.
        unsafe {
            if let PageTag::Bucket { index, .. } = tag_of(block)
                && index * PAGE_SIZE + address % PAGE_SIZE >= kind.size()
            {
                return self.is_stamped(block.sub(kind.size()), kind.size());
            }
            let (segment, before) = (Segment::of(block), page_of(address) - 1);
            let PageTag::Bucket { slot, index } = (*segment.as_ptr()).tags.get(before) else {
                return true;
            };
            let start = Segment::page_address(segment, before - index);
            let (last, size) = bucket_end(start, C::GEOMETRY.bucket(slot));
            self.is_stamped(last, size)
        }
    }

    /// Whether the trailer of a block of `size` bytes is one that the heap wrote.
    ///
    /// # Safety
    ///
    /// The block is mapped.
    unsafe fn is_stamped(&self, block: NonNull<u8>, size: usize) -> bool {
        // SAFETY: as the caller says.
        let trailer = unsafe { Trailer::of(block, size) };
        let state = trailer.state(&self.shared.secret);
        matches!(state, State::Live(_) | State::Free)
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
            trailer.set_free(&self.shared.secret);
            if !self.is_own_block(block, kind) {
                return self.free_slow(block);
            }
            trailer.poison();
            let part = self.current()?;
            let local = &mut *part.local.get();
            let queue = match kind {
                Kind::Bucket { slot, .. } => &mut local.quarantine[slot],
                _ => &mut local.run_quarantine,
            };
            if let Some(damaged) = queue.push(&self.shared.secret, block) {
                report(Fault::WriteAfterFree, Call::Free, damaged, kind.size());
            }
            if local.run_quarantine.length > RUN_QUARANTINE_LENGTH {
                self.free_rested_run(part, Call::Free);
            }
            Ok(())
        }
    }

    /// Whether the block is one that waits before it is used again.
    ///
    /// # Safety
    ///
    /// `block` is a block of this kind.
    unsafe fn is_own_block(&self, block: NonNull<u8>, kind: Kind) -> bool {
        // SAFETY: as the caller says: what is not large lies in an open segment.
        !matches!(kind, Kind::Large { .. }) && unsafe { self.is_own(block) }
    }

    /// Frees the run that waited longest; `false` if none waits.
    fn free_rested_run(&self, part: &ThreadHeap, call: Call) -> bool {
        // SAFETY: the part is this thread's own; a queued run is nobody's.
        unsafe {
            let queue = &mut (*part.local.get()).run_quarantine;
            let Some((block, link_whole)) = queue.pop(&self.shared.secret) else {
                return false;
            };
            let size = self.kind_of(block).map_or(0, Kind::size);
            if size > 0 && self.is_untouched(block, size, link_whole, call) {
                // It was just found to be a run.
                let _ = self.free_slow(block);
            }
        }
        true
    }

    /// Puts all blocks that wait on the lists of the heap below.
    pub(super) fn leave_quarantine(&self, part: &ThreadHeap) {
        while self.free_rested_run(part, Call::Trim) {}
        for slot in 0..C::GEOMETRY.slots() {
            let size = C::GEOMETRY.bucket(slot).block_size;
            loop {
                // SAFETY: the part is the caller's own; a queued block is nobody's.
                unsafe {
                    let local = &mut *part.local.get();
                    let Some((block, link_whole)) = local.quarantine[slot].pop(&self.shared.secret)
                    else {
                        break;
                    };
                    if self.is_untouched(block, size, link_whole, Call::Trim) {
                        local.push(slot, block);
                    }
                }
            }
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
