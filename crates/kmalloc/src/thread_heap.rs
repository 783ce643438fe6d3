// SPDX-License-Identifier: BSD-2-Clause
//! The part of a heap that belongs to one thread, with the door through which other threads return its blocks.

use crate::local::{Block, Local};
use crate::remote::{Link, RemoteList};
use core::cell::{Cell, UnsafeCell};
use core::ptr;
use kmalloc_bucket::resident::buckets::Geometry;

/// A thread's part of a heap. It outlives the thread: another one takes it over.
#[repr(C)]
pub struct ThreadHeap {
    /// First, so that the lists need no offset.
    pub(crate) local: UnsafeCell<Local>,
    /// Blocks of this thread that others freed.
    pub(crate) remote: RemoteList<Block>,
    /// What the thread left to be found by itself, see `Heap::set_note`.
    pub(crate) note: Cell<u32>,
    /// The next in the list of those without a thread.
    pub(crate) next_orphan: Cell<*const ThreadHeap>,
}

impl ThreadHeap {
    pub(crate) const fn new(geometry: &'static Geometry) -> ThreadHeap {
        ThreadHeap {
            local: UnsafeCell::new(Local::new(geometry)),
            remote: RemoteList::new(),
            note: Cell::new(0),
            next_orphan: Cell::new(ptr::null()),
        }
    }
}

impl Link for Block {
    unsafe fn set_next(node: *mut Block, next: *mut Block) {
        // SAFETY: the node is a block that the caller gives up.
        unsafe { (*node).next = next };
    }
}

// SAFETY: a free block is bytes.
unsafe impl Send for Block {}
