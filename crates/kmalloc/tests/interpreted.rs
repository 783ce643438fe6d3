// SPDX-License-Identifier: BSD-2-Clause
//! The heap over memory of the usual allocator. Miri knows nothing of reserved pages, which the other tests' source is made
//! of; this one it runs, and sees each access outside of what is allocated or by a pointer that may not be there.
#![allow(
    missing_docs,
    reason = "a test program has no readers of its documentation"
)]

use kmalloc::{Error, Flags, Heap, Region, SEGMENT_SIZE, Source};
use std::alloc::{GlobalAlloc, Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::Mutex;

/// Operations of each random run. The checked heap looks at each byte of a block, which takes an interpreter long.
const STEPS: usize = match (cfg!(miri), cfg!(feature = "checked")) {
    (true, true) => 30,
    (true, false) => 150,
    _ => 20_000,
};
/// Sizes: each path of the heap.
const SIZES: [usize; 8] = [1, 24, 100, 700, 3000, 16_384, 20_000, 70_000];
/// Alignments, as powers of two.
const ALIGN_BITS: &[u32] = if cfg!(miri) {
    &[0, 4, 12]
} else {
    &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
};

/// Whole allocations: first address, bytes, and the region that they count for.
#[derive(Default)]
struct Plain {
    given: Mutex<Vec<(usize, usize, Region)>>,
}

impl Plain {
    fn take(&self, bytes: usize, align: usize, region: Region) -> NonNull<u8> {
        let layout = Layout::from_size_align(bytes, align).unwrap();
        // SAFETY: no heap asks for nothing.
        let at = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
        let given = (at.addr().get(), bytes, region);
        self.given.lock().unwrap().push(given);
        at
    }

    /// # Safety
    ///
    /// `at` came from `take` with this alignment, and nothing uses it any more.
    unsafe fn give(&self, at: NonNull<u8>, align: usize) {
        let mut given = self.given.lock().unwrap();
        let index = given.iter().position(|it| it.0 == at.addr().get());
        let (_, bytes, _) = given.swap_remove(index.expect("what was taken"));
        let layout = Layout::from_size_align(bytes, align).unwrap();
        // SAFETY: as the caller says.
        unsafe { dealloc(at.as_ptr(), layout) };
    }

    fn is_empty(&self) -> bool {
        self.given.lock().unwrap().is_empty()
    }
}

/// Alignment of every large block, which is the most that is asked for here.
const LARGE_ALIGN: usize = 1 << 16;

// SAFETY: memory that is handed out is zero, and not handed out again before it is released: a segment is one allocation
// from when it is opened to when it is closed, and what is unmapped of it is made zero.
unsafe impl Source for Plain {
    fn segment_open(&self, _: usize) -> Result<NonNull<u8>, Error> {
        Ok(self.take(SEGMENT_SIZE, SEGMENT_SIZE, Region::Resident))
    }

    unsafe fn segment_map(&self, _: NonNull<u8>, _: usize) -> Result<(), Error> {
        Ok(())
    }

    unsafe fn segment_unmap(&self, at: NonNull<u8>, bytes: usize) {
        // SAFETY: the pages lie in one segment, and nothing uses them.
        unsafe { at.write_bytes(0, bytes) };
    }

    unsafe fn segment_close(&self, segment: NonNull<u8>) {
        // SAFETY: as the caller says.
        unsafe { self.give(segment, SEGMENT_SIZE) };
    }

    fn large_alloc(&self, bytes: usize, align: usize) -> Result<NonNull<u8>, Error> {
        assert!(align <= LARGE_ALIGN);
        Ok(self.take(bytes, LARGE_ALIGN, Region::Large))
    }

    unsafe fn large_resize(
        &self,
        block: NonNull<u8>,
        bytes_old: usize,
        bytes_new: usize,
    ) -> Result<NonNull<u8>, Error> {
        let moved = self.take(bytes_new, LARGE_ALIGN, Region::Large);
        // SAFETY: both blocks have as many bytes, and the old one is used no more.
        unsafe {
            moved.copy_from_nonoverlapping(block, bytes_old.min(bytes_new));
            self.give(block, LARGE_ALIGN);
        }
        Ok(moved)
    }

    unsafe fn large_free(&self, block: NonNull<u8>, _: usize) {
        // SAFETY: as the caller says.
        unsafe { self.give(block, LARGE_ALIGN) };
    }

    fn region_of(&self, address: usize) -> Option<Region> {
        let given = self.given.lock().unwrap();
        let holds = |&&(start, bytes, _): &&(usize, usize, Region)| {
            (start..start + bytes).contains(&address)
        };
        given.iter().find(holds).map(|it| it.2)
    }
}

fn random(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state % below as u64) as usize
}

#[test]
fn blocks_hold_what_was_written_until_they_go() {
    // SAFETY: the test uses the heap from one thread.
    let heap = unsafe { Heap::single_threaded(Plain::default()) };
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut live: Vec<(NonNull<u8>, usize, u8)> = Vec::new();
    // SAFETY: what is live has as many bytes, all of them written, and each block is freed or resized once.
    unsafe {
        for step in 0..STEPS {
            let size = SIZES[random(&mut state, SIZES.len())];
            let fill = step as u8;
            match random(&mut state, 4) {
                0 if !live.is_empty() => {
                    let index = random(&mut state, live.len());
                    let (block, size, fill) = live.swap_remove(index);
                    assert_eq!((block.read(), block.add(size - 1).read()), (fill, fill));
                    heap.kfree(block).unwrap();
                }
                1 if !live.is_empty() => {
                    let index = random(&mut state, live.len());
                    let (block, old, before) = live.swap_remove(index);
                    let block = heap.krealloc(Some(block), size, Flags::empty());
                    let block = block.unwrap().expect("a size that is not 0");
                    let last = block.add(size.min(old) - 1);
                    assert_eq!((block.read(), last.read()), (before, before));
                    block.write_bytes(fill, size);
                    live.push((block, size, fill));
                }
                _ => {
                    let block = heap.kmalloc(size, Flags::ZERO).unwrap();
                    assert_eq!((block.read(), block.add(size - 1).read()), (0, 0));
                    block.write_bytes(fill, size);
                    live.push((block, size, fill));
                }
            }
        }
        for (block, ..) in live {
            heap.kfree(block).unwrap();
        }
    }
    heap.audit().unwrap();
    heap.trim();
    assert!(heap.source().is_empty());
}

#[test]
fn layouts_of_the_global_allocator_come_and_go() {
    // SAFETY: the test uses the heap from one thread.
    let heap = unsafe { Heap::single_threaded(Plain::default()) };
    for align_bits in ALIGN_BITS {
        for size in SIZES {
            let layout = Layout::from_size_align(size, 1 << align_bits).unwrap();
            // SAFETY: the layout is not empty, and each block is freed with the layout that it has then.
            unsafe {
                let block = heap.alloc_zeroed(layout);
                assert!(block.addr().is_multiple_of(layout.align()));
                assert_eq!(block.add(size - 1).read(), 0);
                block.write(7);
                let grown = heap.realloc(block, layout, size + 1);
                assert_eq!(grown.read(), 7);
                let layout = Layout::from_size_align(size + 1, layout.align()).unwrap();
                heap.dealloc(grown, layout);
            }
        }
    }
    heap.trim();
    assert!(heap.source().is_empty());
}

/// A value behind a reference that has the right to its own bytes alone, as `Box` has.
#[test]
#[cfg_attr(
    miri,
    ignore = "the heap reaches a segment's header from the block, which neither model of borrows lets such a pointer do"
)]
fn what_a_reference_reached_can_be_freed() {
    // SAFETY: the test uses the heap from one thread.
    let heap = unsafe { Heap::single_threaded(Plain::default()) };
    let blocks: Vec<_> = (0..40)
        .map(|number| {
            let block = heap.kmalloc(8, Flags::empty()).unwrap().cast::<u64>();
            // SAFETY: the block has eight bytes, aligned to 16, and nobody else has it.
            unsafe {
                block.write(number);
                &mut *block.as_ptr()
            }
        })
        .collect();
    let sum: u64 = blocks.iter().map(|number| **number).sum();
    assert_eq!(sum, 40 * 39 / 2);
    for block in blocks {
        // SAFETY: it is a block, and the reference is gone.
        unsafe { heap.kfree(NonNull::from(block).cast()).unwrap() };
    }
    heap.trim();
    assert!(heap.source().is_empty());
}
