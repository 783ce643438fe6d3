// SPDX-License-Identifier: BSD-2-Clause
//! What the fast paths lead to when a list is empty, a block is no bucket's, or a size changes.

use super::Heap;
#[cfg(feature = "checked")]
use crate::checked::Call;
use crate::local::{NOT_KEPT, tag_of};
use crate::segment::Segment;
use crate::source::{Region, Source};
use crate::thread_heap::ThreadHeap;
use crate::threading::Threading;
use crate::{Error, bad_pointer};
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::buckets::LARGEST_BLOCK_PAGES;
use kmalloc_bucket::resident::slots::{
    BUCKET_MASK_MAX, OCTAVE_COUNT, SizeClasses, mask_of, octave_of,
};
use kmalloc_bucket::resident::tags::Tag;
use kmalloc_bucket::resident::{PAGE_SIZE, RUN_SIZE_MAX};

/// A block that grew or shrank keeps a surplus of up to this part of its size.
const SLACK_FRACTION: usize = 8;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A block of a bucket of this slot, and its bytes.
    Bucket { slot: usize, size: usize },
    /// A run of this many pages.
    Run { pages: usize },
    /// A large block of this many bytes.
    Large { bytes: usize },
}

impl Kind {
    /// Bytes that the block's owner may use.
    pub fn size(self) -> usize {
        match self {
            Kind::Bucket { size, .. } => size,
            Kind::Run { pages } => pages * PAGE_SIZE,
            Kind::Large { bytes } => bytes,
        }
    }
}

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// What the block at `block` is.
    ///
    /// # Safety
    ///
    /// If `block` lies in the resident region, it lies in an open segment.
    #[inline(always)]
    pub(super) unsafe fn kind_of(&self, block: NonNull<u8>) -> Result<Kind, Error> {
        match self.shared.region_of(block) {
            // SAFETY: as the caller says.
            Some(Region::Resident) => match unsafe { tag_of(block) } {
                Tag::Bucket { slot, index } => {
                    let bucket = C::GEOMETRY.bucket(slot);
                    if !bucket.is_start(index * PAGE_SIZE + block.addr().get() % PAGE_SIZE) {
                        return Err(bad_pointer(block));
                    }
                    let size = bucket.block_size;
                    Ok(Kind::Bucket { slot, size })
                }
                Tag::Run { pages } if block.addr().get().is_multiple_of(PAGE_SIZE) => {
                    Ok(Kind::Run { pages })
                }
                _ => Err(bad_pointer(block)),
            },
            Some(Region::Large) => {
                let bytes = self
                    .shared
                    .large_size_of(block)
                    .ok_or_else(|| bad_pointer(block))?;
                Ok(Kind::Large { bytes })
            }
            None => Err(bad_pointer(block)),
        }
    }

    /// A block for a request whose list is empty, and whether its bytes are known to be zero.
    #[cold]
    #[inline(never)]
    pub(super) fn alloc_slow(
        &self,
        size: usize,
        align: usize,
    ) -> Result<(NonNull<u8>, bool), Error> {
        if size > isize::MAX as usize - align {
            return Err(Error::BadSize { size: size as u64 });
        }
        let size = size.max(1);
        let part = self.current()?;
        self.drain(part);
        #[cfg(not(feature = "checked"))]
        if let Some(block) = self.pop(mask_of(size, align)) {
            return Ok((block, false));
        }
        self.alloc_new(part, size, align).or_else(|_| {
            self.reclaim(part);
            self.alloc_new(part, size, align)
        })
    }

    /// A block that was on no list.
    fn alloc_new(
        &self,
        part: &ThreadHeap,
        size: usize,
        align: usize,
    ) -> Result<(NonNull<u8>, bool), Error> {
        let mask = mask_of(size, align);
        #[cfg(feature = "checked")]
        let _open = self.open_books(part, Call::Allocate);
        if mask <= BUCKET_MASK_MAX {
            if C::slot_of(mask) == C::GEOMETRY.largest()
                && let Some(block) = self.block_of_kept_run(part)
            {
                return Ok((block, false));
            }
            // SAFETY: the part is this thread's own, and this is the only reference to it.
            let local = unsafe { &mut *part.local.get() };
            return Ok((local.refill(&self.shared, part, C::slot_of(mask))?, false));
        }
        let bytes = page_bytes(mask);
        let align = if bytes.is_power_of_two() {
            bytes
        } else {
            align.max(PAGE_SIZE)
        };
        if bytes > RUN_SIZE_MAX {
            #[cfg(feature = "checked")]
            self.look_at_large(None, Call::Allocate);
            return self.shared.large_alloc(bytes, align);
        }
        // SAFETY: as above.
        let local = unsafe { &mut *part.local.get() };
        let block = local.run_alloc(&self.shared, part, bytes / PAGE_SIZE, align)?;
        Ok((block, false))
    }

    /// The beginning of a run that a list kept, as a block of the largest slot: with the rest of the run free behind it,
    /// it can grow where it stands. Programs that grow one buffer after the other live on this.
    fn block_of_kept_run(&self, part: &ThreadHeap) -> Option<NonNull<u8>> {
        for octave in 0..=octave_of(RUN_SIZE_MAX - 1) {
            // SAFETY: the part is this thread's own. A kept block is unused, and aligned to its size.
            unsafe {
                let kept = &raw mut (*part.local.get()).kept[octave];
                let Some(block) = NonNull::new(*kept) else {
                    continue;
                };
                let Ok(Kind::Run { pages }) = self.kind_of(block.cast()) else {
                    continue;
                };
                if !self.is_own(block.cast()) {
                    continue;
                }
                *kept = ptr::null_mut();
                (*part.local.get()).run_into_block(block.cast(), pages);
                return Some(block.cast());
            }
        }
        None
    }

    /// Frees a block that no list keeps, whatever it is.
    ///
    /// # Safety
    ///
    /// If `block` lies in the resident region, it lies in an open segment; if it is a block, the caller gives it up.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn free_slow(&self, block: NonNull<u8>) -> Result<(), Error> {
        // SAFETY: as the caller says.
        let kind = unsafe { self.kind_of(block)? };
        if let Kind::Large { .. } = kind {
            // SAFETY: as the caller says.
            return unsafe { self.shared.large_free(block) };
        }
        // SAFETY: the block lies in an open segment, whose owner never changes and outlives it.
        unsafe {
            let owner = (*Segment::of(block).as_ptr()).owner;
            if T::SHARED && owner != T::current(&self.main) {
                (*owner).remote.push(block.cast().as_ptr());
                return Ok(());
            }
            self.free_own(&*owner, block, kind);
        }
        Ok(())
    }

    /// Frees a block of this thread's segments.
    ///
    /// # Safety
    ///
    /// `part` is this thread's own, `block` is in use and of this kind, and the caller gives it up.
    pub(super) unsafe fn free_own(&self, part: &ThreadHeap, block: NonNull<u8>, kind: Kind) {
        #[cfg(feature = "checked")]
        let _open = self.open_books(part, Call::Free);
        #[cfg(feature = "checked")]
        // SAFETY: the part is the caller's own.
        if !unsafe { (*part.local.get()).is_kept(&self.shared.secret, block) } {
            return;
        }
        // SAFETY: this is the only reference to the part.
        let local = unsafe { &mut *part.local.get() };
        match kind {
            // SAFETY: as the caller says.
            Kind::Bucket { slot, .. } => unsafe { local.push(slot, block) },
            // SAFETY: as the caller says.
            Kind::Run { pages } => unsafe { local.run_free(&self.shared, block, pages) },
            Kind::Large { .. } => unreachable!("large blocks are in no segment"),
        }
    }

    /// Brings home the blocks that other threads freed.
    #[cfg(not(feature = "checked"))]
    pub(super) fn drain(&self, part: &ThreadHeap) {
        if !T::SHARED {
            return;
        }
        let mut next = part.remote.take_all();
        while let Some(block) = NonNull::new(next) {
            // SAFETY: the blocks on the list were given up by who freed them, and lie in segments of this thread.
            unsafe {
                next = (*block.as_ptr()).next;
                let block = block.cast::<u8>();
                if let Ok(kind) = self.kind_of(block) {
                    self.free_own(part, block, kind);
                }
            }
        }
    }

    /// Gives back everything that is not in use.
    pub(super) fn reclaim(&self, part: &ThreadHeap) {
        #[cfg(feature = "checked")]
        let open = {
            self.drain(part);
            self.look_at_large(None, Call::Trim);
            let open = self.open_books(part, Call::Trim);
            self.leave_quarantine(part);
            open
        };
        for octave in 0..OCTAVE_COUNT {
            // SAFETY: the part is this thread's own; a kept block is unused.
            unsafe {
                let kept = &raw mut (*part.local.get()).kept[octave];
                if let Some(block) = NonNull::new(*kept).filter(|_| *kept != NOT_KEPT) {
                    *kept = ptr::null_mut();
                    // It was a block when it was freed, so it is one now.
                    let _ = self.free_slow(block.cast());
                }
            }
        }
        self.drain(part);
        self.shared.large_flush();
        // SAFETY: this is the only reference to the part.
        let local = unsafe { &mut *part.local.get() };
        local.collect();
        local.release(&self.shared, 0);
        #[cfg(feature = "checked")]
        {
            drop(open);
            self.enter_quarantine(part);
            self.report_large(Call::Trim);
        }
    }

    /// Counts the free blocks and gives back what is beyond the reserve.
    #[cold]
    #[inline(never)]
    pub(super) fn maintain(&self, part: &ThreadHeap) {
        self.drain(part);
        // SAFETY: this is the only reference to the part.
        let local = unsafe { &mut *part.local.get() };
        local.collect();
        local.release_surplus(&self.shared);
    }

    /// Makes the block one of `size` bytes; the first `kept` bytes stay. On failure it is as it was.
    ///
    /// # Safety
    ///
    /// `block` is a block in use with at least `kept` bytes, and the caller gives it up for the one returned.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn realloc_slow(
        &self,
        block: NonNull<u8>,
        kept: usize,
        size: usize,
        align: usize,
    ) -> Result<NonNull<u8>, Error> {
        if size > isize::MAX as usize - align {
            return Err(Error::BadSize { size: size as u64 });
        }
        let mask = mask_of(size.max(1), align);
        // SAFETY: as the caller says.
        unsafe {
            let kind = self.kind_of(block)?;
            if Self::fits(kind, mask) {
                return Ok(block);
            }
            if mask > BUCKET_MASK_MAX
                && let Some(resized) = self.resize_pages(block, kind, page_bytes(mask))
            {
                return resized;
            }
            let moved = match self.pop(mask) {
                Some(moved) => moved,
                None => self.alloc_slow(size, align)?.0,
            };
            moved.copy_from_nonoverlapping(block, kept.min(size));
            if mask > BUCKET_MASK_MAX && Self::is_largest(kind) && self.is_own(block) {
                // It has no room to grow, so the next one should not get it.
                let part = T::current(&self.main);
                (*(*part).local.get()).block_into_pages(block);
                return Ok(moved);
            }
            // It is a block, so it can be freed.
            let freed =
                self.push(block, kind.size(), kind.size() - 1) || self.free_slow(block).is_ok();
            debug_assert!(freed);
            Ok(moved)
        }
    }

    /// Whether the block lies in a segment of the running thread.
    ///
    /// # Safety
    ///
    /// `block` lies in an open segment.
    pub(super) unsafe fn is_own(&self, block: NonNull<u8>) -> bool {
        // SAFETY: as the caller says.
        let owner = unsafe { (*Segment::of(block).as_ptr()).owner };
        !T::SHARED || ptr::eq(owner, T::current(&self.main))
    }

    /// Makes a block of whole pages one of `bytes` without copying; `None` if that can't be done.
    ///
    /// # Safety
    ///
    /// As [`Heap::realloc_slow`].
    unsafe fn resize_pages(
        &self,
        block: NonNull<u8>,
        kind: Kind,
        bytes: usize,
    ) -> Option<Result<NonNull<u8>, Error>> {
        let pages_old = match kind {
            Kind::Large { .. } => {
                // SAFETY: as the caller says.
                return Some(unsafe { self.shared.large_resize(block, bytes) });
            }
            Kind::Run { pages } => pages,
            Kind::Bucket { .. } if Self::is_largest(kind) => LARGEST_BLOCK_PAGES,
            Kind::Bucket { .. } => return None,
        };
        let part = self.current().ok()?;
        // SAFETY: the block lies in an open segment.
        if bytes > RUN_SIZE_MAX || !unsafe { self.is_own(block) } {
            return None;
        }
        // SAFETY: the segment is this thread's own, and this is the only reference to the part.
        let resized = unsafe {
            let local = &mut *part.local.get();
            local.run_resize(&self.shared, block, pages_old, bytes / PAGE_SIZE)
        };
        resized.then_some(Ok(block))
    }

    /// Whether a block of this kind is one of the largest of a bucket, and so has its bucket for itself and can become a
    /// run.
    fn is_largest(kind: Kind) -> bool {
        matches!(kind, Kind::Bucket { slot, .. } if slot == C::GEOMETRY.largest())
    }

    /// Whether a block of this kind serves a request with this mask well. A power of two of pages must fit exactly: the
    /// lists of a thread rely on it.
    fn fits(kind: Kind, mask: usize) -> bool {
        if let Kind::Bucket { slot, .. } = kind {
            return mask <= BUCKET_MASK_MAX && slot == C::slot_of(mask);
        }
        let (size, wanted) = (kind.size(), page_bytes(mask));
        if mask <= BUCKET_MASK_MAX || wanted.is_power_of_two() {
            return size == wanted && mask > BUCKET_MASK_MAX;
        }
        size >= wanted && size - wanted <= size / SLACK_FRACTION
    }
}

/// Whole pages for a request with this mask, in bytes.
fn page_bytes(mask: usize) -> usize {
    (mask | (PAGE_SIZE - 1)) + 1
}
