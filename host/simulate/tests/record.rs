// SPDX-License-Identifier: BSD-2-Clause
//! `simulate record` on a program that every machine has.
#![allow(
    missing_docs,
    reason = "a test program has no readers of its documentation"
)]

use std::fs;
use std::process::Command;

#[test]
fn a_recorded_trace_is_well_formed() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("shell.trace");
    let record = |more: &[&str]| {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_simulate"));
        tool.args(["record", "-o"]).arg(&trace).args(more);
        // Two levels of shells: only the outer one is to be recorded.
        tool.args([
            "--",
            "bash",
            "-c",
            "for i in {1..500}; do x[i]=$(echo $i); done",
        ]);
        let output = tool.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = fs::read(&trace).unwrap();
        let compact = kmalloc_trace::compile(&text).unwrap();
        let summary = kmalloc_trace::Trace::decode(&compact).unwrap().summary();
        (String::from_utf8(text).unwrap(), summary)
    };
    let (text, summary) = record(&[]);
    assert!(summary.operations > 1000, "{summary:?}");
    assert!(
        text.starts_with("# Recorded by `./simulate record` from:\n#   bash -c 'for i"),
        "{text}"
    );
    let (_, summary) = record(&["--operations", "100"]);
    assert_eq!(summary.operations, 100);
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_simulate"));
    tool.args(["record", "-o"])
        .arg(folder.path().join("x"))
        .args(["--", "no-such-program"]);
    let output = tool.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-program"));
}
