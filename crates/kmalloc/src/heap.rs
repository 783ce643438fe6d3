// SPDX-License-Identifier: BSD-2-Clause
//! The heap: its fast paths, and what they lead to.

#[cfg(feature = "allocator-api2")]
mod allocator;
mod api;
mod audit;
#[cfg(feature = "checked")]
mod checked;
#[cfg(not(feature = "checked"))]
mod global;
mod slow;
mod threads;

use crate::local::{Block, Local, NOT_KEPT};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::source::Source;
use crate::thread_heap::ThreadHeap;
use crate::threading::{SingleThread, ThreadWord, Threading, Threads};
pub use audit::Audit;
use core::marker::PhantomData;
use core::ptr::{NonNull, null_mut};
use kmalloc_bucket::resident::slots::{BUCKET_MASK_MAX, QuarterOctaves, SizeClasses};
use kmalloc_bucket::size_class::BLOCK_SIZE_MIN;
use threads::Parts;

/// A heap over the memory of a [`Source`].
///
/// It is Rust's global allocator when it is in a static with `#[global_allocator]`, and kmalloc by its own methods; a
/// block allocated by one can be freed by the other. `T` says whether it has threads, `C` which sizes its blocks have.
///
/// Blocks up to 16 KiB come from buckets of one size each; blocks up to 512 KiB are runs of pages in the same segments; larger ones are the source's large blocks. A heap's own memory needs are met from the same source.
#[repr(C)]
pub struct Heap<S: Source, T: Threading = SingleThread, C: SizeClasses = QuarterOctaves> {
    /// The only thread's part, or the first thread's.
    main: ThreadHeap,
    parts: Parts,
    shared: Shared<S>,
    threading: PhantomData<fn() -> (T, C)>,
}

// SAFETY: who made the heap promised that only one thread uses it.
unsafe impl<S: Source, C: SizeClasses> Sync for Heap<S, SingleThread, C> {}
// SAFETY: a thread uses only its own part but for the remote lists, which are atomic, and what is behind locks.
unsafe impl<S: Source + Sync, W: ThreadWord, C: SizeClasses> Sync for Heap<S, Threads<W>, C> {}

impl<S: Source> Heap<S, SingleThread> {
    /// A heap for one thread.
    ///
    /// # Safety
    ///
    /// Only one thread ever uses the heap.
    pub const unsafe fn single_threaded(source: S) -> Self {
        Heap::new(source)
    }
}

impl<S: Source, C: SizeClasses> Heap<S, SingleThread, C> {
    /// As [`Heap::single_threaded`], with the size classes that the heap's type names.
    ///
    /// # Safety
    ///
    /// Only one thread ever uses the heap.
    pub const unsafe fn single_threaded_with_classes(source: S) -> Self {
        Heap::new(source)
    }
}

impl<S: Source + Sync, W: ThreadWord> Heap<S, Threads<W>> {
    /// A heap for any number of threads. It must be the only one that uses the word `W`.
    pub const fn threaded(source: S) -> Self {
        Heap::new(source)
    }
}

impl<S: Source + Sync, W: ThreadWord, C: SizeClasses> Heap<S, Threads<W>, C> {
    /// As [`Heap::threaded`], with the size classes that the heap's type names.
    pub const fn threaded_with_classes(source: S) -> Self {
        Heap::new(source)
    }
}

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    const fn new(source: S) -> Self {
        Heap {
            main: ThreadHeap::new(C::GEOMETRY),
            parts: Parts::new(),
            shared: Shared::new(source),
            threading: PhantomData,
        }
    }

    /// Where the heap's memory comes from.
    pub fn source(&self) -> &S {
        self.shared.source()
    }

    /// The running thread's part; null if it has none yet.
    #[inline(always)]
    fn local(&self) -> *mut Local {
        // Its lists are the part's first field, so that null stays null.
        const { assert!(core::mem::offset_of!(ThreadHeap, local) == 0) };
        T::current(&self.main).cast_mut().cast()
    }

    /// The first block of the list for requests with this mask.
    #[inline(always)]
    fn pop(&self, mask: usize) -> Option<NonNull<u8>> {
        let local = self.local();
        if T::SHARED && local.is_null() {
            return None;
        }
        // SAFETY: the part is this thread's own, and no reference to it exists outside the slow paths.
        unsafe {
            // Each case has its own code to the end, so that the first has no jump.
            if mask < C::GRANULES_END {
                return pop_first(Local::head(local, mask / BLOCK_SIZE_MIN));
            }
            if mask > BUCKET_MASK_MAX {
                let kept = Local::kept(local, mask);
                if (*kept).addr() <= NOT_KEPT.addr() {
                    return None;
                }
                return NonNull::new(core::mem::replace(&mut *kept, null_mut()).cast());
            }
            pop_first(Local::head(local, C::slot_of(mask)))
        }
    }

    /// Puts a block back that was served to a request of `size` with this mask; `false` if that takes more than a list.
    ///
    /// # Safety
    ///
    /// `block` is such a block, in use, and the caller gives it up if this returns `true`.
    #[inline(always)]
    unsafe fn push(&self, block: NonNull<u8>, size: usize, mask: usize) -> bool {
        let local = self.local();
        // SAFETY: the part is this thread's own; up to the largest bucket's, blocks lie in open segments.
        unsafe {
            if mask < C::GRANULES_END {
                if T::SHARED && !Self::is_owner(local, block) {
                    return false;
                }
                push_first(Local::head(local, mask / BLOCK_SIZE_MIN), block);
                return true;
            }
            if mask > BUCKET_MASK_MAX {
                if T::SHARED && local.is_null() {
                    return false;
                }
                // A power of two, and the block aligned to it: one test for both.
                let exact = (block.addr().get() | size) & mask == 0;
                let kept = Local::kept(local, mask);
                if !exact || !(*kept).is_null() {
                    return false;
                }
                *kept = block.cast::<Block>().as_ptr();
                return true;
            }
            if T::SHARED && !Self::is_owner(local, block) {
                return false;
            }
            push_first(Local::head(local, C::slot_of(mask)), block);
        }
        true
    }

    /// Whether `block` lies in a segment of the part `local`.
    ///
    /// # Safety
    ///
    /// `block` lies in an open segment.
    #[inline(always)]
    unsafe fn is_owner(local: *mut Local, block: NonNull<u8>) -> bool {
        // SAFETY: as the caller says; the owner of a segment never changes.
        unsafe { (*Segment::of(block).as_ptr()).owner == local.cast_const().cast() }
    }
}

/// Takes the first block off a list.
///
/// # Safety
///
/// `head` is the head of a list of the running thread.
#[inline(always)]
unsafe fn pop_first(head: *mut *mut Block) -> Option<NonNull<u8>> {
    // SAFETY: as the caller says. A block on a list is unused and holds its link.
    unsafe {
        let block = NonNull::new(*head)?;
        *head = (*block.as_ptr()).next;
        Some(block.cast())
    }
}

/// Puts a block in front of a list.
///
/// # Safety
///
/// `head` is the head of a list of the running thread, and `block` a block for it that the caller gives up.
#[inline(always)]
unsafe fn push_first(head: *mut *mut Block, block: NonNull<u8>) {
    let block = block.cast::<Block>().as_ptr();
    // SAFETY: as the caller says. Every block has room for a link and is aligned to 16 bytes.
    unsafe {
        (*block).next = *head;
        *head = block;
    }
}
