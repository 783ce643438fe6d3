// SPDX-License-Identifier: BSD-2-Clause
//! Peers that are no [`GlobalAlloc`] without a lock of their own. Each has a region and one thread, as the heap has.

use super::REGION_BYTES;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::ptr::{NonNull, null_mut};

fn pointer<E>(block: Result<NonNull<u8>, E>) -> *mut u8 {
    block.map_or(null_mut(), NonNull::as_ptr)
}

/// dlmalloc, which asks for memory piece by piece.
pub struct Dlmalloc(UnsafeCell<dlmalloc::Dlmalloc<Pieces>>);

/// A region that is handed out from its beginning on.
struct Pieces {
    next: Cell<*mut u8>,
    left: Cell<usize>,
}

// SAFETY: the region is this allocator's alone.
unsafe impl Send for Pieces {}

// SAFETY: each piece is handed out once, is mapped, and is never taken back.
unsafe impl dlmalloc::Allocator for Pieces {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size > self.left.get() {
            return (null_mut(), 0, 0);
        }
        let piece = self.next.get();
        // SAFETY: so much is left of the region.
        self.next.set(unsafe { piece.add(size) });
        self.left.set(self.left.get() - size);
        (piece, size, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        false
    }

    fn page_size(&self) -> usize {
        4096
    }
}

impl Dlmalloc {
    /// Over a region of [`REGION_BYTES`] that nobody else uses.
    pub fn new(region: NonNull<u8>) -> Dlmalloc {
        let pieces = Pieces {
            next: Cell::new(region.as_ptr()),
            left: Cell::new(REGION_BYTES),
        };
        Dlmalloc(UnsafeCell::new(dlmalloc::Dlmalloc::new_with_allocator(
            pieces,
        )))
    }
}

// SAFETY: dlmalloc keeps the contract; one thread, and no reference lives longer than a call.
unsafe impl GlobalAlloc for Dlmalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the whole; the same below.
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { (*self.0.get()).realloc(block, layout.size(), layout.align(), size) }
    }
}

/// Blocks of up to 2^26 bytes: as much as the region has.
type Tlsf = rlsf::Tlsf<'static, u32, u32, 24, 32>;

/// rlsf.
pub struct Rlsf(UnsafeCell<Tlsf>);

impl Rlsf {
    /// Over a region of [`REGION_BYTES`] that nobody else uses.
    pub fn new(region: NonNull<u8>) -> Rlsf {
        let mut tlsf = Tlsf::new();
        // SAFETY: the region is mapped for good.
        unsafe { tlsf.insert_free_block_ptr(NonNull::slice_from_raw_parts(region, REGION_BYTES)) };
        Rlsf(UnsafeCell::new(tlsf))
    }
}

// SAFETY: rlsf keeps the contract; one thread, and no reference lives longer than a call.
unsafe impl GlobalAlloc for Rlsf {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the whole; the same below.
        pointer(unsafe { (*self.0.get()).allocate(layout) }.ok_or(()))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: as above.
            unsafe { (*self.0.get()).deallocate(block, layout.align()) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(block) = NonNull::new(block) else {
            return null_mut();
        };
        match Layout::from_size_align(size, layout.align()) {
            // SAFETY: as above.
            Ok(layout) => pointer(unsafe { (*self.0.get()).reallocate(block, layout) }.ok_or(())),
            Err(_) => null_mut(),
        }
    }
}

/// linked_list_allocator.
pub struct LinkedList(UnsafeCell<linked_list_allocator::Heap>);

impl LinkedList {
    /// Over a region of [`REGION_BYTES`] that nobody else uses.
    pub fn new(region: NonNull<u8>) -> LinkedList {
        // SAFETY: the region is mapped for good.
        let heap = unsafe { linked_list_allocator::Heap::new(region.as_ptr(), REGION_BYTES) };
        LinkedList(UnsafeCell::new(heap))
    }
}

// SAFETY: linked_list_allocator keeps the contract; one thread, and no reference lives longer than a call.
unsafe impl GlobalAlloc for LinkedList {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the whole; the same below.
        pointer(unsafe { (*self.0.get()).allocate_first_fit(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: as above.
            unsafe { (*self.0.get()).deallocate(block, layout) }
        }
    }
}

/// buddy_system_allocator, with blocks of up to 2^31 bytes.
pub struct Buddy(UnsafeCell<buddy_system_allocator::Heap<32>>);

impl Buddy {
    /// Over a region of [`REGION_BYTES`] that nobody else uses.
    pub fn new(region: NonNull<u8>) -> Buddy {
        let mut heap = buddy_system_allocator::Heap::new();
        // SAFETY: the region is mapped for good.
        unsafe { heap.init(region.as_ptr().expose_provenance(), REGION_BYTES) };
        Buddy(UnsafeCell::new(heap))
    }
}

// SAFETY: buddy_system_allocator keeps the contract; one thread, and no reference lives longer than a call.
unsafe impl GlobalAlloc for Buddy {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the whole; the same below.
        pointer(unsafe { (*self.0.get()).alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: as above.
            unsafe { (*self.0.get()).dealloc(block, layout) }
        }
    }
}
