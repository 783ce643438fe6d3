// SPDX-License-Identifier: BSD-2-Clause
//! The macro that emits the C functions.

/// Emits the functions of `kmalloc.h`, where it stands, over the heap in the static `$heap`, whose source is a
/// [`kmalloc::DmaSource`]. Once in a program.
#[macro_export]
macro_rules! export {
    ($heap:path) => {
        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc(
            size: usize,
            flags: $crate::core::ffi::c_int,
        ) -> *mut $crate::core::ffi::c_void {
            $crate::CHeap::new(&$heap).kmalloc(size, flags)
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_aligned(
            size: usize,
            align: usize,
            flags: $crate::core::ffi::c_int,
        ) -> *mut $crate::core::ffi::c_void {
            $crate::CHeap::new(&$heap).kmalloc_aligned(size, align, flags)
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kcalloc(
            count: usize,
            size: usize,
            flags: $crate::core::ffi::c_int,
        ) -> *mut $crate::core::ffi::c_void {
            $crate::CHeap::new(&$heap).kcalloc(count, size, flags)
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn krealloc(
            block: *mut $crate::core::ffi::c_void,
            size: usize,
            flags: $crate::core::ffi::c_int,
        ) -> *mut $crate::core::ffi::c_void {
            // SAFETY: C callers promise what the header says.
            unsafe { $crate::CHeap::new(&$heap).krealloc(block, size, flags) }
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn krealloc_array(
            block: *mut $crate::core::ffi::c_void,
            count: usize,
            size: usize,
            flags: $crate::core::ffi::c_int,
        ) -> *mut $crate::core::ffi::c_void {
            // SAFETY: C callers promise what the header says.
            unsafe { $crate::CHeap::new(&$heap).krealloc_array(block, count, size, flags) }
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn kfree(block: *mut $crate::core::ffi::c_void) {
            // SAFETY: C callers promise what the header says.
            unsafe { $crate::CHeap::new(&$heap).kfree(block) }
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn ksize(block: *const $crate::core::ffi::c_void) -> usize {
            // SAFETY: C callers promise what the header says.
            unsafe { $crate::CHeap::new(&$heap).ksize(block) }
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_dma(size: usize) -> *mut $crate::core::ffi::c_void {
            // SAFETY: null is allowed.
            unsafe {
                let (options, dma_addr) =
                    ($crate::core::ptr::null(), $crate::core::ptr::null_mut());
                $crate::CHeap::new(&$heap).kmalloc_dma(size, options, dma_addr)
            }
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn kmalloc_dma_with_address(
            size: usize,
            dma_addr: *mut u64,
        ) -> *mut $crate::core::ffi::c_void {
            // SAFETY: C callers promise what the header says.
            unsafe {
                let options = $crate::core::ptr::null();
                $crate::CHeap::new(&$heap).kmalloc_dma(size, options, dma_addr)
            }
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn kmalloc_dma_with_options(
            size: usize,
            options: *const $crate::CDmaOptions,
            dma_addr: *mut u64,
        ) -> *mut $crate::core::ffi::c_void {
            // SAFETY: C callers promise what the header says.
            unsafe { $crate::CHeap::new(&$heap).kmalloc_dma(size, options, dma_addr) }
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_dma_sync_for_device(
            _block: *const $crate::core::ffi::c_void,
            _size: usize,
        ) {
            $crate::core::sync::atomic::fence($crate::core::sync::atomic::Ordering::Release);
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_dma_sync_for_cpu(
            _block: *const $crate::core::ffi::c_void,
            _size: usize,
        ) {
            $crate::core::sync::atomic::fence($crate::core::sync::atomic::Ordering::Acquire);
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn kfree_dma(block: *mut $crate::core::ffi::c_void) {
            // SAFETY: C callers promise what the header says.
            unsafe { $crate::CHeap::new(&$heap).kfree_dma(block) }
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn kmalloc_find(name: *const $crate::core::ffi::c_char) -> u64 {
            // SAFETY: C callers promise what the header says.
            unsafe { $crate::CHeap::new(&$heap).find(name) }
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_dataspace_make(size: usize) -> u64 {
            $crate::CHeap::new(&$heap).dataspace_make(size)
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_dataspace_share(
            token: u64,
            handle: u64,
            writable: $crate::core::ffi::c_int,
        ) -> $crate::core::ffi::c_int {
            $crate::CHeap::new(&$heap).dataspace_share(token, handle, writable)
        }

        /// See `kmalloc.h`.
        ///
        /// # Safety
        ///
        /// What the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn kmalloc_dataspace_attach(
            token: u64,
            writable: $crate::core::ffi::c_int,
            size: *mut usize,
        ) -> *mut $crate::core::ffi::c_void {
            // SAFETY: C callers promise what the header says.
            unsafe { $crate::CHeap::new(&$heap).dataspace_attach(token, writable, size) }
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_dataspace_detach(
            address: *mut $crate::core::ffi::c_void,
        ) -> $crate::core::ffi::c_int {
            $crate::CHeap::new(&$heap).dataspace_detach(address)
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_dataspace_close(token: u64) -> $crate::core::ffi::c_int {
            $crate::CHeap::new(&$heap).dataspace_close(token)
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_last_error() -> $crate::core::ffi::c_int {
            $crate::CHeap::new(&$heap).last_error()
        }

        /// See `kmalloc.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn kmalloc_error_text(
            error: $crate::core::ffi::c_int,
        ) -> *const $crate::core::ffi::c_char {
            $crate::text(error).as_ptr()
        }
    };
}
