// SPDX-License-Identifier: BSD-2-Clause
//! The program: what it prints, and how it ends.

use std::path::PathBuf;
use std::process::Command;

/// How it ends, and what it prints.
fn simulation(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kmalloc-simulation"));
    let output = command.args(arguments).output().expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[test]
fn a_seed_alone_runs_and_is_told_of() {
    let (status, said, _) = simulation(&["--seed", "11", "--minutes", "0"]);
    assert_eq!(status, Some(0), "{said}");
    let last = said.lines().last();
    assert_eq!(last, Some("passed: seeds 11 to 11"));
    assert!(said.contains("\n1 runs, "), "{said}");
}

#[test]
fn a_file_is_replayed_with_all_that_is_said() {
    let file = file(
        "good.txt",
        "machine 1\nstart-thread 0 0 0\nkmalloc 0 1 300\n",
    );
    let (status, said, _) = simulation(&["--replay", &file]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("2: kmalloc 0 1 300\n"), "{said}");
    assert!(said.contains("Kmalloc { flags: 0, size: 12c }"), "{said}");
    assert!(said.ends_with("passed: 2 steps\n"), "{said}");
}

#[test]
fn what_is_no_scenario_is_refused() {
    let bad = file("bad.txt", "machine 9\n");
    for file in [bad.as_str(), "no/such/file"] {
        let (status, _, complaint) = simulation(&["--replay", file]);
        assert_eq!(status, Some(2), "{complaint}");
        assert!(complaint.contains(file), "{complaint}");
    }
    let (status, _, complaint) = simulation(&["--seed"]);
    assert_eq!(status, Some(2));
    assert!(
        complaint.ends_with("simulation: --seed of what?\n"),
        "{complaint}"
    );
}
