// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::message::{SHORT_BYTES, bytes_of, encode_short, words_of};
use crate::{BadMessage, Error, Response};

/// Postcard's own reading of a request, with the padding looked at.
fn by_postcard(bytes: &[u8]) -> Option<Request<'_>> {
    let (request, rest) = postcard::take_from_bytes(bytes).ok()?;
    (rest.len() < 8 && rest.iter().all(|byte| *byte == 0)).then_some(request)
}

/// How many are tried; a hundred times fewer by an interpreter.
const MESSAGES: u32 = if cfg!(miri) { 1000 } else { 400_000 };

/// Bytes that look like messages: small first bytes, and many zeros.
fn messages() -> impl Iterator<Item = [u64; SHORT_WORDS]> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..MESSAGES).map(move |_| {
        let (shift, keep) = (next() % 64, next() % 64);
        let noise = if next() % 2 == 0 { next() >> shift } else { 0 };
        let first = (noise & !0xff) & (u64::MAX >> keep) | (next() % 20);
        [first, next(), next() >> shift, next()]
    })
}

#[test]
fn requests_are_read_as_postcard_reads_them() {
    let mut read = 0;
    for words in messages() {
        for length in 0..=SHORT_WORDS {
            let bytes = bytes_of(&words);
            let bytes = &bytes[..length * 8];
            assert_eq!(words_in(bytes).map(|(_, length)| length), Some(length));
            if let Some(request) = decode_request(&words, length) {
                assert_eq!(by_postcard(bytes), Some(request));
                let short = encode_request(&request).unwrap();
                assert_eq!(Some(short), encode_short(&request));
                assert_eq!(short.words[..length], words[..length]);
                read += 1;
            } else if let Some(request) = by_postcard(bytes) {
                assert_eq!(encode_request(&request), None, "{request:?}");
            }
        }
    }
    assert!(read > MESSAGES / 40, "{read}");
}

#[test]
fn replies_are_read_and_written_as_postcard_does() {
    let mut read = 0;
    for mut words in messages() {
        words[0] = words[0] << 8 | words[0] & 1;
        let bytes: [u8; SHORT_BYTES] = bytes_of(&words);
        assert_eq!(words_of(&bytes), words);
        for length in 0..=SHORT_WORDS {
            if let Some(reply) = decode_reply(&words, length) {
                let (whole, rest): (Response, _) =
                    postcard::take_from_bytes(&bytes[..length * 8]).unwrap();
                assert_eq!(whole, Ok(reply));
                assert!(rest.len() < 8);
                assert_eq!(encode_reply(&reply), encode_short::<Response>(&Ok(reply)));
                read += 1;
            }
        }
    }
    assert!(read > MESSAGES / 40, "{read}");
    let error: Response = Err(Error::BadMessage(BadMessage::Empty));
    let short = encode_short(&error).unwrap();
    assert_eq!(decode_reply(&short.words, short.length), None);
}

#[test]
fn what_is_no_short_message_is_left_to_postcard() {
    assert_eq!(words_in(&[0; 40]), None);
    assert_eq!(words_in(&[0; 7]), None);
    assert_eq!(encode_request(&Request::Print { text: "a" }), None);
    assert_eq!(encode_reply(&Reply::Stats(Default::default())), None);
}

/// One of each that is written as words, every field another number.
fn requests_of_numbers_alone() -> [Request<'static>; 16] {
    let (address, count, size, flags) = (0x1122_3344_5566_7788, u64::MAX, 0x55, 0xaabb_ccdd);
    [
        Request::Kmalloc { flags, size },
        Request::Kcalloc { flags, count, size },
        Request::Krealloc {
            flags,
            address,
            size,
        },
        Request::KreallocArray {
            flags,
            address,
            count,
            size,
        },
        Request::Kfree { address },
        Request::Ksize { address },
        Request::KmallocDma {
            align_bits: 1,
            boundary_bits: 2,
            cache: 3,
            size,
            max_addr: address,
        },
        Request::KfreeDma { address },
        Request::Stats,
        Request::Grant {
            size_bits: 0x12,
            count: 0x3456_789a,
        },
        Request::GrantLarge {
            align_bits: 21,
            size,
        },
        Request::Resize { address, size },
        Request::Release { address },
        Request::OpenSegment { size },
        Request::Map { address, size },
        Request::Unmap { address, size },
    ]
}

#[test]
fn each_request_of_numbers_alone_is_read_and_written_here() {
    for request in requests_of_numbers_alone() {
        let short = encode_request(&request).unwrap_or_else(|| panic!("{request:?}"));
        assert_eq!(Some(short), encode_short(&request));
        assert_eq!(decode_request(&short.words, short.length), Some(request));
    }
}

#[test]
fn each_reply_of_numbers_alone_is_read_and_written_here() {
    let (address, copy, size, dma_addr) = (0x1122_3344_5566_7788, 2, u64::MAX, 4);
    for reply in [
        Reply::Done,
        Reply::Block { address },
        Reply::Moved { address, copy },
        Reply::Size { size },
        Reply::Dma {
            address,
            dma_addr,
            size,
        },
        Reply::Region { address, size },
    ] {
        let short = encode_reply(&reply).unwrap_or_else(|| panic!("{reply:?}"));
        assert_eq!(Some(short), encode_short::<Response>(&Ok(reply)));
        assert_eq!(decode_reply(&short.words, short.length), Some(reply));
    }
}
