// SPDX-License-Identifier: BSD-2-Clause
//! Responses as they travel.

use kmalloc_protocol::message::{BYTES_MAX, bytes_of, decode_response, encode_long, encode_short};
use kmalloc_protocol::{Reply, Response};

/// A response through the encoding: in four words, figures apart.
pub(super) fn over_the_wire(response: &Response) -> Response {
    let decoded = match encode_short(response) {
        Some(short) => {
            let bytes = bytes_of(&short.words);
            assert!(bytes[short.length * 8..].iter().all(|byte| *byte == 0));
            decode_response(&bytes[..short.length * 8])
        }
        None => {
            let is_figures = matches!(
                response,
                Ok(Reply::Stats(_) | Reply::Ended(_) | Reply::Figures(_))
            );
            assert!(is_figures, "{response:?} does not fit four words");
            let mut bytes = [0xee; BYTES_MAX];
            let words = encode_long(response, &mut bytes).expect("figures fit a message");
            decode_response(&bytes[..words * 8])
        }
    };
    let decoded = decoded.expect("a response decodes");
    assert_eq!(decoded, *response);
    decoded
}
