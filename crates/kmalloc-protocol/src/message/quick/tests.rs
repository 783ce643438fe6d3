// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::message::{bytes_of, decode_request, decode_response, encode_short};
use crate::{Reply, Request, Response};

/// How many are tried; a hundred times fewer by an interpreter.
const MESSAGES: u32 = if cfg!(miri) { 1000 } else { 200_000 };
const NUMBERS: [u64; 7] = [0, 1, 64, 0xff, 0x10_0000_0040, u64::MAX - 1, u64::MAX];

fn long(request: QuickRequest) -> Request<'static> {
    match request {
        QuickRequest::Kmalloc { size, flags } => Request::Kmalloc { flags, size },
        QuickRequest::Kfree { address } => Request::Kfree { address },
    }
}

#[test]
fn quick_requests_are_postcards_own_bytes() {
    for number in NUMBERS {
        for flags in [0, 1, 0x8000_0000, u32::MAX] {
            for request in [
                QuickRequest::Kmalloc {
                    size: number,
                    flags,
                },
                QuickRequest::Kfree { address: number },
            ] {
                let short = encode(request);
                assert_eq!(Some(short), encode_short(&long(request)));
                let known = !matches!(request, QuickRequest::Kmalloc { flags: 2.., .. });
                assert_eq!(decode(&short.words), known.then_some(request));
            }
        }
    }
}

#[test]
fn quick_responses_are_postcards_own_bytes() {
    for address in NUMBERS {
        let block: Response = Ok(Reply::Block { address });
        assert_eq!(encode_short(&block), Some(encode_block(address)));
        assert_eq!(decode_block(&encode_block(address).words), Some(address));
    }
    assert_eq!(
        encode_short::<Response>(&Ok(Reply::Done)),
        Some(encode_done())
    );
    assert!(is_done(&encode_done().words));
}

#[test]
fn whatever_is_read_quickly_is_read_the_same_by_postcard() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if state >> 62 == 0 {
            state
        } else {
            state >> (state >> 58)
        }
    };
    let mut quick = 0;
    for _ in 0..MESSAGES {
        let words = [
            (next() >> (next() % 64) & !0xf8) | (next() % 6),
            next(),
            0,
            0,
        ];
        let length = (next() % 5) as usize;
        let bytes = bytes_of(&words);
        let read = decode_request(&bytes[..length * 8]);
        if length == REQUEST_WORDS
            && let Some(request) = decode(&words)
        {
            assert_eq!(read, Ok(long(request)));
            quick += 1;
        } else {
            assert!(!matches!(
                read,
                Ok(Request::Kmalloc { flags: 0 | 1, .. } | Request::Kfree { .. })
            ));
        }
        let response = decode_response(&bytes[..length * 8]);
        if length == BLOCK_WORDS
            && let Some(address) = decode_block(&words)
        {
            assert_eq!(response, Some(Ok(Reply::Block { address })));
        }
        if length == DONE_WORDS && is_done(&words) {
            assert_eq!(response, Some(Ok(Reply::Done)));
        }
    }
    assert!(quick > MESSAGES / 200, "{quick}");
}
