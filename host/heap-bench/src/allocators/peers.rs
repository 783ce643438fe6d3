// SPDX-License-Identifier: BSD-2-Clause
//! What makes allocators of the crates that have none for a program with one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};

/// An allocator without a lock: the heap that it is compared with has none either.
pub struct SingleThreaded<A>(UnsafeCell<A>);

// SAFETY: who made it promised that only one thread uses it.
unsafe impl<A> Sync for SingleThreaded<A> {}

impl<A> SingleThreaded<A> {
    /// # Safety
    ///
    /// Only one thread ever uses it.
    pub const unsafe fn new(allocator: A) -> SingleThreaded<A> {
        SingleThreaded(UnsafeCell::new(allocator))
    }
}

// SAFETY: what the crate promises of its functions; no two calls run at a time.
unsafe impl GlobalAlloc for SingleThreaded<dlmalloc::Dlmalloc> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { (*self.0.get()).realloc(block, layout.size(), layout.align(), size) }
    }
}

/// rlsf with as many classes as its own global allocator has.
pub type Rlsf = rlsf::FlexTlsf<Break, usize, usize, { usize::BITS as usize }, 64>;

/// rlsf over memory that grows at its end, which suits it best.
pub const fn rlsf_over_a_break() -> Rlsf {
    Rlsf::new(Break {
        start: ptr::null_mut(),
        length: 0,
    })
}

// SAFETY: as above.
unsafe impl GlobalAlloc for SingleThreaded<Rlsf> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no two calls run at a time.
        let block = unsafe { (*self.0.get()).allocate(layout) };
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { (*self.0.get()).deallocate(NonNull::new_unchecked(block), layout.align()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller says.
        let block = unsafe {
            let layout = Layout::from_size_align_unchecked(size, layout.align());
            (*self.0.get()).reallocate(NonNull::new_unchecked(block), layout)
        };
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

/// Address space whose beginning is in use.
pub struct Break {
    start: *mut u8,
    length: usize,
}

/// Bytes of address space.
const BREAK_SIZE: usize = 8 << 30;
/// Bytes by which it grows.
const BREAK_STEP: usize = 64 << 10;

// SAFETY: it is reached through its one owner.
unsafe impl Send for Break {}

// SAFETY: the memory is readable, writable, and nobody else's.
unsafe impl rlsf::FlexSource for Break {
    unsafe fn alloc(&mut self, size: usize) -> Option<NonNull<[u8]>> {
        if !self.start.is_null() {
            return None;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping affects no other. Its pages cost nothing before they are used.
        let start = unsafe { libc::mmap(ptr::null_mut(), BREAK_SIZE, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        self.start = start.cast();
        self.length = size.next_multiple_of(BREAK_STEP);
        NonNull::new(ptr::slice_from_raw_parts_mut(self.start, self.length))
    }

    unsafe fn realloc_inplace_grow(&mut self, _: NonNull<[u8]>, size: usize) -> Option<usize> {
        let length = size.next_multiple_of(BREAK_STEP);
        if length > BREAK_SIZE {
            return None;
        }
        self.length = length;
        Some(length)
    }

    fn supports_realloc_inplace_grow(&self) -> bool {
        true
    }

    fn is_contiguous_growable(&self) -> bool {
        true
    }

    fn min_align(&self) -> usize {
        4096
    }
}

/// talc without a lock.
pub type TalcHeap = talc::cell::TalcSyncCell<
    talc::source::GlobalAllocSource<System>,
    talc::base::binning::DefaultBinning,
>;

/// talc over blocks of the system's allocator.
pub const fn talc_over_the_system() -> TalcHeap {
    // SAFETY: the bench has one thread.
    unsafe {
        TalcHeap::new(talc::TalcCell::new(talc::source::GlobalAllocSource::new(
            System,
        )))
    }
}

/// Gives the same memory to everyone.
pub struct Nothing;

/// Bytes that the largest workload asks for at a time.
const PLACE_SIZE: usize = 1 << 20;

#[repr(align(4096))]
struct Place(UnsafeCell<[u8; PLACE_SIZE]>);

// SAFETY: nothing is read from it.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new([0; PLACE_SIZE]));

// SAFETY: this is no allocator; the workloads write to blocks and read nothing.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        PLACE.0.get().cast()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, block: *mut u8, _: Layout, _: usize) -> *mut u8 {
        block
    }
}
