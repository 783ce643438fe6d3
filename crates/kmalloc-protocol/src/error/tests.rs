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

#[test]
fn who_has_to_wait_for_cleaning_is_told_whether_for_bytes_or_for_a_run() {
    let text = |usable| {
        Error::BeingCleaned {
            usable,
            free: 900,
            requested: 500,
        }
        .to_string()
    };
    let bytes = "500 bytes wanted, 900 free, but only 499 of them cleaned so far";
    assert_eq!(text(499), bytes);
    for usable in [500, 501] {
        let run = std::format!(
            "500 bytes in one run wanted, which there is once all 900 free ones are clean, {usable} so far"
        );
        assert_eq!(text(usable), run);
    }
}
