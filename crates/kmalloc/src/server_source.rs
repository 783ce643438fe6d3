// SPDX-License-Identifier: BSD-2-Clause
//! The memory server as a heap's source.

use crate::heap::Heap;
use crate::served::{self, DmaMemory, DmaOptions};
use crate::source::{Access, DmaBlock, DmaSource, Region, SEGMENT_SIZE, ShareSource, Source};
use crate::threading::{ThreadWord, Threading};
use crate::transport::{call, call_done, not_understood};
use core::ptr::NonNull;
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Reply, Request};

/// Memory from the server, over IPC.
#[derive(Debug, Default)]
pub struct ServerSource;

impl ServerSource {
    /// The source of this program.
    pub const fn new() -> ServerSource {
        ServerSource
    }
}

fn address_of(pointer: NonNull<u8>) -> u64 {
    pointer.as_ptr().expose_provenance() as u64
}

/// Asks for what is answered with a region; where it begins.
fn region(request: &Request<'_>) -> Result<NonNull<u8>, Error> {
    sized_region(request).map(|(address, _)| address)
}

/// Asks for what is answered with a region; where it begins, and how many bytes it has.
fn sized_region(request: &Request<'_>) -> Result<(NonNull<u8>, usize), Error> {
    match call(request)? {
        Reply::Region { address, size } => {
            match NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize)) {
                Some(pointer) => Ok((pointer, size as usize)),
                None => not_understood(),
            }
        }
        _ => not_understood(),
    }
}

// SAFETY: what the server maps for a client is zero, writable, and only that client's. Its answers do not depend on this
// program's heap, and asking for them allocates nothing.
unsafe impl Source for ServerSource {
    fn segment_open(&self, bytes: usize) -> Result<NonNull<u8>, Error> {
        region(&Request::OpenSegment { size: bytes as u64 })
    }

    unsafe fn segment_map(&self, at: NonNull<u8>, bytes: usize) -> Result<(), Error> {
        call_done(&Request::Map {
            address: address_of(at),
            size: bytes as u64,
        })
    }

    unsafe fn segment_unmap(&self, at: NonNull<u8>, bytes: usize) {
        // The heap unmaps what it had mapped: the server has no reason to refuse, and nothing is lost if it does.
        let _ = call_done(&Request::Unmap {
            address: address_of(at),
            size: bytes as u64,
        });
    }

    unsafe fn segment_close(&self, segment: NonNull<u8>) {
        let address = address_of(segment);
        let _ = call_done(&Request::Release { address });
    }

    fn large_alloc(&self, bytes: usize, align: usize) -> Result<NonNull<u8>, Error> {
        region(&Request::GrantLarge {
            size: bytes as u64,
            align_bits: align.max(1).ilog2() as u8,
        })
    }

    unsafe fn large_resize(
        &self,
        block: NonNull<u8>,
        _bytes_old: usize,
        bytes_new: usize,
    ) -> Result<NonNull<u8>, Error> {
        region(&Request::Resize {
            address: address_of(block),
            size: bytes_new as u64,
        })
    }

    unsafe fn large_free(&self, block: NonNull<u8>, _bytes: usize) {
        let address = address_of(block);
        let _ = call_done(&Request::Release { address });
    }

    fn region_of(&self, address: usize) -> Option<Region> {
        match Window::of(address) {
            Some(Window::Resident) => Some(Region::Resident),
            Some(Window::Large) => Some(Region::Large),
            _ => None,
        }
    }

    unsafe fn free_elsewhere(&self, block: NonNull<u8>) -> Result<(), Error> {
        // SAFETY: as the caller says; the server refuses what is no served block.
        unsafe { served::kfree(block.as_ptr()) }
    }
}

impl DmaSource for ServerSource {
    fn dma_alloc(&self, bytes: usize, options: &DmaOptions) -> Result<DmaBlock, Error> {
        let memory = served::kmalloc_dma(bytes, options)?;
        Ok(DmaBlock {
            address: memory.address,
            dma_addr: memory.dma_addr,
        })
    }

    fn dma_free(&self, address: NonNull<u8>) -> Result<(), Error> {
        // SAFETY: as the caller says; the server refuses what is no DMA memory.
        unsafe { served::kfree_dma(address.as_ptr()) }
    }
}

impl ShareSource for ServerSource {
    fn find(&self, name: &str) -> Result<u64, Error> {
        match call(&Request::Find { name })? {
            Reply::Client { handle } => Ok(handle),
            _ => not_understood(),
        }
    }

    fn dataspace_make(&self, bytes: usize) -> Result<u64, Error> {
        let size = bytes as u64;
        match call(&Request::MakeDataspace { size })? {
            Reply::Dataspace { token, .. } => Ok(token),
            _ => not_understood(),
        }
    }

    fn dataspace_share(&self, token: u64, handle: u64, access: Access) -> Result<(), Error> {
        let writable = (access == Access::ReadWrite).into();
        call_done(&Request::ShareDataspace {
            writable,
            token,
            handle,
        })
    }

    fn dataspace_attach(&self, token: u64, access: Access) -> Result<(NonNull<u8>, usize), Error> {
        let writable = (access == Access::ReadWrite).into();
        sized_region(&Request::Attach { writable, token })
    }

    fn dataspace_detach(&self, address: NonNull<u8>) -> Result<(), Error> {
        let address = address_of(address);
        call_done(&Request::Detach { address })
    }

    fn dataspace_close(&self, token: u64) -> Result<(), Error> {
        call_done(&Request::CloseDataspace { token })
    }
}

impl<T: Threading> Heap<ServerSource, T> {
    /// [`served::kmalloc_dma`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn kmalloc_dma(&self, size: usize, options: &DmaOptions) -> Result<DmaMemory, Error> {
        served::kmalloc_dma(size, options)
    }

    /// [`served::kfree_dma`].
    ///
    /// # Safety
    ///
    /// As there.
    ///
    /// # Errors
    ///
    /// As there.
    pub unsafe fn kfree_dma(&self, memory: *mut u8) -> Result<(), Error> {
        // SAFETY: as the caller says.
        unsafe { served::kfree_dma(memory) }
    }
}

/// The user-data word of the running thread's IPC buffer, as the word that a heap with threads needs.
#[derive(Debug)]
pub struct IpcBufferWord;

// SAFETY: each thread has an IPC buffer of its own, its word is zero at first, and neither kernel nor bindings touch it.
unsafe impl ThreadWord for IpcBufferWord {
    #[inline(always)]
    fn get() -> *mut () {
        let word = sel4::with_ipc_buffer(|buffer| buffer.user_data());
        core::ptr::with_exposed_provenance_mut(word as usize)
    }

    fn set(value: *mut ()) {
        let word = value.expose_provenance() as sel4::Word;
        sel4::with_ipc_buffer_mut(|buffer| buffer.set_user_data(word));
    }
}

/// Makes the resident heap the program's global allocator, under this name: `kmalloc::global_allocator!(HEAP);`. The
/// program has one thread that allocates, or says `kmalloc::global_allocator!(HEAP, threads);`.
#[macro_export]
macro_rules! global_allocator {
    ($name:ident) => {
        #[global_allocator]
        static $name: $crate::Heap<$crate::ServerSource> =
            // SAFETY: the program says that only one of its threads allocates.
            unsafe { $crate::Heap::single_threaded($crate::ServerSource::new()) };
    };
    ($name:ident, threads) => {
        #[global_allocator]
        static $name: $crate::Heap<$crate::ServerSource, $crate::Threads<$crate::IpcBufferWord>> =
            $crate::Heap::threaded($crate::ServerSource::new());
    };
}

const _: () = assert!(SEGMENT_SIZE == 1 << kmalloc_protocol::window::SEGMENT_SIZE_BITS);
