// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::window::Window;
use crate::{Cause, Ended, Error, Reply, SIZE_MAX, Stats};
use std::vec::Vec;

fn requests() -> Vec<Request<'static>> {
    std::vec![
        Request::Kmalloc { size: 64, flags: 1 },
        Request::Kcalloc {
            count: u64::MAX,
            size: 3,
            flags: 0
        },
        Request::Krealloc {
            address: 0x10_0000_0000,
            size: u64::MAX,
            flags: u32::MAX
        },
        Request::KreallocArray {
            address: u64::MAX,
            count: u64::MAX,
            size: u64::MAX,
            flags: u32::MAX
        },
        Request::Kfree {
            address: 0x10_0000_0040
        },
        Request::Ksize { address: 1 },
        Request::KmallocDma {
            size: 1,
            max_addr: u64::MAX,
            align_bits: 63,
            boundary_bits: 63,
            cache: 255
        },
        Request::KfreeDma { address: 7 },
        Request::Stats,
        Request::Grant {
            size_bits: 16,
            count: u32::MAX
        },
        Request::GrantLarge {
            size: u64::MAX,
            align_bits: 63
        },
        Request::Resize {
            address: u64::MAX,
            size: u64::MAX
        },
        Request::Release { address: u64::MAX },
        Request::Print { text: "a" },
        Request::Exit { status: 3 },
        Request::OpenSegment { size: 4096 },
        Request::Map {
            address: u64::MAX,
            size: u64::MAX
        },
        Request::Unmap {
            address: u64::MAX,
            size: 1
        },
        Request::StartThread {
            entry: u64::MAX,
            stack: u64::MAX,
            argument: u64::MAX
        },
        Request::SetAlarm { delay_us: u64::MAX },
        Request::Start {
            memory: u64::MAX,
            text: "name\0one"
        },
        Request::Kill { handle: u64::MAX },
        Request::Reap { handle: 0 },
        Request::Events,
        Request::Watch { events: u32::MAX },
        Request::AwaitMemory {
            size: u64::MAX,
            timeout_us: u64::MAX
        },
        Request::Find { name: "a" },
        Request::MakeDataspace { size: u64::MAX },
        Request::ShareDataspace {
            writable: 255,
            token: u64::MAX,
            handle: u64::MAX
        },
        Request::Attach {
            writable: 1,
            token: u64::MAX
        },
        Request::Detach { address: u64::MAX },
        Request::CloseDataspace { token: u64::MAX },
        Request::OpenDevice { index: 255 },
        Request::PciConfigRead {
            function: 255,
            offset: u32::MAX
        },
        Request::PciConfigWrite {
            function: 255,
            offset: u32::MAX,
            value: u32::MAX
        },
        Request::MapBar {
            function: 255,
            bar: 255
        },
        Request::EnableInterrupt { function: 255 },
        Request::AckInterrupt { function: 255 },
        Request::ReleaseQuarantine { function: 255 },
        Request::Observe {
            subject: 255,
            of: u64::MAX,
            cursor: u64::MAX
        },
    ]
}

fn errors() -> Vec<Error> {
    let most = u64::MAX;
    std::vec![
        Error::BadMessage(BadMessage::Trailing),
        Error::BadVersion {
            expected: most,
            label: most
        },
        Error::BadFlags { unknown: u32::MAX },
        Error::BadSize { size: most },
        Error::BadAlignment { value: most },
        Error::Overflow {
            count: most,
            size: most
        },
        Error::OverQuota {
            limit: most,
            committed: most,
            requested: most
        },
        Error::OutOfMemory {
            free: most,
            requested: most
        },
        Error::NoContiguousRun {
            largest: most,
            requested: most
        },
        Error::AddressLimit {
            max_addr: most,
            largest: most
        },
        Error::OutOfSlots { limit: most },
        Error::BadPointer { address: most },
        Error::DoubleFree { address: most },
        Error::NotOwner { address: most },
        Error::WrongKind { address: most },
        Error::NotPermitted,
        Error::Refused { code: u32::MAX },
        Error::Stale { handle: most },
        Error::BeingCleaned {
            usable: most,
            free: most,
            requested: most,
        },
        Error::NoDevice { device: most },
        Error::DeviceBusy { device: most },
        Error::BadRegister { offset: most },
        Error::SharedInterrupt { line: most },
    ]
}

#[test]
fn every_request_with_figures_fits_four_words_and_comes_back() {
    for request in requests() {
        let short = encode_short(&request).expect("fits four words");
        assert_eq!(encode_request(&request), Some(short));
        let bytes = bytes_of(&short.words);
        assert_eq!(words_of(&bytes), short.words);
        assert_eq!(decode_request(&bytes[..short.length * 8]), Ok(request));
    }
}

#[test]
fn every_reply_but_the_long_ones_and_every_error_fits_four_words() {
    let most = u64::MAX;
    let replies = [
        Reply::Done,
        Reply::Block { address: most },
        Reply::Moved {
            address: most,
            copy: most,
        },
        Reply::Size { size: most },
        Reply::Dma {
            address: most,
            dma_addr: most,
            size: most,
        },
        Reply::Region {
            address: most,
            size: most,
        },
        Reply::Client { handle: most },
        Reply::Events { events: u32::MAX },
        Reply::Dataspace {
            token: most,
            size: most,
        },
    ];
    let responses = replies
        .into_iter()
        .map(Ok)
        .chain(errors().into_iter().map(Err));
    for response in responses {
        let short = encode_short::<Response>(&response).expect("fits four words");
        assert_eq!(encode_response(&response), Some(short));
        assert_eq!(
            decode_response(&bytes_of(&short.words)[..short.length * 8]),
            Some(response)
        );
    }
    let stats: Response = Ok(Reply::Stats(Stats {
        calls: 7,
        ..Stats::default()
    }));
    let ended: Response = Ok(Reply::Ended(Ended {
        handle: most,
        value: most,
        instruction: most,
        calls: most,
        peak: most,
        held: most,
        cause: Cause::UnknownFault,
    }));
    for long in [stats, ended] {
        let mut bytes = [0xff; BYTES_MAX];
        let words = encode_long(&long, &mut bytes).unwrap();
        assert!(words > SHORT_WORDS && words <= WORDS_MAX);
        assert_eq!(decode_response(&bytes[..words * 8]), Some(long));
    }
}

#[test]
fn error_numbers_follow_the_order_of_the_variants() {
    for (index, error) in errors().iter().enumerate() {
        assert_eq!(error.number() as usize, index + 1);
        let short = encode_short::<Response>(&Err(*error)).unwrap();
        assert_eq!(short.words[0].to_le_bytes()[..2], [1, index as u8]);
        assert!(!std::format!("{error}").is_empty());
    }
}

#[test]
fn every_truncation_is_refused() {
    for request in requests() {
        let short = encode_short(&request).unwrap();
        let bytes = bytes_of(&short.words);
        for words in 0..short.length {
            let expected = if words == 0 {
                BadMessage::Empty
            } else {
                BadMessage::Truncated
            };
            assert_eq!(
                decode_request(&bytes[..words * 8]),
                Err(expected),
                "{request:?} cut to {words} words"
            );
        }
    }
}

#[test]
fn trailing_words_and_padding_that_is_not_zero_are_refused() {
    for request in requests() {
        let mut bytes = [0; BYTES_MAX];
        let words = encode_long(&request, &mut bytes).unwrap();
        let used = postcard::to_allocvec_len(&request);
        for extra in 1..=3 {
            assert_eq!(
                decode_request(&bytes[..(words + extra) * 8]),
                Err(BadMessage::Trailing)
            );
        }
        for position in used..words * 8 {
            bytes[position] = 1;
            assert_eq!(
                decode_request(&bytes[..words * 8]),
                Err(BadMessage::Trailing)
            );
            bytes[position] = 0;
        }
    }
}

/// Bytes that postcard writes for a request.
mod postcard {
    pub fn to_allocvec_len(request: &crate::Request) -> usize {
        ::postcard::to_slice(request, &mut [0; 64]).unwrap().len()
    }
}

#[test]
fn unknown_and_overlong_opcodes_are_refused() {
    let known = requests().len();
    assert_eq!(known, usize::from(REQUEST_COUNT));
    for opcode in known..256 {
        let mut bytes = [0; SHORT_BYTES];
        bytes[0] = opcode as u8;
        assert_eq!(
            decode_request(&bytes),
            Err(BadMessage::UnknownRequest),
            "opcode {opcode}"
        );
    }
}

#[test]
fn text_in_every_odd_form() {
    let longest = "x".repeat(TEXT_BYTES_MAX);
    let mut bytes = [0; BYTES_MAX];
    let request = Request::Print { text: &longest };
    assert_eq!(encode_long(&request, &mut bytes), Some(WORDS_MAX));
    assert_eq!(decode_request(&bytes), Ok(request));
    let text = &longest[..START_TEXT_BYTES_MAX];
    let request = Request::Start { memory: 1, text };
    assert_eq!(encode_long(&request, &mut bytes), Some(WORDS_MAX));
    assert_eq!(decode_request(&bytes), Ok(request));
    let text = &longest[..=START_TEXT_BYTES_MAX];
    assert_eq!(
        encode_long(&Request::Start { memory: 1, text }, &mut bytes),
        None
    );
    // The length takes a second byte from 128 on.
    for length in [127, 128] {
        let text = &longest[..length];
        let mut bytes = [0; BYTES_MAX];
        let words = encode_long(&Request::Find { name: text }, &mut bytes).unwrap();
        let request = decode_request(&bytes[..words * 8]);
        assert_eq!(request, Ok(Request::Find { name: text }));
    }
    let overlong = [13, 0x81, 0x00, b'a', 0, 0, 0, 0];
    assert_eq!(decode_request(&overlong), Err(BadMessage::Encoding));
    let not_utf8 = [13, 1, 0xff, 0, 0, 0, 0, 0];
    assert_eq!(decode_request(&not_utf8), Err(BadMessage::Encoding));
    let past_the_end = [13, 100, b'a', 0, 0, 0, 0, 0];
    assert_eq!(decode_request(&past_the_end), Err(BadMessage::Truncated));
}

#[test]
fn random_bytes_never_decode_to_something_else_than_their_own_encoding() {
    // What decodes must encode to the same bytes: no value has two encodings.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..if cfg!(miri) { 200 } else { 200_000 } {
        let mut bytes = [0; SHORT_BYTES];
        for byte in &mut bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = if state >> 62 == 0 {
                (state >> 33) as u8
            } else {
                0
            };
        }
        bytes[0] %= REQUEST_COUNT + 1;
        for words in 0..=SHORT_WORDS {
            if let Ok(request) = decode_request(&bytes[..words * 8]) {
                let mut again = [0xaa; BYTES_MAX];
                assert_eq!(encode_long(&request, &mut again), Some(words));
                assert_eq!(again[..words * 8], bytes[..words * 8]);
            }
        }
    }
}

#[test]
fn the_largest_size_is_that_of_a_window() {
    let windows = Window::Resident.base() - Window::Served.base();
    assert_eq!(SIZE_MAX, windows as u64);
}
