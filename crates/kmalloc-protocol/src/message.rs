// SPDX-License-Identifier: BSD-2-Clause
//! Packing into message registers, and the one door through which a message comes in.

pub mod quick;
pub mod words;

use crate::{BadMessage, Request, Response};
use serde::Serialize;

/// Words of a message that travel in processor registers.
pub const SHORT_WORDS: usize = 4;
/// Bytes of those.
pub const SHORT_BYTES: usize = SHORT_WORDS * 8;
/// Words of the longest message.
pub const WORDS_MAX: usize = 120;
/// Bytes of the longest message.
pub const BYTES_MAX: usize = WORDS_MAX * 8;
/// How many requests there are; their numbers are below this.
pub const REQUEST_COUNT: u8 = 40;
/// Bytes of text in one `Print` request: the opcode and the length take three.
pub const TEXT_BYTES_MAX: usize = BYTES_MAX - 3;
/// Bytes of text in one `Start` request: the opcode, padding, the size and the length take eighteen.
pub const START_TEXT_BYTES_MAX: usize = BYTES_MAX - 18;

/// A message of up to four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// The words; zero from `length` on.
    pub words: [u64; SHORT_WORDS],
    /// How many words the message has.
    pub length: usize,
}

/// Encodes into four words, or `None` where it takes more.
#[inline(always)]
pub fn encode_short<T: Serialize>(value: &T) -> Option<Short> {
    let mut bytes = [0; SHORT_BYTES];
    let length = postcard::to_slice(value, &mut bytes).ok()?.len();
    Some(Short {
        words: words_of(&bytes),
        length: length.div_ceil(8),
    })
}

/// Encodes a request into four words, or `None` where it takes more.
#[inline(always)]
pub fn encode_request(request: &Request<'_>) -> Option<Short> {
    words::encode_request(request).or_else(|| encode_by_postcard(request))
}

/// Encodes a response into four words, or `None` where it takes more.
#[inline(always)]
pub fn encode_response(response: &Response) -> Option<Short> {
    let short = response.as_ref().ok().and_then(words::encode_reply);
    short.or_else(|| encode_by_postcard(response))
}

#[cold]
#[inline(never)]
fn encode_by_postcard<T: Serialize>(value: &T) -> Option<Short> {
    encode_short(value)
}

/// Encodes into `bytes` and pads with zeros to a whole word. Returns the number of words; `None` where it takes more
/// than `bytes` holds.
pub fn encode_long<T: Serialize>(value: &T, bytes: &mut [u8]) -> Option<usize> {
    let length = postcard::to_slice(value, bytes).ok()?.len();
    let words = length.div_ceil(8);
    bytes.get_mut(length..words.saturating_mul(8))?.fill(0);
    Some(words)
}

/// The four words as bytes, lowest byte first.
#[inline(always)]
pub fn bytes_of(words: &[u64; SHORT_WORDS]) -> [u8; SHORT_BYTES] {
    let mut bytes = [0; SHORT_BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// 32 bytes as four words.
#[inline(always)]
pub fn words_of(bytes: &[u8; SHORT_BYTES]) -> [u64; SHORT_WORDS] {
    let mut words = [0; SHORT_WORDS];
    for (word, place) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = place
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    words
}

/// Decodes a request from the bytes of whole words. Accepts exactly what [`encode_short`] and [`encode_long`] make.
#[inline(always)]
pub fn decode_request(bytes: &[u8]) -> Result<Request<'_>, BadMessage> {
    if let Some((words, length)) = words::words_in(bytes)
        && let Some(request) = words::decode_request(&words, length)
    {
        return Ok(request);
    }
    decode_by_postcard(bytes)
}

#[cold]
#[inline(never)]
fn decode_by_postcard(bytes: &[u8]) -> Result<Request<'_>, BadMessage> {
    let Some(&opcode) = bytes.first() else {
        return Err(BadMessage::Empty);
    };
    // All requests have one-byte numbers: a continuation bit is an overlong or an unknown one.
    if opcode >= REQUEST_COUNT {
        return Err(BadMessage::UnknownRequest);
    }
    let (request, rest) = match postcard::take_from_bytes::<Request>(bytes) {
        Ok(decoded) => decoded,
        Err(error) => return Err(reason(error)),
    };
    if let Request::Print { text } | Request::Find { name: text } = request {
        check_text(bytes, rest, 1, text)?;
    }
    if let Request::Start { text, .. } = request {
        check_text(bytes, rest, 16, text)?;
    }
    if rest.len() >= 8 || rest.iter().any(|byte| *byte != 0) {
        return Err(BadMessage::Trailing);
    }
    Ok(request)
}

/// The length of a text is the one number of variable width: refuses more bytes than it needs.
fn check_text(bytes: &[u8], rest: &[u8], before: usize, text: &str) -> Result<(), BadMessage> {
    let length_bytes = if text.len() < 128 { 1 } else { 2 };
    let parts = [before, length_bytes, text.len(), rest.len()];
    if parts.into_iter().fold(0, usize::saturating_add) == bytes.len() {
        Ok(())
    } else {
        Err(BadMessage::Encoding)
    }
}

#[cold]
fn reason(error: postcard::Error) -> BadMessage {
    match error {
        postcard::Error::DeserializeUnexpectedEnd => BadMessage::Truncated,
        _ => BadMessage::Encoding,
    }
}

/// Decodes a response from the bytes of whole words; `None` where it is none.
#[inline(always)]
pub fn decode_response(bytes: &[u8]) -> Option<Response> {
    if let Some((words, length)) = words::words_in(bytes)
        && let Some(reply) = words::decode_reply(&words, length)
    {
        return Some(Ok(reply));
    }
    decode_response_by_postcard(bytes)
}

#[cold]
#[inline(never)]
fn decode_response_by_postcard(bytes: &[u8]) -> Option<Response> {
    postcard::take_from_bytes(bytes)
        .ok()
        .map(|(response, _)| response)
}

#[cfg(test)]
mod tests;
