// SPDX-License-Identifier: BSD-2-Clause

use std::path::Path;

use super::{Constants, read_constants, read_tags};
use crate::configuration::Configuration;

fn configuration(json: &str) -> Configuration {
    let mut configuration = Configuration::default();
    configuration.add_json(Path::new("test"), json).unwrap();
    configuration
}

const HEADER: &str = "
#ifndef GUARD_H
#define GUARD_H
#define PLAIN 12 /* pages */
#define ALIAS PLAIN
#define CALL(x) (x + 1)
#define OTHER sizeof(int)
#if CONFIG_SAVE >= 832
#define BITS 12
#elif defined(CONFIG_BIG)
#define BITS 13
#else
#define BITS 11 // the usual
#endif
typedef enum first {
    ZERO,
    ONE, /* a, comment */
#ifdef CONFIG_BIG
    EXTRA,
#endif
    COUNT,
    FORCE_LONG(first)
} first_t;
enum { START = COUNT, NEXT, BACK = START, LAST = CONFIG_SAVE - 1, };
#endif
";

#[test]
fn constants_follow_the_configuration() {
    let mut constants = Constants::new();
    read_constants(
        HEADER,
        &configuration(r#"{"SAVE": "512", "BIG": false}"#),
        &mut constants,
    );
    let expected = [
        ("PLAIN", 12),
        ("ALIAS", 12),
        ("BITS", 11),
        ("ZERO", 0),
        ("ONE", 1),
        ("COUNT", 2),
        ("START", 2),
        ("NEXT", 3),
        ("BACK", 2),
        ("LAST", 511),
    ];
    for (name, number) in expected {
        assert_eq!(constants.get(name), Some(&number), "{name}");
    }
    assert_eq!(constants.len(), expected.len(), "{constants:?}");
}

#[test]
fn an_option_shifts_what_follows() {
    let mut constants = Constants::new();
    read_constants(
        HEADER,
        &configuration(r#"{"SAVE": "512", "BIG": true}"#),
        &mut constants,
    );
    assert_eq!(constants["EXTRA"], 2);
    assert_eq!(constants["NEXT"], 4);
    assert_eq!(constants["BITS"], 13);
}

#[test]
fn tags_of_one_union() {
    let text = "
-- a comment
block First { field a 64 }
tagged_union other type {
    tag First 9
}
tagged_union fault type {
    tag First 0
#ifdef CONFIG_BIG
    tag Second 1
#endif
    tag Third 2
}
";
    let mut constants = Constants::new();
    read_tags(
        text,
        "fault",
        &configuration(r#"{"BIG": false}"#),
        &mut constants,
    );
    let expected = [("fault_First", 0), ("fault_Third", 2)];
    let expected: Constants = expected
        .map(|(name, number)| (name.to_owned(), number))
        .into();
    assert_eq!(constants, expected);
}
