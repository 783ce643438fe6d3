// SPDX-License-Identifier: BSD-2-Clause
//! The list by which blocks that other threads freed come home. `host/interleavings` checks every interleaving.

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// A node of a [`RemoteList`].
pub(crate) trait Link {
    /// Writes the link to the next node.
    ///
    /// # Safety
    ///
    /// `node` is valid, and this thread's alone.
    unsafe fn set_next(node: *mut Self, next: *mut Self);
}

/// An atomic pointer: `core`'s, or that of the model checker.
pub(crate) trait AtomicHead<N> {
    fn load(&self, order: Ordering) -> *mut N;
    fn swap(&self, new: *mut N, order: Ordering) -> *mut N;
    fn compare_exchange_weak(
        &self,
        current: *mut N,
        new: *mut N,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut N, *mut N>;
}

impl<N> AtomicHead<N> for AtomicPtr<N> {
    fn load(&self, order: Ordering) -> *mut N {
        self.load(order)
    }

    fn swap(&self, new: *mut N, order: Ordering) -> *mut N {
        self.swap(new, order)
    }

    fn compare_exchange_weak(
        &self,
        current: *mut N,
        new: *mut N,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut N, *mut N> {
        self.compare_exchange_weak(current, new, success, failure)
    }
}

/// A stack that any thread pushes to and one takes whole, without a lock.
///
/// Nodes are never popped one by one, so the ABA problem does not arise.
pub(crate) struct RemoteList<N, A = AtomicPtr<N>> {
    head: A,
    nodes: PhantomData<*mut N>,
}

// SAFETY: a node is handed from the thread that pushes it to the one that takes it; between the two nobody uses it.
unsafe impl<N: Send, A: Sync> Sync for RemoteList<N, A> {}

impl<N> RemoteList<N> {
    pub const fn new() -> RemoteList<N> {
        RemoteList::with_head(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<N, A> RemoteList<N, A> {
    /// An empty list, whose `head` is null.
    pub const fn with_head(head: A) -> RemoteList<N, A> {
        RemoteList {
            head,
            nodes: PhantomData,
        }
    }
}

impl<N: Link, A: AtomicHead<N>> RemoteList<N, A> {
    /// Adds a node.
    ///
    /// # Safety
    ///
    /// `node` is valid until it is taken, and the caller gives it up.
    pub unsafe fn push(&self, node: *mut N) {
        // Only the address of the head is used here, not what it points to: relaxed will do.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the node is the caller's until the exchange succeeds.
            unsafe { N::set_next(node, head) };
            // Release: who takes the list sees the link, and all that this thread did with the block before.
            let exchanged =
                self.head
                    .compare_exchange_weak(head, node, Ordering::Release, Ordering::Relaxed);
            match exchanged {
                Ok(_) => return,
                Err(current) => head = current,
            }
        }
    }

    /// Takes all nodes; null if there is none. The last pushed comes first.
    pub fn take_all(&self) -> *mut N {
        // Mostly there is nothing, and a load is cheaper than an exchange.
        if self.head.load(Ordering::Relaxed).is_null() {
            return ptr::null_mut();
        }
        // Acquire: pairs with the pushes. Each of them extends the release sequence of the one before, so this
        // synchronises with all of them.
        self.head.swap(ptr::null_mut(), Ordering::Acquire)
    }
}
