// SPDX-License-Identifier: BSD-2-Clause
extern crate std;

use super::*;

#[test]
fn the_four_operations() {
    assert_eq!(
        parse_line("a 1 64"),
        Ok(Some(Line::Allocate { id: 1, size: 64 }))
    );
    assert_eq!(
        parse_line("z 2 3 8"),
        Ok(Some(Line::AllocateZeroed {
            id: 2,
            count: 3,
            size: 8
        }))
    );
    assert_eq!(
        parse_line("r 1 128"),
        Ok(Some(Line::Resize { id: 1, size: 128 }))
    );
    assert_eq!(parse_line("f 1"), Ok(Some(Line::Free { id: 1 })));
}

#[test]
fn blanks_and_comments() {
    for line in ["", "   ", "# a 1 2", "\t# x", "\r"] {
        assert_eq!(parse_line(line), Ok(None), "{line:?}");
    }
    assert_eq!(parse_line("  f\t7 \r"), Ok(Some(Line::Free { id: 7 })));
    assert_eq!(
        parse_line("f 7 # the last one"),
        Ok(Some(Line::Free { id: 7 }))
    );
}

#[test]
fn malformed_lines() {
    let refused = |line: &str, error| assert_eq!(parse_line(line), Err(error), "{line:?}");
    refused("m 1 2", LineError::UnknownOperation);
    refused("A 1 2", LineError::UnknownOperation);
    refused("free 1", LineError::UnknownOperation);
    refused("a", LineError::Missing("a ID SIZE"));
    refused("a 1", LineError::Missing("a ID SIZE"));
    refused("z 1 2", LineError::Missing("z ID NMEMB SIZE"));
    refused("r 1 # 2", LineError::Missing("r ID SIZE"));
    refused("f 1 2", LineError::Surplus("f ID"));
    refused("a 1 2 3", LineError::Surplus("a ID SIZE"));
    for number in [
        "x",
        "-1",
        "+1",
        "1.5",
        "0x10",
        "18446744073709551616",
        "1_000",
    ] {
        refused(&std::format!("a 1 {number}"), LineError::NotANumber);
        refused(&std::format!("f {number}"), LineError::NotANumber);
    }
}

#[test]
fn sizes_out_of_range() {
    let refused = |line: &str, error| assert_eq!(parse_line(line), Err(error), "{line:?}");
    for line in ["a 1 0", "r 1 0", "z 1 0 8", "z 1 8 0"] {
        assert!(parse_line(line).is_ok_and(|line| line.is_some()), "{line}");
    }
    for line in [
        "a 1 68719476737",
        "r 1 18446744073709551615",
        "z 1 65536 1048577",
        "z 1 4294967296 4294967296",
        "z 1 18446744073709551615 18446744073709551615",
    ] {
        refused(line, LineError::TooLarge);
    }
    assert!(parse_line("a 1 68719476736").is_ok());
    assert!(parse_line("z 1 65536 1048576").is_ok());
}
