// SPDX-License-Identifier: BSD-2-Clause
//! Every way in which the server reads a client's words, compiled as the server is. A test follows all calls from here
//! and fails where one of them ends in a panic.
#![no_std]

use core::panic::PanicInfo;
use kmalloc_protocol::message::quick::{self, QuickRequest};
use kmalloc_protocol::message::{self, SHORT_WORDS, words};
use kmalloc_protocol::{BadMessage, Request};

unsafe extern "C" {
    /// Defined nowhere. Whatever can panic leads to it, however much is inlined.
    fn decoder_panicked() -> !;
}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    // SAFETY: never run, since nothing is linked with this library: there is no such function.
    unsafe { decoder_panicked() }
}

/// Any message, as its bytes.
#[unsafe(no_mangle)]
pub fn decode_message(bytes: &[u8]) -> Result<Request<'_>, BadMessage> {
    message::decode_request(bytes)
}

/// A message in registers.
#[unsafe(no_mangle)]
pub fn decode_registers(words: &[u64; SHORT_WORDS], length: usize) -> Option<Request<'static>> {
    words::decode_request(words, length)
}

/// A message in registers, by the quick way.
#[unsafe(no_mangle)]
pub fn decode_quickly(words: &[u64; SHORT_WORDS]) -> Option<QuickRequest> {
    quick::decode(words)
}

/// What the test must find: a decoder that panics for what it can't read.
#[unsafe(no_mangle)]
pub fn decode_carelessly(bytes: &[u8]) -> Request<'_> {
    match message::decode_request(bytes) {
        Ok(request) => request,
        Err(error) => panic!("{error:?}"),
    }
}
