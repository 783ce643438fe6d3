// SPDX-License-Identifier: BSD-2-Clause
//! Every way into the decoder and into the server behind it, compiled as the server is. A test follows all calls from here
//! and fails where one of them ends in a panic, or asks for memory of the server's own heap
//! or gives some back.
#![no_std]

extern crate alloc;

mod decoder;
mod outside;
mod server;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use kmalloc_protocol::Request;
use kmalloc_protocol::message;

unsafe extern "C" {
    /// Defined nowhere. Whatever can panic leads to it, however much is inlined.
    fn server_panicked() -> !;
    /// Defined nowhere. Whatever asks for memory leads to it.
    fn server_allocated() -> !;
    /// Defined nowhere. Whatever gives memory back leads to it.
    fn server_freed();
}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    // SAFETY: never run, since nothing is linked with this library: there is no such function.
    unsafe { server_panicked() }
}

struct Sealed;

#[global_allocator]
static SEALED: Sealed = Sealed;

// SAFETY: never run, as above.
unsafe impl GlobalAlloc for Sealed {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { server_allocated() }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
        // SAFETY: as above.
        unsafe { server_freed() }
    }
}

/// What the test must find: a decoder that panics for what it can't read.
#[unsafe(no_mangle)]
pub fn decode_carelessly(bytes: &[u8]) -> Request<'_> {
    match message::decode_request(bytes) {
        Ok(request) => request,
        Err(error) => panic!("{error:?}"),
    }
}

/// What the test must find: a server that remembers a client's bytes in memory of its own.
#[unsafe(no_mangle)]
pub fn remember_carelessly(bytes: &[u8], memory: &mut Vec<u8>) {
    memory.extend_from_slice(bytes);
}
