// SPDX-License-Identifier: BSD-2-Clause
use super::*;

const OUTPUT: &str = "
running 4 tests
test size::tests::one ... ok
test size::tests::two ... FAILED
test size::tests::three ... ignored, takes a day
test size::tests::four - should panic ... ok

failures:

---- size::tests::two stdout ----
thread 'size::tests::two' panicked at src/size.rs:3:5:
test says ... ok

failures:
    size::tests::two

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests size
running 1 test
test src/lib.rs - encode (line 12) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

#[test]
fn counts_and_names() {
    let mut tally = Tally::default();
    let lines: Vec<_> = OUTPUT.lines().map(|line| tally.line(line)).collect();
    assert_eq!(tally.passed, 3);
    assert_eq!(tally.failed, ["size::tests::two"]);
    assert_eq!(tally.lost(), 0);
    assert!(lines.contains(&Line::Failed("size::tests::two")));
    assert!(lines.contains(&Line::Passed("src/lib.rs - encode (line 12)")));
    assert_eq!(
        lines
            .iter()
            .filter(|line| **line == Line::Explanation)
            .count(),
        9
    );
}

#[test]
fn tests_without_a_result_are_missed() {
    let mut tally = Tally::default();
    for line in [
        "running 3 tests",
        "test a ... ok",
        "process didn't exit successfully",
    ] {
        tally.line(line);
    }
    assert_eq!(tally.lost(), 2);
}
