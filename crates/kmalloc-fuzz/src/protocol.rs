// SPDX-License-Identifier: BSD-2-Clause
//! Messages: whatever the bytes are, they are read or refused, and what is read can be written again.

use kmalloc_events::FRAME_BYTES_MAX;
use kmalloc_protocol::message::quick::{self, QuickRequest};
use kmalloc_protocol::message::{
    BYTES_MAX, REQUEST_COUNT, SHORT_BYTES, bytes_of, decode_request, decode_response, encode_long,
    encode_request, encode_response, words_of,
};
use kmalloc_protocol::{BadMessage, Flags, Request};

/// Reads the bytes behind the first as what that one says: a request, a response, a record of the trace.
///
/// # Panics
/// When something is read that no encoder writes, or two decoders disagree.
pub fn protocol(bytes: &[u8]) {
    let Some((form, message)) = bytes.split_first() else {
        return;
    };
    match form % 4 {
        0 => request(&message[..message.len().min(BYTES_MAX) / 8 * 8]),
        // No server hands over broken words; a decoder must not care.
        1 => drop(decode_request(message)),
        2 => response(&message[..message.len().min(BYTES_MAX)]),
        _ => record(message),
    }
}

fn request(message: &[u8]) {
    let decoded = decode_request(message);
    if message.len() == 16 {
        quick_request(message, &decoded);
    }
    let request = match decoded {
        Ok(request) => request,
        Err(error) => {
            let opcode = message.first().copied();
            assert_eq!(error == BadMessage::Empty, message.is_empty());
            let unknown = opcode.is_some_and(|opcode| opcode >= REQUEST_COUNT);
            assert_eq!(error == BadMessage::UnknownRequest, unknown);
            return;
        }
    };
    // There is one way to write a request.
    let mut again = [0xee; BYTES_MAX];
    let words = encode_long(&request, &mut again).expect("a request fits a message");
    assert_eq!(&again[..words * 8], message, "{request:?}");
    let short = encode_request(&request);
    assert_eq!(short.is_some(), words <= 4, "{request:?}");
    if let Some(short) = short {
        assert_eq!(&bytes_of(&short.words)[..short.length * 8], message);
        assert!(short.words[short.length..].iter().all(|word| *word == 0));
    }
}

/// The quick decoder takes the two requests that it is for, and reads in them what the long one does.
fn quick_request(message: &[u8], decoded: &Result<Request<'_>, BadMessage>) {
    let mut bytes = [0; SHORT_BYTES];
    bytes[..16].copy_from_slice(message);
    let quickly = quick::decode(&words_of(&bytes));
    let expected = match *decoded {
        Ok(Request::Kmalloc { size, flags }) if Flags::from_bits(flags).is_some() => {
            Some(QuickRequest::Kmalloc { size, flags })
        }
        Ok(Request::Kfree { address }) => Some(QuickRequest::Kfree { address }),
        _ => None,
    };
    assert_eq!(quickly, expected, "{message:x?}");
    if let Some(request) = quickly {
        assert_eq!(quick::encode(request).words, words_of(&bytes));
    }
}

fn response(message: &[u8]) {
    let Some(response) = decode_response(message) else {
        return;
    };
    let mut again = [0; BYTES_MAX];
    let words = encode_long(&response, &mut again).expect("a response fits a message");
    assert_eq!(decode_response(&again[..words * 8]), Some(response));
    if let Some(short) = encode_response(&response) {
        let bytes = bytes_of(&short.words);
        assert_eq!(bytes[..short.length * 8], again[..words * 8]);
    }
}

fn record(message: &[u8]) {
    let mut frame = message[..message.len().min(FRAME_BYTES_MAX)].to_vec();
    let Some(record) = kmalloc_events::decode(&mut frame) else {
        return;
    };
    let mut bytes = [0; FRAME_BYTES_MAX];
    let encoded = kmalloc_events::encode(&record, &mut bytes).expect("what was read fits");
    let mut copy = encoded.to_vec();
    assert_eq!(kmalloc_events::decode(&mut copy), Some(record));
}
