// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use std::string::ToString;

#[test]
fn each_bad_message_says_what_is_wrong_with_it() {
    for (what, text) in [
        (BadMessage::Empty, "it is empty"),
        (BadMessage::Truncated, "it ends before its last field"),
        (
            BadMessage::UnknownRequest,
            "its first byte names no request",
        ),
        (BadMessage::Encoding, "a field has no meaning"),
        (BadMessage::Trailing, "something follows its last field"),
        (BadMessage::Capabilities, "capabilities came with it"),
        (BadMessage::TooLong, "its text is too long"),
    ] {
        let error = Error::BadMessage(what).to_string();
        assert_eq!(error, std::format!("the message is not a request: {text}"));
    }
}
