// SPDX-License-Identifier: BSD-2-Clause
//! Whether a heap serves one thread or several: a type parameter, so that one thread pays nothing for the others.

use crate::thread_heap::ThreadHeap;
use core::marker::PhantomData;

/// How a heap finds the part of it that belongs to the running thread. [`SingleThread`] or [`Threads`].
pub trait Threading: sealed::Sealed {
    /// Whether there is more than one thread.
    #[doc(hidden)]
    const SHARED: bool;
    /// The running thread's part; null if it has none yet.
    #[doc(hidden)]
    fn current(main: &ThreadHeap) -> *const ThreadHeap;
    /// Changes what [`Threading::current`] returns to the running thread.
    #[doc(hidden)]
    fn set_current(thread_heap: *const ThreadHeap);
}

/// The program has one thread, or only one that allocates.
pub struct SingleThread;

/// The program has threads, each with a word of its own.
pub struct Threads<W: ThreadWord>(PhantomData<fn() -> W>);

/// A word that each thread has for itself, null at first: on seL4 the user-data word of the IPC buffer, on a host a
/// thread-local. One word serves one heap.
///
/// # Safety
///
/// `get` returns what the running thread passed to `set` last, or null if it never did.
pub unsafe trait ThreadWord {
    /// The running thread's word.
    fn get() -> *mut ();
    /// Changes the running thread's word.
    fn set(value: *mut ());
}

impl Threading for SingleThread {
    const SHARED: bool = false;

    #[inline(always)]
    fn current(main: &ThreadHeap) -> *const ThreadHeap {
        main
    }

    fn set_current(_: *const ThreadHeap) {}
}

impl<W: ThreadWord> Threading for Threads<W> {
    const SHARED: bool = true;

    #[inline(always)]
    fn current(_: &ThreadHeap) -> *const ThreadHeap {
        W::get().cast_const().cast()
    }

    fn set_current(thread_heap: *const ThreadHeap) {
        W::set(thread_heap.cast_mut().cast());
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::SingleThread {}
    impl<W: super::ThreadWord> Sealed for super::Threads<W> {}
}
