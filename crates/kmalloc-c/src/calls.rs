// SPDX-License-Identifier: BSD-2-Clause
//! What the C functions do, over any heap: null for failure, with the reason kept for the thread's `kmalloc_last_error`.

use crate::code::code;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicI32, Ordering};
use kmalloc::{
    Access, Cache, DmaOptions, DmaSource, Error, Flags, Heap, ShareSource, SizeClasses, Source,
    Threading,
};

/// The last failure of a thread for which there was not even the memory to remember it.
static WITHOUT_PART: AtomicI32 = AtomicI32::new(0);

/// A heap as C calls it. Blocks are `void *`; null is no block.
pub struct CHeap<'heap, S: Source, T: Threading, C: SizeClasses>(&'heap Heap<S, T, C>);

impl<'heap, S: Source, T: Threading, C: SizeClasses> CHeap<'heap, S, T, C> {
    /// C's view of `heap`.
    pub const fn new(heap: &'heap Heap<S, T, C>) -> Self {
        CHeap(heap)
    }

    /// `kmalloc`.
    #[inline(always)]
    pub fn kmalloc(&self, size: usize, flags: c_int) -> *mut c_void {
        self.or_null(parse(flags).and_then(|flags| self.0.kmalloc(size, flags)))
    }

    /// `kmalloc_aligned`.
    pub fn kmalloc_aligned(&self, size: usize, align: usize, flags: c_int) -> *mut c_void {
        self.or_null(parse(flags).and_then(|flags| self.0.kmalloc_aligned(size, align, flags)))
    }

    /// `kcalloc`.
    pub fn kcalloc(&self, count: usize, size: usize, flags: c_int) -> *mut c_void {
        self.or_null(parse(flags).and_then(|flags| self.0.kcalloc(count, size, flags)))
    }

    /// `krealloc`.
    ///
    /// # Safety
    ///
    /// `block` is null or a block of this heap in use; unless this fails the caller gives it up.
    pub unsafe fn krealloc(&self, block: *mut c_void, size: usize, flags: c_int) -> *mut c_void {
        let block = NonNull::new(block.cast());
        // SAFETY: as the caller says.
        let result = parse(flags).and_then(|flags| unsafe { self.0.krealloc(block, size, flags) });
        self.or_null_block(result)
    }

    /// `krealloc_array`.
    ///
    /// # Safety
    ///
    /// As [`CHeap::krealloc`].
    pub unsafe fn krealloc_array(
        &self,
        block: *mut c_void,
        count: usize,
        size: usize,
        flags: c_int,
    ) -> *mut c_void {
        let block = NonNull::new(block.cast());
        let result = parse(flags).and_then(|flags| {
            // SAFETY: the caller says that the block is null, which is `None` here, or a block of this heap in use that
            // it gives up, unless the call fails.
            unsafe { self.0.krealloc_array(block, count, size, flags) }
        });
        self.or_null_block(result)
    }

    /// `kfree`.
    ///
    /// # Safety
    ///
    /// `block` is null or a block of this heap in use, which the caller gives up.
    #[inline(always)]
    pub unsafe fn kfree(&self, block: *mut c_void) {
        if let Some(block) = NonNull::new(block.cast()) {
            // SAFETY: as the caller says.
            if let Err(error) = unsafe { self.0.kfree(block) } {
                self.set_last_error(error);
            }
        }
    }

    /// `kmalloc_last_error`: the number of this thread's last failure; 0 if there was none.
    pub fn last_error(&self) -> c_int {
        // A thread without a part of the heap has none because there was no memory for one, if it asked at all.
        let without = || WITHOUT_PART.load(Ordering::Relaxed);
        self.0.note().map_or_else(without, |number| number as c_int)
    }

    #[cold]
    fn set_last_error(&self, error: Error) {
        if !self.0.set_note(code(error) as u32) {
            WITHOUT_PART.store(code(error), Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn or_null(&self, result: Result<NonNull<u8>, Error>) -> *mut c_void {
        self.or_null_block(result.map(Some))
    }

    #[inline(always)]
    fn or_null_block(&self, result: Result<Option<NonNull<u8>>, Error>) -> *mut c_void {
        match result {
            Ok(block) => block.map_or(ptr::null_mut(), |block| block.as_ptr().cast()),
            Err(error) => {
                self.set_last_error(error);
                ptr::null_mut()
            }
        }
    }

    /// `ksize`; 0 for null and for what is no block.
    ///
    /// # Safety
    ///
    /// `block` is null or a block of this heap in use.
    pub unsafe fn ksize(&self, block: *const c_void) -> usize {
        let Some(block) = NonNull::new(block.cast_mut().cast()) else {
            return 0;
        };
        // SAFETY: as the caller says.
        unsafe { self.0.ksize(block) }.unwrap_or_else(|error| {
            self.set_last_error(error);
            0
        })
    }
}

/// `struct kmalloc_dma_options`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CDmaOptions {
    align: usize,
    max_addr: u64,
    boundary: u64,
    cache: c_int,
}

impl CDmaOptions {
    fn checked(self) -> Result<DmaOptions, Error> {
        let number = u8::try_from(self.cache).ok();
        let value = u64::from(self.cache as u32);
        Ok(DmaOptions {
            align: self.align.max(1),
            max_addr: if self.max_addr == 0 {
                u64::MAX
            } else {
                self.max_addr
            },
            boundary: self.boundary,
            cache: number
                .and_then(Cache::from_number)
                .ok_or(Error::BadAlignment { value })?,
        })
    }
}

impl<S: DmaSource, T: Threading, C: SizeClasses> CHeap<'_, S, T, C> {
    /// `kmalloc_dma`, `kmalloc_dma_with_address` and `kmalloc_dma_with_options`.
    ///
    /// # Safety
    ///
    /// `options` is null or may be read, `dma_addr` is null or may be written.
    pub unsafe fn kmalloc_dma(
        &self,
        size: usize,
        options: *const CDmaOptions,
        dma_addr: *mut u64,
    ) -> *mut c_void {
        let options = if options.is_null() {
            Ok(DmaOptions::default())
        } else {
            // SAFETY: as the caller says.
            unsafe { options.read() }.checked()
        };
        match options.and_then(|options| self.0.source().dma_alloc(size, &options)) {
            Ok(block) => {
                if !dma_addr.is_null() {
                    // SAFETY: as the caller says.
                    unsafe { dma_addr.write(block.dma_addr) };
                }
                block.address.as_ptr().cast()
            }
            Err(error) => {
                self.set_last_error(error);
                ptr::null_mut()
            }
        }
    }

    /// `kfree_dma`.
    ///
    /// # Safety
    ///
    /// `block` is null or DMA memory in use, which the caller gives up.
    pub unsafe fn kfree_dma(&self, block: *mut c_void) {
        if let Some(block) = NonNull::new(block.cast())
            && let Err(error) = self.0.source().dma_free(block)
        {
            self.set_last_error(error);
        }
    }
}

impl<S: ShareSource, T: Threading, C: SizeClasses> CHeap<'_, S, T, C> {
    /// `kmalloc_find`.
    ///
    /// # Safety
    ///
    /// `name` is a string of C.
    pub unsafe fn find(&self, name: *const c_char) -> u64 {
        // SAFETY: as the caller says.
        let name = unsafe { CStr::from_ptr(name) };
        // No client has a name that is not UTF-8.
        let name = name.to_str().unwrap_or_default();
        self.or_zero(self.0.source().find(name))
    }

    /// `kmalloc_dataspace_make`.
    pub fn dataspace_make(&self, size: usize) -> u64 {
        self.or_zero(self.0.source().dataspace_make(size))
    }

    /// `kmalloc_dataspace_share`.
    pub fn dataspace_share(&self, token: u64, handle: u64, writable: c_int) -> c_int {
        let source = self.0.source();
        self.or_code(source.dataspace_share(token, handle, access(writable)))
    }

    /// `kmalloc_dataspace_attach`.
    ///
    /// # Safety
    ///
    /// `size` is null or may be written.
    pub unsafe fn dataspace_attach(
        &self,
        token: u64,
        writable: c_int,
        size: *mut usize,
    ) -> *mut c_void {
        let attached = self.0.source().dataspace_attach(token, access(writable));
        self.or_null(attached.map(|(address, bytes)| {
            if !size.is_null() {
                // SAFETY: as the caller says.
                unsafe { size.write(bytes) };
            }
            address
        }))
    }

    /// `kmalloc_dataspace_detach`.
    pub fn dataspace_detach(&self, address: *mut c_void) -> c_int {
        let Some(address) = NonNull::new(address.cast()) else {
            return 0;
        };
        self.or_code(self.0.source().dataspace_detach(address))
    }

    /// `kmalloc_dataspace_close`.
    pub fn dataspace_close(&self, token: u64) -> c_int {
        self.or_code(self.0.source().dataspace_close(token))
    }

    fn or_zero(&self, result: Result<u64, Error>) -> u64 {
        result.unwrap_or_else(|error| {
            self.set_last_error(error);
            0
        })
    }

    fn or_code(&self, result: Result<(), Error>) -> c_int {
        result.map_or_else(
            |error| {
                self.set_last_error(error);
                code(error)
            },
            |()| 0,
        )
    }
}

fn access(writable: c_int) -> Access {
    if writable == 0 {
        Access::ReadOnly
    } else {
        Access::ReadWrite
    }
}

#[inline(always)]
fn parse(flags: c_int) -> Result<Flags, Error> {
    Flags::from_bits(flags as u32).ok_or(Error::BadFlags {
        unknown: flags as u32 & !Flags::all().bits(),
    })
}
