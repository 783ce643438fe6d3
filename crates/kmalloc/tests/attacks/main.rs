// SPDX-License-Identifier: BSD-2-Clause
//! The resident heap under attack, by the names that heap attacks go by. In checked mode each is noticed or does no harm; what
//! fast mode does not notice, its tests show. `docs/TESTING.md` has the table.

#[cfg(feature = "checked")]
mod beside;
#[cfg(feature = "checked")]
mod books;
#[cfg(feature = "checked")]
mod checked;
#[cfg(not(feature = "checked"))]
mod fast;

use kmalloc::{Flags, Heap, Region, Source};
use kmalloc_host_source::HostSource;
use std::collections::BTreeMap;
use std::ptr::NonNull;

const LIMIT: usize = 256 << 20;

/// Bytes of the blocks of each class.
fn classes() -> impl Iterator<Item = usize> {
    let quarters = (9..14).flat_map(|octave| (5..=8).map(move |quarter| quarter << (octave - 2)));
    (1..=32).map(|granules| granules * 16).chain(quarters)
}

/// A heap, and what the test has of it.
struct Target {
    heap: Box<Heap<HostSource>>,
    live: BTreeMap<usize, usize>,
}

impl Target {
    fn new() -> Target {
        Target {
            // SAFETY: each test uses its heap from one thread.
            heap: Box::new(unsafe { Heap::single_threaded(HostSource::new(LIMIT)) }),
            live: BTreeMap::new(),
        }
    }

    /// A block, all of it written.
    fn kmalloc(&self, size: usize) -> NonNull<u8> {
        let block = self.heap.kmalloc(size, Flags::empty()).unwrap();
        // SAFETY: the block has that size.
        unsafe { block.write_bytes(0x33, size) };
        block
    }

    /// As [`Target::kmalloc`]; the block is the heap's own memory, and overlaps none that was taken by this.
    fn take(&mut self, size: usize) -> NonNull<u8> {
        let block = self.kmalloc(size);
        let start = block.addr().get();
        assert!(self.heap.source().region_of(start).is_some(), "{block:p}");
        let before = self.live.range(..start + size).next_back();
        if let Some((other, length)) = before {
            assert!(other + length <= start, "{block:p} lies on {other:#x}");
        }
        self.live.insert(start, size);
        block
    }

    /// What happens when `block` is freed.
    fn kfree(&self, block: NonNull<u8>) -> Result<(), kmalloc::Error> {
        // SAFETY: the block is the test's, or the call is the mistake.
        unsafe { self.heap.kfree(block) }
    }

    /// The header's page of the segment that a block lies in.
    fn header_page(&self, block: NonNull<u8>) -> NonNull<u8> {
        let is_resident = Some(Region::Resident);
        assert_eq!(
            self.heap.source().region_of(block.addr().get()),
            is_resident
        );
        let start = block
            .as_ptr()
            .map_addr(|address| address & !(kmalloc::SEGMENT_SIZE - 1));
        NonNull::new(start).unwrap()
    }
}

/// The table of the large blocks, which was there before the first of them: where the region begins.
fn records(large: NonNull<u8>) -> NonNull<u64> {
    const REGION_ALIGN: usize = 1 << 30;
    let start = large
        .as_ptr()
        .map_addr(|address| address & !(REGION_ALIGN - 1));
    NonNull::new(start.cast()).unwrap()
}

/// Changes bytes, whatever they are.
///
/// # Safety
///
/// They are mapped, and nobody looks at them meanwhile.
unsafe fn change(from: NonNull<u8>, length: usize) {
    for offset in 0..length {
        // SAFETY: as the caller says.
        unsafe {
            let byte = from.add(offset);
            byte.write(!byte.read());
        }
    }
}
