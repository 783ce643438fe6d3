// SPDX-License-Identifier: BSD-2-Clause
//! Which part of a heap is whose: threads take a part when they first allocate and leave it when they end.

use super::Heap;
use crate::Error;
use crate::local::Local;
use crate::source::Source;
use crate::thread_heap::ThreadHeap;
use crate::threading::{ThreadWord, Threading, Threads};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use kmalloc_bucket::resident::slots::{BUCKET_MASK_MAX, SizeClasses, mask_of};
use spin::Mutex;

/// The parts of a heap that no thread has at present.
pub(super) struct Parts(Mutex<FreeParts>);

struct FreeParts {
    /// The first of a list.
    orphan: *const ThreadHeap,
    /// A thread took the part that the heap was made with.
    main_taken: bool,
}

// SAFETY: a part on the list belongs to who holds the lock.
unsafe impl Send for FreeParts {}

impl Parts {
    pub const fn new() -> Parts {
        Parts(Mutex::new(FreeParts {
            orphan: ptr::null(),
            main_taken: false,
        }))
    }
}

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// The running thread's part. A thread that has none takes one over or gets a new one.
    pub(super) fn current(&self) -> Result<&ThreadHeap, Error> {
        let mut current = T::current(&self.main);
        if T::SHARED && current.is_null() {
            current = self.take_part()?;
            T::set_current(current);
        }
        // SAFETY: parts live as long as the heap.
        Ok(unsafe { &*current })
    }

    fn take_part(&self) -> Result<*const ThreadHeap, Error> {
        let mut parts = self.parts.0.lock();
        if !parts.main_taken {
            parts.main_taken = true;
            return Ok(&self.main);
        }
        // SAFETY: parts live as long as the heap, and those on the list are the lock holder's.
        if let Some(orphan) = unsafe { parts.orphan.as_ref() } {
            parts.orphan = orphan.next_orphan.get();
            return Ok(orphan);
        }
        drop(parts);
        self.new_part()
    }

    /// A new part, in a block of the first segment that it owns.
    fn new_part(&self) -> Result<*const ThreadHeap, Error> {
        const MASK: usize = mask_of(size_of::<ThreadHeap>(), align_of::<ThreadHeap>());
        const { assert!(MASK <= BUCKET_MASK_MAX) };
        let mut local = Local::new(C::GEOMETRY);
        let place = local.refill(&self.shared, ptr::null(), C::slot_of(MASK))?;
        let place = place.cast::<ThreadHeap>().as_ptr();
        let mut next = local.segments().first();
        while let Some(segment) = next {
            // SAFETY: the segment is in the list, and no other thread knows of it yet.
            unsafe {
                (*segment.as_ptr()).owner = place;
                next = local.segments().after(segment);
            }
        }
        #[cfg(feature = "checked")]
        local.seal(&self.shared.secret);
        let part = ThreadHeap {
            local: UnsafeCell::new(local),
            ..ThreadHeap::new(C::GEOMETRY)
        };
        // SAFETY: the block is large enough, aligned, unused, and never freed.
        unsafe { place.write(part) };
        Ok(place)
    }
}

impl<S: Source + Sync, W: ThreadWord, C: SizeClasses> Heap<S, Threads<W>, C> {
    /// Leaves the running thread's part to a thread to come. To be called when a thread ends; blocks that it allocated
    /// stay valid. A thread that allocates afterwards takes a part again.
    pub fn leave_thread(&self) {
        let current = Threads::<W>::current(&self.main);
        // SAFETY: the part is this thread's own.
        let Some(part) = (unsafe { current.as_ref() }) else {
            return;
        };
        self.reclaim(part);
        Threads::<W>::set_current(ptr::null());
        part.note.set(0);
        let mut parts = self.parts.0.lock();
        part.next_orphan.set(parts.orphan);
        parts.orphan = part;
    }

    /// Gives back everything that is not in use by this thread or was left by threads that ended.
    ///
    /// What other running threads keep, they must give back themselves.
    pub fn trim(&self) {
        if let Some(part) = NonNull::new(Threads::<W>::current(&self.main).cast_mut()) {
            // SAFETY: the part is this thread's own.
            self.reclaim(unsafe { part.as_ref() });
        }
        let parts = self.parts.0.lock();
        let mut next = parts.orphan;
        // SAFETY: parts on the list are the lock holder's.
        while let Some(orphan) = unsafe { next.as_ref() } {
            self.reclaim(orphan);
            next = orphan.next_orphan.get();
        }
    }
}
