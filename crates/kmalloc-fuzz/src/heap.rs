// SPDX-License-Identifier: BSD-2-Clause
//! The resident heap: any calls in any order, beside a map of what must be where and what it must hold.

#[cfg(feature = "checked")]
mod mistakes;
mod shadow;

use kmalloc::{Error, Flags, Heap};
use kmalloc_host_source::HostSource;
use shadow::{Block, Shadow};
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::{NonNull, without_provenance_mut};

/// Bytes that the heap can have: little enough that it runs out.
const LIMIT: usize = 16 << 20;
/// Of these, what the heap may have taken beyond what is in use, at the most.
const SLACK: usize = 6 << 20;
/// Calls of one input.
const CALLS_MAX: usize = 400;
/// Calls between two checks of all of the heap's books.
const AUDIT_EVERY: usize = 16;

/// Each four bytes are a call: which and how its size is meant, which block or alignment, the size.
///
/// # Panics
/// When a block is not where it may be or does not hold what it must, when the heap's books disagree, or when something
/// is left in the end.
pub fn heap(bytes: &[u8]) {
    #[cfg(feature = "checked")]
    mistakes::listen();
    // SAFETY: this thread alone uses the heap.
    let heap = Box::new(unsafe { Heap::single_threaded(HostSource::new(LIMIT)) });
    let mut world = World {
        heap,
        shadow: Shadow::default(),
    };
    let (calls, _) = bytes.as_chunks();
    for (index, call) in calls.iter().take(CALLS_MAX).enumerate() {
        world.call(*call);
        if index % AUDIT_EVERY == 0 {
            world.heap.audit().expect("the heap has a part");
        }
    }
    while let Some(block) = world.shadow.take(0) {
        world.free(&block);
    }
    world.heap.trim();
    let audit = world.heap.audit().expect("the heap has a part");
    assert_eq!(audit.mapped, 0, "{audit:?}");
    assert_eq!(world.heap.source().usage().mapped, 0);
    #[cfg(feature = "checked")]
    mistakes::expect(&[]);
}

struct World {
    heap: Box<Heap<HostSource>>,
    shadow: Shadow,
}

/// A size of a call: few bytes, some, many, or one at the edge of a power of two.
fn size(shape: u8, low: u8, high: u8) -> usize {
    let number = usize::from(u16::from_le_bytes([low, high]));
    match shape % 4 {
        0 => usize::from(low),
        1 => number,
        2 => number << 4,
        _ => (1_usize << (low % 21)).saturating_add_signed(isize::from(high as i8)),
    }
}

impl World {
    fn call(&mut self, [kind, which, low, high]: [u8; 4]) {
        let size = size(kind >> 4, low, high);
        let zero = which % 2 == 1;
        let flags = if zero { Flags::ZERO } else { Flags::empty() };
        let align = 1 << (which % 16);
        let layout = Layout::from_size_align(size.max(1), align).expect("a layout");
        match kind % 16 {
            0 | 1 => self.add(self.heap.kmalloc(size, flags), size, zero),
            2 => {
                let (count, size) = (usize::from(which % 8), size / 8);
                let taken = self.heap.kcalloc(count, size, flags);
                self.add(taken, count * size, true);
            }
            3 => self.add_with_layout(layout, false),
            4 => self.add_with_layout(layout, true),
            5..=7 => {
                if let Some(block) = self.shadow.take(which.into()) {
                    self.free(&block);
                }
            }
            8 | 9 => self.resize(which, size),
            10 => self.overflow(which),
            11 => self.look(which),
            12 => self.heap.trim(),
            13 => {
                let taken = self.heap.kmalloc_aligned(size, align, flags);
                if let Ok(block) = taken {
                    assert!(block.addr().get().is_multiple_of(align));
                }
                self.add(taken, size, zero);
            }
            14 => self.wild(size),
            #[cfg(feature = "checked")]
            _ => mistakes::make(self, which, size),
            #[cfg(not(feature = "checked"))]
            _ => self.look(which),
        }
    }

    /// A block is there, or a reason why not.
    fn add(&mut self, taken: Result<NonNull<u8>, Error>, size: usize, zero: bool) {
        let Ok(address) = taken else {
            return self.check_shortage(size);
        };
        assert!(address.addr().get().is_multiple_of(16));
        if size.is_power_of_two() {
            assert!(address.addr().get().is_multiple_of(size.min(4096)));
        }
        // SAFETY: the block was just served.
        let usable = unsafe { self.heap.ksize(address) }.expect("a block");
        assert!(usable >= size);
        self.shadow.add(address, size, None, zero);
    }

    fn add_with_layout(&mut self, layout: Layout, zero: bool) {
        // SAFETY: the layout is not empty.
        let address = unsafe {
            match zero {
                true => self.heap.alloc_zeroed(layout),
                false => self.heap.alloc(layout),
            }
        };
        let Some(address) = NonNull::new(address) else {
            return self.check_shortage(layout.size());
        };
        assert!(address.addr().get().is_multiple_of(layout.align()));
        self.shadow
            .add(address, layout.size(), Some(layout.align()), zero);
    }

    /// A call fails only when there is too little memory for it, in whatever way it is used.
    fn check_shortage(&self, size: usize) {
        let mapped = self.heap.source().usage().mapped;
        assert!(
            mapped + 2 * size + SLACK > LIMIT,
            "{size} bytes refused, and {mapped} mapped"
        );
    }

    fn free(&self, block: &Block) {
        // SAFETY: the block is in use, and given up.
        unsafe {
            match block.layout() {
                Some(layout) => self.heap.dealloc(block.address.as_ptr(), layout),
                None => self.heap.kfree(block.address).expect("a block"),
            }
        }
    }

    fn resize(&mut self, which: u8, size: usize) {
        let Some(block) = self.shadow.take(which.into()) else {
            return;
        };
        let size = size.max(1);
        // SAFETY: the block is in use, and given up for the one returned.
        let resized = unsafe {
            match block.layout() {
                Some(layout) => {
                    let heap = &self.heap;
                    NonNull::new(heap.realloc(block.address.as_ptr(), layout, size))
                }
                None => {
                    let heap = &self.heap;
                    let resized = heap.krealloc(Some(block.address), size, Flags::empty());
                    resized.ok().flatten()
                }
            }
        };
        match resized {
            Some(address) => {
                if let Some(align) = block.align {
                    assert!(address.addr().get().is_multiple_of(align));
                }
                self.shadow.add_resized(address, size, &block);
            }
            None => {
                self.check_shortage(size);
                self.shadow.put_back(block);
            }
        }
    }

    /// A product that no `usize` holds is refused, and the block is as it was.
    fn overflow(&mut self, which: u8) {
        let count = usize::MAX / 2;
        let overflow = Error::Overflow {
            count: count as u64,
            size: 3,
        };
        let flags = Flags::empty();
        assert_eq!(self.heap.kcalloc(count, 3, flags), Err(overflow));
        assert!(
            self.heap
                .kmalloc(usize::MAX - usize::from(which), flags)
                .is_err()
        );
        if let Some(block) = self.shadow.take(which.into()) {
            let address = Some(block.address);
            // SAFETY: the block is in use, and the call refused.
            let refused = unsafe { self.heap.krealloc_array(address, count, 3, flags) };
            assert_eq!(refused, Err(overflow));
            self.shadow.put_back(block);
        }
    }

    fn look(&mut self, which: u8) {
        if let Some(block) = self.shadow.take(which.into()) {
            // SAFETY: the block is in use.
            let usable = unsafe { self.heap.ksize(block.address) }.expect("a block");
            assert!(usable >= block.size);
            self.shadow.put_back(block);
        }
    }

    /// A pointer to what is none of the heap's.
    fn wild(&mut self, size: usize) {
        let mut here = [0_u8; 16];
        let wild = [
            NonNull::from(&mut here).cast(),
            NonNull::new(without_provenance_mut(size + 1)).expect("it is not null"),
        ];
        for pointer in wild {
            let address = pointer.addr().get() as u64;
            // SAFETY: it lies in no region of the source, which is what the call is to find out.
            let refused = unsafe { self.heap.kfree(pointer) };
            assert_eq!(refused, Err(Error::BadPointer { address }));
            #[cfg(feature = "checked")]
            mistakes::expect(&[kmalloc::Fault::BadPointer]);
        }
    }
}
