// SPDX-License-Identifier: BSD-2-Clause

use super::evaluate;

fn value(identifier: &str) -> Option<i64> {
    match identifier {
        "CONFIG_ON" => Some(1),
        "CONFIG_NODES" => Some(4),
        _ => None,
    }
}

#[test]
fn arithmetic_follows_precedence() {
    assert_eq!(evaluate("1 + 2 * 3", &value), Some(7));
    assert_eq!(evaluate("(1 + 2) * 3 - -1", &value), Some(10));
    assert_eq!(evaluate("1ul << 0x10", &value), Some(65536));
}

#[test]
fn conditions_of_both_forms() {
    assert_eq!(evaluate("defined CONFIG_ON", &value), Some(1));
    assert_eq!(
        evaluate("!defined(CONFIG_OFF) && defined(CONFIG_ON)", &value),
        Some(1)
    );
    assert_eq!(evaluate("CONFIG_NODES > 1", &value), Some(1));
    assert_eq!(
        evaluate("CONFIG_NODES >= 5 || defined(CONFIG_OFF)", &value),
        Some(0)
    );
}

#[test]
fn what_is_no_expression_has_no_value() {
    for text in [
        "",
        "1 +",
        "(1",
        "CONFIG_OFF",
        "MACRO(1)",
        "1 2",
        "\"text\"",
        "sizeof(long)",
    ] {
        assert_eq!(evaluate(text, &value), None, "{text}");
    }
}
