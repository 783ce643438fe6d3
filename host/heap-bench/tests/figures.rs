// SPDX-License-Identifier: BSD-2-Clause
//! The bench runs to its end, and its list has a figure under every name. What the figures are is not looked at.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

const ALLOCATORS: [&str; 11] = [
    "kmalloc",
    "kmalloc-powers",
    "kmalloc-threads",
    "mimalloc",
    "snmalloc",
    "jemalloc",
    "rpmalloc",
    "glibc",
    "dlmalloc",
    "talc",
    "rlsf",
];

const TIMED: [&str; 17] = [
    "pair.16",
    "pair.64",
    "pair.256",
    "pair.1k",
    "pair.4k",
    "pair.64.const",
    "lifo.1000",
    "fifo.1000",
    "churn",
    "large.32k",
    "large.1m",
    "realloc.16_64k",
    "realloc.16_64k.4k",
    "trace.jq",
    "trace.sqlite3",
    "trace.python3",
    "trace.cc1",
];

const FILL_MEMORY: [&str; 5] = [
    "churn",
    "trace.jq",
    "trace.sqlite3",
    "trace.python3",
    "trace.cc1",
];

#[test]
fn every_figure_is_in_the_list() {
    let folder = std::env::temp_dir().join(format!("heap-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let list = folder.join("figures.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_heap-bench"));
    let output = bench.args(["--quick", "--json"]).arg(&list).output();
    let output = output.expect("the bench starts");
    assert!(output.status.success(), "{output:?}");

    let text = std::fs::read_to_string(&list).expect("the list");
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
    let figures: Vec<Value> = serde_json::from_str(&text).expect("a list");
    let mut found = BTreeSet::new();
    for figure in &figures {
        let name = figure["name"].as_str().expect("a name").to_string();
        let value = figure["value"].as_f64().expect("a value");
        assert!(value.is_finite() && value >= 0.0, "{figure}");
        assert!(figure["unit"].is_string(), "{figure}");
        assert!(found.insert(name), "{figure} is there twice");
    }
    let mut expected = BTreeSet::new();
    for allocator in ALLOCATORS {
        for workload in TIMED {
            expected.insert(format!("host.{allocator}.{workload}.ns"));
        }
        for workload in FILL_MEMORY {
            expected.insert(format!("host.{allocator}.{workload}.overhead"));
        }
    }
    assert_eq!(found, expected);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.lines().count() > TIMED.len(), "{table}");
}

#[test]
fn an_unknown_argument_is_refused() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_heap-bench"));
    let output = bench.arg("--nothing").output().expect("the bench starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--nothing"));
}
