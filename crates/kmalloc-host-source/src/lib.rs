// SPDX-License-Identifier: BSD-2-Clause
//! The host's memory as a source of kmalloc's heap: for tests and benches.
//!
//! Two regions of address space are reserved on first use. Mapping a page makes it accessible; unmapping it gives its
//! memory back and makes it fault again, so that a use after release does not go unseen. Nothing here allocates: the heap
//! that is fed may be the program's own.

mod share;

use kmalloc::{DmaBlock, DmaOptions, DmaSource, Error, Region, SEGMENT_SIZE, Source};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Bytes of address space for segments. Both regions are of a size that valgrind can still reserve.
const RESIDENT_SIZE: usize = 8 << 30;
/// Bytes of address space for large blocks.
const LARGE_SIZE: usize = 16 << 30;
/// Bytes of address space that the smallest large block gets.
const ROOM_SIZE_MIN: usize = 1 << 20;
/// Freed rooms of each size that are used again; further ones stay unused.
const ROOMS_KEPT: usize = 64;
/// Where a region begins that was not reserved yet: far from every address that a program can have, so that none lies in it.
const UNRESERVED: *mut u8 = ptr::without_provenance_mut(1 << 63);
const SEGMENT_WORDS: usize = RESIDENT_SIZE / SEGMENT_SIZE / 64;

/// A source of host memory with a limit, and books of what it gave.
pub struct HostSource {
    limit: usize,
    resident: AtomicPtr<u8>,
    large: AtomicPtr<u8>,
    mapped: AtomicUsize,
    mapped_peak: AtomicUsize,
    calls: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// One bit a segment that is open.
    open: [u64; SEGMENT_WORDS],
    /// Pages mapped in each segment.
    pages: [u16; SEGMENT_WORDS * 64],
    /// Distance of the first address of the large region that was never used.
    large_used: usize,
    /// What begins at each multiple of [`ROOM_SIZE_MIN`] of the large region; mapped, and zero at first.
    blocks: *mut LargeBlock,
    /// Freed rooms of each power of two, as distances.
    rooms: [[usize; ROOMS_KEPT]; usize::BITS as usize],
    rooms_count: [usize; usize::BITS as usize],
}

// SAFETY: the table is reached through the one `State` that names it.
unsafe impl Send for State {}

/// A large block and its address space, in bytes; 0 for none.
#[derive(Clone, Copy)]
struct LargeBlock {
    bytes: usize,
    room: usize,
}

/// What a source gave, and how often it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes mapped now.
    pub mapped: usize,
    /// The most bytes that were mapped at a time.
    pub mapped_peak: usize,
    /// Calls that would be IPC on seL4.
    pub calls: usize,
}

impl HostSource {
    /// A source that maps at most `limit` bytes at a time.
    pub const fn new(limit: usize) -> HostSource {
        HostSource {
            limit,
            resident: AtomicPtr::new(UNRESERVED),
            large: AtomicPtr::new(UNRESERVED),
            mapped: AtomicUsize::new(0),
            mapped_peak: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            state: Mutex::new(State {
                open: [0; SEGMENT_WORDS],
                pages: [0; SEGMENT_WORDS * 64],
                large_used: 0,
                blocks: ptr::null_mut(),
                rooms: [[0; ROOMS_KEPT]; usize::BITS as usize],
                rooms_count: [0; usize::BITS as usize],
            }),
        }
    }

    /// What it gave so far.
    pub fn usage(&self) -> Usage {
        Usage {
            mapped: self.mapped.load(Ordering::Relaxed),
            mapped_peak: self.mapped_peak.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().expect("no call of the source panics");
        if self.resident.load(Ordering::Relaxed) == UNRESERVED {
            self.resident
                .store(reserve(RESIDENT_SIZE), Ordering::Relaxed);
            self.large.store(reserve(LARGE_SIZE), Ordering::Relaxed);
            let accessible = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: the kernel chooses a place where nothing is.
            state.blocks = unsafe { map_at(ptr::null_mut(), TABLE_SIZE, accessible).cast() };
        }
        state
    }

    /// Makes pages accessible, if the limit allows it. They are zero: they are fresh, or were dropped.
    ///
    /// # Safety
    ///
    /// Nothing uses the pages, which lie in a region that this source reserved.
    unsafe fn map(&self, at: *mut u8, bytes: usize) -> Result<(), Error> {
        let committed = self.mapped.load(Ordering::Relaxed);
        if bytes > self.limit - committed {
            return Err(Error::OverQuota {
                limit: self.limit as u64,
                committed: committed as u64,
                requested: bytes as u64,
            });
        }
        let result =
            // SAFETY: as the caller says: no page of anybody else changes, and none in use loses its rights.
            unsafe { libc::mprotect(at.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE) };
        if result != 0 {
            return Err(Error::OutOfMemory {
                free: 0,
                requested: bytes as u64,
            });
        }
        self.mapped.fetch_add(bytes, Ordering::Relaxed);
        self.mapped_peak
            .fetch_max(committed + bytes, Ordering::Relaxed);
        Ok(())
    }

    /// # Safety
    ///
    /// Nothing uses the pages, which lie in a region that this source reserved.
    unsafe fn unmap(&self, at: *mut u8, bytes_reserved: usize, bytes_mapped: usize) {
        // SAFETY: as the caller says.
        unsafe {
            assert_eq!(
                libc::madvise(at.cast(), bytes_reserved, libc::MADV_DONTNEED),
                0
            );
            assert_eq!(
                libc::mprotect(at.cast(), bytes_reserved, libc::PROT_NONE),
                0
            );
        }
        self.mapped.fetch_sub(bytes_mapped, Ordering::Relaxed);
    }

    fn segment_number(&self, at: NonNull<u8>) -> usize {
        let base = self.resident.load(Ordering::Relaxed);
        (at.addr().get() - base.addr()) / SEGMENT_SIZE
    }

    /// The table's entry of the block that begins at `block`.
    fn large_block<'a>(&self, state: &'a mut State, block: NonNull<u8>) -> &'a mut LargeBlock {
        let distance = block.addr().get() - self.large.load(Ordering::Relaxed).addr();
        assert!(distance.is_multiple_of(ROOM_SIZE_MIN) && distance < LARGE_SIZE);
        // SAFETY: the table has an entry for each room of the region.
        unsafe { &mut *state.blocks.add(distance / ROOM_SIZE_MIN) }
    }

    /// Address space for a block of `bytes`: a power of two, so that blocks are aligned, and at least twice the block.
    fn room_alloc(
        &self,
        state: &mut State,
        bytes: usize,
        align: usize,
    ) -> Result<NonNull<u8>, Error> {
        let room = bytes
            .checked_mul(2)
            .and_then(usize::checked_next_power_of_two);
        let room = room.ok_or(Error::OutOfSlots { limit: 0 })?;
        let room = room.max(align).max(ROOM_SIZE_MIN);
        let bits = room.ilog2() as usize;
        let distance = if state.rooms_count[bits] > 0 {
            state.rooms_count[bits] -= 1;
            state.rooms[bits][state.rooms_count[bits]]
        } else {
            let distance = state.large_used.next_multiple_of(room);
            if distance > LARGE_SIZE || room > LARGE_SIZE - distance {
                return Err(Error::OutOfSlots { limit: 0 });
            }
            state.large_used = distance + room;
            distance
        };
        // SAFETY: the distance lies in the region.
        let at = unsafe { self.large.load(Ordering::Relaxed).add(distance) };
        let block = NonNull::new(at).expect("regions do not lie at 0");
        *self.large_block(state, block) = LargeBlock { bytes, room };
        Ok(block)
    }

    fn room_free(&self, state: &mut State, block: NonNull<u8>) {
        let entry = self.large_block(state, block);
        let bits = entry.room.ilog2() as usize;
        *entry = LargeBlock { bytes: 0, room: 0 };
        if state.rooms_count[bits] < ROOMS_KEPT {
            let base = self.large.load(Ordering::Relaxed);
            state.rooms[bits][state.rooms_count[bits]] = block.addr().get() - base.addr();
            state.rooms_count[bits] += 1;
        }
    }
}

impl Drop for HostSource {
    fn drop(&mut self) {
        let table = self.lock().blocks.cast();
        for (base, size) in [
            (self.resident.load(Ordering::Relaxed), RESIDENT_SIZE),
            (self.large.load(Ordering::Relaxed), LARGE_SIZE),
            (table, TABLE_SIZE),
        ] {
            // SAFETY: the memory was reserved with this size; the heap that used it is gone.
            unsafe { libc::munmap(base.cast(), size) };
        }
    }
}

// SAFETY: memory that is handed out is mapped readable and writable, zero, and not handed out again before it is released.
unsafe impl Source for HostSource {
    fn segment_open(&self, bytes: usize) -> Result<NonNull<u8>, Error> {
        let mut state = self.lock();
        let word = state.open.iter().position(|&word| word != u64::MAX);
        let word = word.ok_or(Error::OutOfSlots { limit: 0 })?;
        let bit = state.open[word].trailing_ones() as usize;
        let number = word * 64 + bit;
        // SAFETY: the segment lies in the region, and is not open: nothing uses its pages.
        let base = unsafe {
            let region = self.resident.load(Ordering::Relaxed);
            let base = region.add(number * SEGMENT_SIZE);
            self.map(base, bytes)?;
            base
        };
        state.open[word] |= 1 << bit;
        state.pages[number] = (bytes / 4096) as u16;
        Ok(NonNull::new(base).expect("regions do not lie at 0"))
    }

    unsafe fn segment_map(&self, at: NonNull<u8>, bytes: usize) -> Result<(), Error> {
        let mut state = self.lock();
        // SAFETY: the pages are in an open segment and not mapped, as the caller says.
        unsafe { self.map(at.as_ptr(), bytes)? };
        state.pages[self.segment_number(at)] += (bytes / 4096) as u16;
        Ok(())
    }

    unsafe fn segment_unmap(&self, at: NonNull<u8>, bytes: usize) {
        let mut state = self.lock();
        state.pages[self.segment_number(at)] -= (bytes / 4096) as u16;
        // SAFETY: as the caller says.
        unsafe { self.unmap(at.as_ptr(), bytes, bytes) };
    }

    unsafe fn segment_close(&self, segment: NonNull<u8>) {
        let mut state = self.lock();
        let number = self.segment_number(segment);
        let mapped = state.pages[number] as usize * 4096;
        state.open[number / 64] &= !(1 << (number % 64));
        // SAFETY: as the caller says.
        unsafe { self.unmap(segment.as_ptr(), SEGMENT_SIZE, mapped) };
    }

    fn large_alloc(&self, bytes: usize, align: usize) -> Result<NonNull<u8>, Error> {
        let mut state = self.lock();
        let block = self.room_alloc(&mut state, bytes, align)?;
        // SAFETY: the room was just taken from those that nobody has.
        let mapped = unsafe { self.map(block.as_ptr(), bytes) };
        mapped.inspect_err(|_| self.room_free(&mut state, block))?;
        Ok(block)
    }

    unsafe fn large_resize(
        &self,
        block: NonNull<u8>,
        bytes_old: usize,
        bytes_new: usize,
    ) -> Result<NonNull<u8>, Error> {
        let mut state = self.lock();
        let LargeBlock { bytes, room } = *self.large_block(&mut state, block);
        assert_eq!(bytes, bytes_old, "a large block of another size");
        if bytes_new <= room {
            // SAFETY: the room is the block's own, and nothing uses what lies above `bytes_new`.
            unsafe {
                if bytes_new > bytes_old {
                    self.map(block.as_ptr().add(bytes_old), bytes_new - bytes_old)?;
                } else {
                    let surplus = bytes_old - bytes_new;
                    self.unmap(block.as_ptr().add(bytes_new), surplus, surplus);
                }
            }
            self.large_block(&mut state, block).bytes = bytes_new;
            return Ok(block);
        }
        let moved = self.room_alloc(&mut state, bytes_new, room)?;
        // SAFETY: the block has `bytes_old`, and the new room is unused.
        unsafe {
            let end = moved.as_ptr().add(bytes_old);
            self.map(end, bytes_new - bytes_old)
                .inspect_err(|_| self.room_free(&mut state, moved))?;
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            let (from, to) = (block.as_ptr(), moved.as_ptr());
            let result = libc::mremap(from.cast(), bytes_old, bytes_old, flags, to);
            assert_eq!(result.cast(), to, "the host does not remap");
            // The old place becomes reserved address space again.
            map_at(from, bytes_old, libc::PROT_NONE);
        }
        self.room_free(&mut state, block);
        Ok(moved)
    }

    unsafe fn large_free(&self, block: NonNull<u8>, bytes: usize) {
        let mut state = self.lock();
        let entry = self.large_block(&mut state, block);
        assert_eq!(entry.bytes, bytes, "a large block of another size");
        // SAFETY: as the caller says.
        unsafe { self.unmap(block.as_ptr(), bytes, bytes) };
        self.room_free(&mut state, block);
    }

    #[inline(always)]
    fn region_of(&self, address: usize) -> Option<Region> {
        let resident = self.resident.load(Ordering::Relaxed).addr();
        if address.wrapping_sub(resident) < RESIDENT_SIZE {
            return Some(Region::Resident);
        }
        let large = self.large.load(Ordering::Relaxed).addr();
        (address.wrapping_sub(large) < LARGE_SIZE).then_some(Region::Large)
    }

    #[inline(always)]
    fn is_resident(&self, address: usize) -> bool {
        address.wrapping_sub(self.resident.load(Ordering::Relaxed).addr()) < RESIDENT_SIZE
    }
}

/// On a host there are no devices, so that device memory is a large block, as aligned as it is wanted, and a limit of its
/// address is kept or refused.
impl DmaSource for HostSource {
    fn dma_alloc(&self, bytes: usize, options: &DmaOptions) -> Result<DmaBlock, Error> {
        let bytes = bytes.max(1).checked_next_multiple_of(4096);
        let bytes = bytes.ok_or(Error::BadSize { size: u64::MAX })?;
        let address = self.large_alloc(bytes, options.align.max(4096))?;
        if (address.addr().get() + bytes - 1) as u64 > options.max_addr {
            self.dma_free(address)?;
            let max_addr = options.max_addr;
            return Err(Error::AddressLimit {
                max_addr,
                largest: 0,
            });
        }
        Ok(DmaBlock {
            address,
            dma_addr: address.addr().get() as u64,
        })
    }

    fn dma_free(&self, address: NonNull<u8>) -> Result<(), Error> {
        if self.region_of(address.addr().get()) != Some(Region::Large)
            || !address.addr().get().is_multiple_of(ROOM_SIZE_MIN)
        {
            return Err(Error::BadPointer {
                address: address.addr().get() as u64,
            });
        }
        let bytes = self.large_block(&mut self.lock(), address).bytes;
        if bytes == 0 {
            return Err(Error::BadPointer {
                address: address.addr().get() as u64,
            });
        }
        // SAFETY: a large block of that size begins at `address`, which its owner gives up.
        unsafe { self.large_free(address, bytes) };
        Ok(())
    }
}

/// Bytes of the table of large blocks.
const TABLE_SIZE: usize = LARGE_SIZE / ROOM_SIZE_MIN * size_of::<LargeBlock>();

/// Reserves address space that begins at a multiple of the largest room that is likely to be asked for.
fn reserve(bytes: usize) -> *mut u8 {
    const ALIGN: usize = 1 << 30;
    // SAFETY: the kernel chooses a place where nothing is.
    let base = unsafe { map_at(ptr::null_mut(), bytes + ALIGN, libc::PROT_NONE) };
    let skipped = base.addr().next_multiple_of(ALIGN) - base.addr();
    // SAFETY: the reservation is longer by what is skipped in front and behind, which nobody uses.
    unsafe {
        let aligned = base.add(skipped);
        if skipped > 0 {
            libc::munmap(base.cast(), skipped);
        }
        libc::munmap(aligned.add(bytes).cast(), ALIGN - skipped);
        aligned
    }
}

/// Maps fresh pages at `at`, or where the kernel likes.
///
/// # Safety
///
/// `at` is null, or so many bytes of a region of this source lie there, with nothing in use.
unsafe fn map_at(at: *mut u8, bytes: usize, protection: libc::c_int) -> *mut u8 {
    let fixed = if at.is_null() { 0 } else { libc::MAP_FIXED };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed;
    // SAFETY: a new mapping affects no other; a fixed one replaces pages that nothing uses, as the caller says.
    let mapped = unsafe { libc::mmap(at.cast(), bytes, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        // A panic allocates, and the heap that is fed may be the one that it would allocate from.
        let message = b"kmalloc-host-source: the host has no address space\n";
        // SAFETY: the message has that length.
        unsafe { libc::write(2, message.as_ptr().cast(), message.len()) };
        std::process::abort();
    }
    mapped.cast()
}
