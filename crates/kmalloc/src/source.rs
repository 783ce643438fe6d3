// SPDX-License-Identifier: BSD-2-Clause
//! Where a heap's memory comes from: the memory server over IPC on seL4, the host's memory in tests and benches.

use crate::{Cache, Error};
use core::ptr::NonNull;

/// Bytes in a segment: what one page table maps, what one large frame holds, and the alignment of its address.
pub const SEGMENT_SIZE: usize = kmalloc_bucket::resident::SEGMENT_SIZE;

/// A supplier of mapped memory in two regions of the address space.
///
/// The *resident* region is handed out in **segments**: [`SEGMENT_SIZE`] bytes of address space, aligned to
/// [`SEGMENT_SIZE`], of which any pages may be mapped. The heap keeps its own books inside them.
///
/// The *large* region is handed out in **large blocks**: whole pages with address space behind them that nothing else
/// uses, so that a block can grow where it stands. The source alone decides how much room that is; a power of two at
/// least twice the block, aligned to itself, serves alignment and growth at once.
///
/// All sizes are bytes and multiples of 4096. A heap makes these calls one at a time (under a lock when it has threads),
/// never from its fast paths, and never calls back into itself from one: an implementation must not allocate from the
/// heap it feeds.
///
/// A call that fails has changed nothing.
///
/// # Safety
///
/// Memory that a call returns or maps is readable, writable, zero, and used by nobody else until it is released.
/// Pointers to a segment or a large block carry provenance for all of its address space.
pub unsafe trait Source {
    /// Opens a segment and maps its first `bytes` (1 page to [`SEGMENT_SIZE`]).
    ///
    /// `bytes == SEGMENT_SIZE` allows the source to use one large frame; such a segment is never released in part.
    fn segment_open(&self, bytes: usize) -> Result<NonNull<u8>, Error>;

    /// Maps `bytes` at `at`: pages of an open segment, none of which is mapped.
    ///
    /// # Safety
    ///
    /// The range lies in one segment of this source that is open, and none of its pages is mapped.
    unsafe fn segment_map(&self, at: NonNull<u8>, bytes: usize) -> Result<(), Error>;

    /// Unmaps `bytes` at `at`, all of them mapped. The segment stays open.
    ///
    /// # Safety
    ///
    /// The range lies in one open segment that was not opened with all of its pages, all of it is mapped, and nothing
    /// uses it any more.
    unsafe fn segment_unmap(&self, at: NonNull<u8>, bytes: usize);

    /// Closes the segment at `segment`, whatever part of it is mapped.
    ///
    /// # Safety
    ///
    /// `segment` came from [`Source::segment_open`], is open, and nothing uses it any more.
    unsafe fn segment_close(&self, segment: NonNull<u8>);

    /// Maps a large block of `bytes`, aligned to `align` (a power of two, at least a page).
    fn large_alloc(&self, bytes: usize, align: usize) -> Result<NonNull<u8>, Error>;

    /// Makes a large block of `bytes_old` one of `bytes_new`, contents kept up to the smaller of the two, bytes gained
    /// zero. It moves only where it can't grow, by mapping its frames elsewhere and not by copying; the alignment it was
    /// allocated with is kept. On failure the block is as it was.
    ///
    /// # Safety
    ///
    /// `block` is a large block of this source with `bytes_old` mapped, and nothing uses what lies above `bytes_new`.
    unsafe fn large_resize(
        &self,
        block: NonNull<u8>,
        bytes_old: usize,
        bytes_new: usize,
    ) -> Result<NonNull<u8>, Error>;

    /// Gives back a large block of `bytes`.
    ///
    /// # Safety
    ///
    /// `block` is a large block of this source with `bytes` mapped, and nothing uses it any more.
    unsafe fn large_free(&self, block: NonNull<u8>, bytes: usize);

    /// Which region `address` lies in. A pure function of the address: it is asked about wild pointers too.
    fn region_of(&self, address: usize) -> Option<Region>;

    /// Whether `address` lies in the resident region. A source has a method of its own where that is quicker.
    #[inline(always)]
    fn is_resident(&self, address: usize) -> bool {
        self.region_of(address) == Some(Region::Resident)
    }

    /// Frees a block that lies in neither region, if the source has such. By default it has none.
    ///
    /// # Safety
    ///
    /// If `block` is a block that the source served outside the heap, nothing uses it any more.
    unsafe fn free_elsewhere(&self, block: NonNull<u8>) -> Result<(), Error> {
        Err(crate::bad_pointer(block))
    }
}

/// A region of a [`Source`]'s address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Segments.
    Resident,
    /// Large blocks.
    Large,
}

/// How DMA memory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaOptions {
    /// Alignment of the first byte's `dma_addr`, a power of two of bytes. A page costs nothing.
    pub align: usize,
    /// The last byte's `dma_addr` is at or below this.
    pub max_addr: u64,
    /// A power of two of bytes, of which the memory crosses no multiple; 0 for none.
    pub boundary: u64,
    /// How it is cached.
    pub cache: Cache,
}

impl Default for DmaOptions {
    fn default() -> DmaOptions {
        DmaOptions {
            align: 1,
            max_addr: u64::MAX,
            boundary: 0,
            cache: Cache::Coherent,
        }
    }
}

/// A source that can also supply memory for devices.
pub trait DmaSource: Source {
    /// Maps `bytes` of physically contiguous memory as it is wanted, zero, and returns where the client and where a device
    /// sees it.
    fn dma_alloc(&self, bytes: usize, options: &DmaOptions) -> Result<DmaBlock, Error>;

    /// Gives back the block that [`DmaSource::dma_alloc`] returned at `address`. Any other address is refused.
    fn dma_free(&self, address: NonNull<u8>) -> Result<(), Error>;
}

/// Memory that a device can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaBlock {
    /// Where the client sees it.
    pub address: NonNull<u8>,
    /// Where a device sees it.
    pub dma_addr: u64,
}

/// A source whose memory several programs can have mapped. Each call is what the protocol's request of that name does.
pub trait ShareSource: Source {
    /// The handle of the program with this name.
    fn find(&self, name: &str) -> Result<u64, Error>;

    /// A dataspace of `bytes`, rounded up to whole pages, zero; its token.
    fn dataspace_make(&self, bytes: usize) -> Result<u64, Error>;

    /// Lets the program with this handle attach a dataspace.
    fn dataspace_share(&self, token: u64, handle: u64, access: Access) -> Result<(), Error>;

    /// Maps a dataspace: where, and how many bytes.
    fn dataspace_attach(&self, token: u64, access: Access) -> Result<(NonNull<u8>, usize), Error>;

    /// Unmaps what is attached at `address`. Any other address is refused.
    fn dataspace_detach(&self, address: NonNull<u8>) -> Result<(), Error>;

    /// Lets go of a dataspace that this program made.
    fn dataspace_close(&self, token: u64) -> Result<(), Error>;
}

/// What a program may do with a dataspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}
