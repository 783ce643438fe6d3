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

use crate::local::{Block, Local};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::source::Source;
use crate::thread_heap::ThreadHeap;
use crate::threading::{SingleThread, ThreadWord, Threading, Threads};
pub use audit::Audit;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kmalloc_bucket::resident::slots::{BUCKET_MASK_MAX, slot_above_buckets, slot_of};
use threads::Parts;

/// Largest mask of a block that a slot's list keeps when it is freed: 1 MiB. One block of each larger power of two would
/// be too much to keep for nothing.
const KEPT_MASK_MAX: usize = (1 << 20) - 1;

/// A heap over the memory of a [`Source`].
///
/// It is Rust's global allocator when it is in a static with `#[global_allocator]`, and kmalloc by its own methods; a
/// block allocated by one can be freed by the other. `T` says whether it has threads.
///
/// Blocks up to 16 KiB come from buckets of one power of two each; blocks up to 512 KiB are runs of pages in the same
/// segments; larger ones are the source's large blocks. A heap's own memory needs are met from the same source.
#[repr(C)]
pub struct Heap<S: Source, T: Threading = SingleThread> {
    /// The only thread's part, or the first thread's.
    main: ThreadHeap,
    parts: Parts,
    shared: Shared<S>,
    threading: PhantomData<fn() -> T>,
}

// SAFETY: who made the heap promised that only one thread uses it.
unsafe impl<S: Source> Sync for Heap<S, SingleThread> {}
// SAFETY: a thread uses only its own part but for the remote lists, which are atomic, and what is behind locks.
unsafe impl<S: Source + Sync, W: ThreadWord> Sync for Heap<S, Threads<W>> {}

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

impl<S: Source + Sync, W: ThreadWord> Heap<S, Threads<W>> {
    /// A heap for any number of threads. It must be the only one that uses the word `W`.
    pub const fn threaded(source: S) -> Self {
        Heap::new(source)
    }
}

impl<S: Source, T: Threading> Heap<S, T> {
    const fn new(source: S) -> Self {
        Heap {
            main: ThreadHeap::new(),
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
        // SAFETY: the part is this thread's own, and no reference to it exists outside the slow paths. A block on a list
        // is unused and holds its link.
        unsafe {
            let head = &raw mut (*local).heads[slot_of(mask)];
            let block = NonNull::new(*head)?;
            *head = (*block.as_ptr()).next;
            Some(block.cast())
        }
    }

    /// Puts a block back that was served to a request with this mask; `false` if that takes more than a list.
    ///
    /// # Safety
    ///
    /// `block` is such a block, in use, and the caller gives it up if this returns `true`.
    #[inline(always)]
    unsafe fn push(&self, block: NonNull<u8>, mask: usize) -> bool {
        let local = self.local();
        if mask > BUCKET_MASK_MAX {
            if T::SHARED && local.is_null() {
                return false;
            }
            // A power of two, and the block aligned to it: one test for both.
            let exact = (block.addr().get() | (mask + 1)) & mask == 0;
            // SAFETY: the part is this thread's own. Blocks of a power of two are exactly as large, and aligned to at
            // least 16 bytes.
            unsafe {
                let head = &raw mut (*local).heads[slot_above_buckets(mask)];
                if mask > KEPT_MASK_MAX || !exact || !(*head).is_null() {
                    return false;
                }
                let block = block.cast::<Block>().as_ptr();
                (*block).next = core::ptr::null_mut();
                *head = block;
            }
            return true;
        }
        // SAFETY: the block lies in a segment; the part is this thread's own.
        unsafe {
            if T::SHARED && (*Segment::of(block).as_ptr()).owner != local.cast_const().cast() {
                return false;
            }
            let head = &raw mut (*local).heads[slot_of(mask)];
            let block = block.cast::<Block>().as_ptr();
            (*block).next = *head;
            *head = block;
        }
        true
    }
}
