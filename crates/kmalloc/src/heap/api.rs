// SPDX-License-Identifier: BSD-2-Clause
//! kmalloc and its family.

use super::Heap;
use crate::source::Source;
use crate::threading::{SingleThread, Threading};
use crate::{Error, Flags, Tag};
use core::ptr::NonNull;
use kmalloc_bucket::resident::slots::SizeClasses;

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// A block of at least `size` bytes, aligned to 16 bytes, and to its size if that is a power of two. A `size` of 0 is
    /// served as 1.
    ///
    /// With [`Flags::ZERO`] all of its usable bytes are zero.
    #[cfg_attr(feature = "checked", track_caller)]
    #[inline]
    pub fn kmalloc(&self, size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
        self.kmalloc_aligned(size, 1, flags)
    }

    /// As [`Heap::kmalloc`], aligned to `align`, a power of two.
    #[cfg_attr(feature = "checked", track_caller)]
    #[inline]
    pub fn kmalloc_aligned(
        &self,
        size: usize,
        align: usize,
        flags: Flags,
    ) -> Result<NonNull<u8>, Error> {
        if !align.is_power_of_two() {
            return Err(Error::BadAlignment {
                value: align as u64,
            });
        }
        let (block, zero) = self.allocate(size, align)?;
        if flags.contains(Flags::ZERO) && !zero {
            // SAFETY: the block was just allocated.
            unsafe { block.write_bytes(0, self.ksize(block)?) };
        }
        Ok(block)
    }

    /// As [`Heap::kmalloc`], under a name by which a checked heap knows the block ([`tags`](crate::tags)); another heap pays
    /// no attention to it.
    #[cfg_attr(not(feature = "checked"), inline)]
    pub fn kmalloc_tagged(
        &self,
        size: usize,
        flags: Flags,
        tag: &'static Tag,
    ) -> Result<NonNull<u8>, Error> {
        let block = self.kmalloc(size, flags)?;
        #[cfg(feature = "checked")]
        self.retag(block, tag)?;
        #[cfg(not(feature = "checked"))]
        let _ = tag;
        Ok(block)
    }

    /// A block for `count` elements of `size` bytes; refused if the product overflows.
    #[cfg_attr(feature = "checked", track_caller)]
    pub fn kcalloc(&self, count: usize, size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
        let bytes = count.checked_mul(size).ok_or(Error::Overflow {
            count: count as u64,
            size: size as u64,
        })?;
        self.kmalloc(bytes, flags | Flags::ZERO)
    }

    /// Makes a block one of `size` bytes and returns where it is now; bytes up to the smaller of the two sizes stay.
    ///
    /// No block acts as [`Heap::kmalloc`]; a `size` of 0 frees the block and returns none. On failure the block is as it
    /// was. With [`Flags::ZERO`], on a block that was allocated with it and always resized with it, bytes gained are zero:
    /// as in Linux, a heap does not know how many of a block's usable bytes its owner had asked for.
    ///
    /// # Safety
    ///
    /// `block` is a block of this heap in use; on success the caller gives it up for the one returned.
    #[cfg_attr(feature = "checked", track_caller)]
    pub unsafe fn krealloc(
        &self,
        block: Option<NonNull<u8>>,
        size: usize,
        flags: Flags,
    ) -> Result<Option<NonNull<u8>>, Error> {
        let Some(block) = block else {
            return self.kmalloc(size, flags).map(Some);
        };
        // SAFETY: as the caller says.
        unsafe {
            if size == 0 {
                return self.kfree(block).map(|()| None);
            }
            let old = self.ksize(block)?;
            let new_block = self.reallocate(block, old, size, 1)?;
            if flags.contains(Flags::ZERO) {
                let kept = old.min(size);
                new_block
                    .add(kept)
                    .write_bytes(0, self.ksize(new_block)? - kept);
            }
            Ok(Some(new_block))
        }
    }

    /// As [`Heap::krealloc`] for `count` elements of `size` bytes; refused if the product overflows, with the block as it
    /// was.
    ///
    /// # Safety
    ///
    /// As [`Heap::krealloc`].
    #[cfg_attr(feature = "checked", track_caller)]
    pub unsafe fn krealloc_array(
        &self,
        block: Option<NonNull<u8>>,
        count: usize,
        size: usize,
        flags: Flags,
    ) -> Result<Option<NonNull<u8>>, Error> {
        let bytes = count.checked_mul(size).ok_or(Error::Overflow {
            count: count as u64,
            size: size as u64,
        })?;
        // SAFETY: as the caller says.
        unsafe { self.krealloc(block, bytes, flags) }
    }

    /// Frees a block, of this heap or of another kind that its source knows: on seL4, one that the server keeps the books
    /// of. What is recognisably none is refused.
    ///
    /// # Safety
    ///
    /// `block` is a block of this heap in use, which the caller gives up.
    #[inline]
    pub unsafe fn kfree(&self, block: NonNull<u8>) -> Result<(), Error> {
        if self.shared.region_of(block).is_none() {
            // SAFETY: as the caller says.
            let freed = unsafe { self.source().free_elsewhere(block) };
            #[cfg(feature = "checked")]
            if freed.is_err() {
                use crate::checked::{Call, Fault, report};
                report(Fault::BadPointer, Call::Free, block, 0);
            }
            return freed;
        }
        // SAFETY: as the caller says.
        unsafe { self.free(block) }
    }

    /// Leaves a number with the running thread's part of the heap, for [`Heap::note`]; `false` if there is no memory for a
    /// part. The C functions keep the reason of a thread's last failure there.
    pub fn set_note(&self, note: u32) -> bool {
        let part = self.current();
        part.is_ok_and(|part| {
            part.note.set(note);
            true
        })
    }

    /// What this thread passed to [`Heap::set_note`] last; none if it has no part of the heap, 0 if it never did.
    pub fn note(&self) -> Option<u32> {
        // SAFETY: parts live as long as the heap; one in use is its thread's own.
        let part = unsafe { T::current(&self.main).as_ref() };
        part.map(|part| part.note.get())
    }

    /// Bytes that the owner of a block may use.
    ///
    /// # Safety
    ///
    /// `block` is a block of this heap in use.
    #[inline]
    pub unsafe fn ksize(&self, block: NonNull<u8>) -> Result<usize, Error> {
        // SAFETY: as the caller says.
        unsafe { self.usable_size(block) }
    }
}

impl<S: Source, C: SizeClasses> Heap<S, SingleThread, C> {
    /// Gives back everything that is not in use.
    pub fn trim(&self) {
        self.reclaim(&self.main);
    }
}
