// SPDX-License-Identifier: BSD-2-Clause
use super::*;

fn tap(lines: &[&str]) -> Tap {
    let mut tap = Tap::default();
    lines.iter().for_each(|line| tap.line(line));
    tap
}

fn problem(lines: &[&str]) -> String {
    tap(lines).check_plan().unwrap_err()
}

#[test]
fn a_complete_run() {
    let tap = tap(&[
        "# three tests",
        "1..3",
        "ok 1 - kmalloc",
        "chatter",
        "not ok 2 - kfree: lost",
        "ok 3",
    ]);
    assert_eq!(tap.check_plan(), Ok(()));
    let failed = TestResult {
        name: "kfree".into(),
        failure: Some("lost".into()),
    };
    assert_eq!(
        tap.results[0],
        TestResult {
            name: "kmalloc".into(),
            failure: None
        }
    );
    assert_eq!(tap.results[1], failed);
    assert_eq!(
        tap.results[2],
        TestResult {
            name: String::new(),
            failure: None
        }
    );
}

#[test]
fn lines_of_other_kinds_are_not_taken_for_tap() {
    for line in [
        "",
        "ok",
        "okay 1",
        "ok then",
        "not ok",
        "not okay 1",
        "2..3",
        "1..",
        "1..x",
        "0.1..3",
    ] {
        assert!(tap(&[line]).is_empty(), "{line}");
    }
}

#[test]
fn a_failure_without_a_reason_is_one() {
    let tap = tap(&["1..1", "not ok 1 - kfree"]);
    assert_eq!(tap.results[0].failure.as_deref(), Some("no reason given"));
}

#[test]
fn incomplete_runs() {
    assert!(problem(&[]).contains("no plan"));
    assert!(problem(&["ok 1 - a"]).contains("no plan"));
    assert!(problem(&["1..0"]).contains("no test"));
    assert_eq!(
        problem(&["1..2", "ok 1 - a"]),
        "2 tests planned, 1 results came"
    );
    assert_eq!(
        problem(&["1..1", "ok 1 - a", "ok 2 - b"]),
        "1 tests planned, 2 results came"
    );
    assert_eq!(
        problem(&["1..2", "ok 1 - a", "ok 1 - a"]),
        "result 1 came when 2 was due"
    );
    assert_eq!(
        problem(&["1..2", "ok 2 - b", "ok 1 - a"]),
        "result 2 came when 1 was due"
    );
    assert!(problem(&["1..1", "1..1", "ok 1 - a"]).contains("second plan"));
    assert!(problem(&["ok 1 - a", "1..1"]).contains("after the first result"));
    assert_eq!(
        problem(&["1..1", "ok 1 - a", "Bail out! no memory"]),
        "it gave up: no memory"
    );
}
