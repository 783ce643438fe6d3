// SPDX-License-Identifier: BSD-2-Clause
//! What reads a client's words, and writes the words of an answer.

use kmalloc_protocol::message::quick::{self, QuickRequest};
use kmalloc_protocol::message::{self, SHORT_WORDS, Short, words};
use kmalloc_protocol::{BadMessage, Request, Response};

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

/// An answer in registers.
#[unsafe(no_mangle)]
pub fn encode_registers(response: &Response) -> Option<Short> {
    message::encode_response(response)
}

/// An answer as its bytes.
#[unsafe(no_mangle)]
pub fn encode_message(response: &Response, bytes: &mut [u8]) -> Option<usize> {
    message::encode_long(response, bytes)
}
