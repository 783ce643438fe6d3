// SPDX-License-Identifier: BSD-2-Clause
//! One request to the server and its response.

use crate::event;
use kmalloc_protocol::message::quick::{self, QuickRequest};
use kmalloc_protocol::message::words;
use kmalloc_protocol::message::{
    BYTES_MAX, SHORT_WORDS, bytes_of, decode_response, encode_long, encode_request,
};
use kmalloc_protocol::{AWAIT_ALL, BadMessage, Error, Events, LABEL, Reply, Request, Response};
use sel4::{MessageInfo, MessageInfoBuilder, Word, cap};

/// What a client says of a response that it doesn't understand.
const NOT_UNDERSTOOD: Error = Error::BadMessage(BadMessage::Encoding);

#[inline(always)]
fn server() -> cap::Endpoint {
    cap::Endpoint::from_bits(sel4_task::slot::SERVER)
}

#[inline(always)]
fn info(length: usize) -> MessageInfo {
    MessageInfoBuilder::default()
        .label(LABEL)
        .length(length)
        .build()
}

/// Asks the server for a block, by the quick way.
#[inline(always)]
pub(crate) fn call_for_block(size: u64, flags: u32) -> Result<u64, Error> {
    let request = quick::encode(QuickRequest::Kmalloc { size, flags });
    let answer = server().call_with_mrs(info(request.length), request.words);
    if answer.info == info(quick::BLOCK_WORDS)
        && let Some(address) = quick::decode_block(&answer.msg)
    {
        return Ok(address);
    }
    let [first, second, third, fourth] = answer.msg;
    no_block(answer.info, first, second, third, fourth, size, flags)
}

/// Why there is no block, unless there is one once memory is cleaned. The words come one by one: as an array they would be
/// written to memory before anyone knows that they are needed.
#[cold]
#[inline(never)]
fn no_block(
    info: MessageInfo,
    first: Word,
    second: Word,
    third: Word,
    fourth: Word,
    size: u64,
    flags: u32,
) -> Result<u64, Error> {
    let response = match receive(info, &[first, second, third, fourth]) {
        Err(error @ Error::BeingCleaned { .. }) => {
            call_when_cleaned(&Request::Kmalloc { flags, size }, error)
        }
        response => response,
    };
    match response? {
        Reply::Block { address } => Ok(address),
        _ => not_understood(),
    }
}

/// Frees a block, by the quick way.
#[inline(always)]
pub(crate) fn call_to_free(address: u64) -> Result<(), Error> {
    let request = quick::encode(QuickRequest::Kfree { address });
    let answer = server().call_with_mrs(info(request.length), request.words);
    if answer.info == info(quick::DONE_WORDS) && quick::is_done(&answer.msg) {
        return Ok(());
    }
    let [first, second, third, fourth] = answer.msg;
    refused(answer.info, first, second, third, fourth)
}

/// The error that a response holds in place of what was expected; its words one by one: see [`no_block`].
#[cold]
#[inline(never)]
fn refused<T>(
    info: MessageInfo,
    first: Word,
    second: Word,
    third: Word,
    fourth: Word,
) -> Result<T, Error> {
    match receive(info, &[first, second, third, fourth]) {
        Err(error) => Err(error),
        Ok(_) => not_understood(),
    }
}

/// Microseconds that a request waits for memory to be cleaned: zeroing all memory of a large machine takes that long.
const CLEANING_US: u64 = 10_000_000;
/// Times that a request is sent again. Others may take what was cleaned.
const TRIES_MAX: usize = 16;

/// Sends a request again that was refused with `error` since memory has to be cleaned first, once that is done. The server
/// meanwhile serves others; a request that zeroed memory by itself would take as long.
#[cold]
#[inline(never)]
fn call_when_cleaned(request: &Request<'_>, error: Error) -> Response {
    let mut response = Err(error);
    for _ in 0..TRIES_MAX {
        let Err(Error::BeingCleaned {
            usable, requested, ..
        }) = response
        else {
            return response;
        };
        // What there is too little of, or else no run of.
        let size = if usable < requested {
            requested
        } else {
            AWAIT_ALL
        };
        call_done(&Request::AwaitMemory {
            size,
            timeout_us: CLEANING_US,
        })?;
        event::wait_for(Events::MEMORY | Events::TIMEOUT)?;
        response = call_once(request);
    }
    response
}

/// Asks the server. Requests that fit the registers take the kernel's fast path.
#[inline(always)]
pub fn call(request: &Request<'_>) -> Response {
    match call_once(request) {
        Err(error @ Error::BeingCleaned { .. }) => call_when_cleaned(request, error),
        response => response,
    }
}

#[inline(always)]
fn call_once(request: &Request<'_>) -> Response {
    let Some(short) = encode_request(request) else {
        return call_long(request);
    };
    let answer = server().call_with_mrs(info(short.length), short.words);
    let length = answer.info.length();
    if answer.info == info(length)
        && let Some(reply) = words::decode_reply(&answer.msg, length)
    {
        return Ok(reply);
    }
    let [first, second, third, fourth] = answer.msg;
    receive_other(answer.info, first, second, third, fourth)
}

/// Any other response, with its words one by one: see [`no_block`].
#[cold]
#[inline(never)]
fn receive_other(
    info: MessageInfo,
    first: Word,
    second: Word,
    third: Word,
    fourth: Word,
) -> Response {
    receive(info, &[first, second, third, fourth])
}

fn receive(info: MessageInfo, words: &[Word; SHORT_WORDS]) -> Response {
    let length = info.length();
    if info.label() == LABEL && length <= SHORT_WORDS {
        let bytes = bytes_of(words);
        return decode_response(bytes.get(..length * 8).unwrap_or(&bytes))
            .unwrap_or(Err(NOT_UNDERSTOOD));
    }
    receive_long(info, words)
}

#[cold]
#[inline(never)]
fn call_long(request: &Request<'_>) -> Response {
    let mut bytes = [0; BYTES_MAX];
    let Some(length) = encode_long(request, &mut bytes) else {
        return Err(Error::BadMessage(BadMessage::TooLong));
    };
    sel4::with_ipc_buffer_mut(|buffer| {
        let used = length * 8;
        buffer.msg_bytes_mut()[..used].copy_from_slice(&bytes[..used]);
    });
    let info = server().call(info(length));
    let words =
        sel4::with_ipc_buffer(|buffer| core::array::from_fn(|index| buffer.msg_regs()[index]));
    receive(info, &words)
}

/// A response whose first words are given and whose rest is in the IPC buffer.
#[cold]
#[inline(never)]
fn receive_long(info: MessageInfo, words: &[Word; SHORT_WORDS]) -> Response {
    if info.label() != LABEL {
        return Err(NOT_UNDERSTOOD);
    }
    let mut bytes = [0; BYTES_MAX];
    sel4::with_ipc_buffer(|buffer| bytes.copy_from_slice(&buffer.msg_bytes()[..BYTES_MAX]));
    bytes[..SHORT_WORDS * 8].copy_from_slice(&bytes_of(words));
    decode_response(&bytes[..(info.length() * 8).min(BYTES_MAX)]).unwrap_or(Err(NOT_UNDERSTOOD))
}

/// Asks for what is answered with [`Reply::Done`].
pub fn call_done(request: &Request<'_>) -> Result<(), Error> {
    match call(request)? {
        Reply::Done => Ok(()),
        _ => Err(NOT_UNDERSTOOD),
    }
}

/// The response does not belong to the request.
#[cold]
pub(crate) fn not_understood<T>() -> Result<T, Error> {
    Err(NOT_UNDERSTOOD)
}
