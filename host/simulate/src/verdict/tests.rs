// SPDX-License-Identifier: BSD-2-Clause
use kmalloc_manifest::{OnFailure, Report};

use super::*;
use crate::manifest::{Program, RunSettings, Source};
use crate::serial;
use crate::size::Size;

const BOOT: &str = "@boot kernel=5.0.0 variant=release memory=1000 untypeds=2";
const BOOKS: &str = "@books free=700 committed=100 server=200 total=1000 balanced=true";
const END: &str = "@end passed=true";

fn client(name: &str, expect: &str) -> Client {
    Client {
        name: name.into(),
        program: 0,
        arguments: Vec::new(),
        priority: 100,
        budget: None,
        memory_limit: Size(4096),
        memory_reserved: Size(0),
        slot_limit: None,
        start: true,
        service: false,
        serves: None,
        calls: None,
        on_failure: OnFailure::Leave,
        restarts_max: 0,
        lives: None,
        starts: Vec::new(),
        kills: Vec::new(),
        children_max: 0,
        statistics: false,
        report: Report::Each,
        devices: Vec::new(),
        movable: false,
        expect: expect.parse().unwrap(),
        tap: false,
        expect_held: None,
        expect_calls_min: 0,
        data: Vec::new(),
    }
}

fn manifest(clients: Vec<Client>) -> Manifest {
    let source = Source::Package("p".into());
    let programs = vec![Program {
        name: "p".into(),
        source,
        line: None,
    }];
    Manifest {
        name: "system".into(),
        file: "system.toml".into(),
        kernel: None,
        run: RunSettings::default(),
        programs,
        clients,
    }
}

fn ended(name: &str, result: &str) -> String {
    format!("@client name={name} program=p result={result} calls=10 peak=4096 held=64")
}

/// The failures of a run with these lines, as `check: reason`.
fn failures_of(manifest: &Manifest, lines: &[&str], end: &MachineEnd) -> Vec<String> {
    let mut seen = Observation::default();
    lines
        .iter()
        .for_each(|line| seen.record(&serial::parse(line)));
    let checks = judge(manifest, &seen, end);
    let failed = |check: Check| Some(format!("{}: {}", check.name, check.failure?));
    checks.into_iter().filter_map(failed).collect()
}

fn left() -> MachineEnd {
    MachineEnd::Left("exit status: 1".into())
}

fn failures(manifest: &Manifest, lines: &[&str]) -> Vec<String> {
    failures_of(manifest, lines, &left())
}

fn only(failures: Vec<String>) -> String {
    assert_eq!(failures.len(), 1, "{failures:?}");
    failures.into_iter().next().unwrap()
}

#[test]
fn a_run_that_went_well() {
    let manifest = manifest(vec![client("a", "exit:0"), client("b", "fault:vm:0x1000")]);
    let lines = [
        BOOT,
        "a| hi",
        &ended("a", "exit:0"),
        &ended("b", "fault:vm:0x1000:0x400000"),
        BOOKS,
        END,
    ];
    assert_eq!(failures(&manifest, &lines), Vec::<String>::new());
}

#[test]
fn every_outcome_is_held_against_every_expectation() {
    let outcomes = [
        "exit:0",
        "exit:1",
        "fault:vm:0x1000:0x400000",
        "killed",
        "alive",
    ];
    let expectations = ["exit:0", "exit:1", "fault:vm:0x1000", "killed", "alive"];
    for (row, expectation) in expectations.iter().enumerate() {
        let manifest = manifest(vec![client("a", expectation)]);
        for (column, outcome) in outcomes.iter().enumerate() {
            let failures = failures(&manifest, &[BOOT, &ended("a", outcome), BOOKS, END]);
            if row == column {
                assert_eq!(failures, Vec::<String>::new());
            } else {
                let reason = format!("a: expected {expectation}, but it was {outcome}");
                assert_eq!(only(failures), reason);
            }
        }
    }
}

#[test]
fn a_client_that_nobody_speaks_of_has_failed() {
    let manifest = manifest(vec![client("a", "exit:0")]);
    assert!(only(failures(&manifest, &[BOOT, BOOKS, END])).starts_with("a: expected exit:0"));
}

#[test]
fn a_client_that_only_others_start_may_stay_away() {
    let mut manifest = manifest(vec![client("a", "exit:0")]);
    manifest.clients[0].start = false;
    assert!(failures(&manifest, &[BOOT, BOOKS, END]).is_empty());
    let failures = failures(
        &manifest,
        &[
            BOOT,
            &ended("a", "exit:0"),
            &ended("a", "killed"),
            BOOKS,
            END,
        ],
    );
    assert!(only(failures).starts_with("a: "));
}

#[test]
fn a_client_that_the_manifest_lacks_is_a_failure() {
    let manifest = manifest(vec![client("a", "exit:0")]);
    let lines = [
        BOOT,
        &ended("a", "exit:0"),
        &ended("b", "exit:0"),
        BOOKS,
        END,
    ];
    assert!(only(failures(&manifest, &lines)).starts_with("b: "));
}

#[test]
fn bytes_held_and_calls_made_are_checked_where_wanted() {
    let mut manifest = manifest(vec![client("a", "exit:0")]);
    let lines = [BOOT, &ended("a", "exit:0"), BOOKS, END];
    manifest.clients[0].expect_held = Some(64);
    manifest.clients[0].expect_calls_min = 10;
    assert!(failures(&manifest, &lines).is_empty());
    manifest.clients[0].expect_calls_min = 11;
    assert!(only(failures(&manifest, &lines)).contains("made 10 calls"));
    manifest.clients[0].expect_held = Some(0);
    assert!(only(failures(&manifest, &lines)).contains("held 64"));
}

#[test]
fn the_end_sentinel_must_be_seen_and_be_the_end() {
    let manifest = manifest(vec![client("a", "exit:0")]);
    let lines = [BOOT, &ended("a", "exit:0"), BOOKS];
    let without = |end| only(failures_of(&manifest, &lines, &end));
    assert_eq!(
        without(left()),
        "end: QEMU ended (exit status: 1) before the end sentinel"
    );
    let late = MachineEnd::TimedOut(Duration::from_secs(9), None);
    assert_eq!(without(late.clone()), "end: no end sentinel after 9 s");
    assert_eq!(without(MachineEnd::Interrupted), "end: interrupted");

    let lines = [BOOT, &ended("a", "exit:0"), BOOKS, END];
    assert!(only(failures_of(&manifest, &lines, &MachineEnd::Stuck)).contains("did not leave"));
    assert!(only(failures_of(&manifest, &lines, &late)).contains("did not leave"));
    let lines = [BOOT, &ended("a", "exit:0"), BOOKS, END, "a| more"];
    assert!(only(failures(&manifest, &lines)).starts_with("serial: "));
    let lines = [BOOT, &ended("a", "exit:0"), BOOKS, END, END];
    assert!(only(failures(&manifest, &lines)).starts_with("serial: "));
}

#[test]
fn the_servers_own_verdict_counts() {
    let manifest = manifest(vec![client("a", "exit:0")]);
    let bad = "@end passed=false";
    let lines = [BOOT, &ended("a", "exit:0"), BOOKS, bad];
    assert!(only(failures(&manifest, &lines)).starts_with("end: the server says"));
    let lines = [BOOT, &ended("a", "exit:1"), BOOKS, bad];
    assert!(only(failures(&manifest, &lines)).starts_with("a: "));
}

#[test]
fn silence_is_a_failure_in_every_respect() {
    let manifest = manifest(vec![client("a", "exit:0")]);
    let names: Vec<_> = failures(&manifest, &[])
        .iter()
        .map(|failure| failure.split(':').next().unwrap().to_string())
        .collect();
    assert_eq!(names, ["boot", "a", "books", "end"]);
}

#[test]
fn books_must_balance_every_time() {
    let manifest = manifest(vec![client("a", "exit:0")]);
    for bad in [
        "@books free=700 committed=100 server=200 total=1000 balanced=false",
        "@books free=701 committed=100 server=200 total=1000 balanced=true",
        "@books free=18446744073709551615 committed=1001 server=0 total=1000 balanced=true",
    ] {
        let lines = [BOOT, bad, &ended("a", "exit:0"), BOOKS, END];
        assert!(
            only(failures(&manifest, &lines)).starts_with("books: do not balance"),
            "{bad}"
        );
    }
    let lines = [BOOT, &ended("a", "exit:0"), END];
    assert!(only(failures(&manifest, &lines)).starts_with("books: the server did not show"));
}

#[test]
fn test_clients_must_keep_their_plan() {
    let mut manifest = manifest(vec![client("a", "exit:0")]);
    let run = |manifest: &Manifest, tests: &[&str]| {
        let mut lines = vec![BOOT];
        lines.extend(tests);
        let end = ended("a", "exit:0");
        lines.extend([end.as_str(), BOOKS, END]);
        failures(manifest, &lines)
    };
    assert!(run(&manifest, &["a| 1..2", "a| ok 1 - x", "a| ok 2 - y"]).is_empty());
    assert!(only(run(&manifest, &["a| 1..2", "a| ok 1 - x"])).starts_with("a: plan: 2 tests"));
    let failed = run(
        &manifest,
        &["a| 1..2", "a| ok 1 - x", "a| not ok 2 - y: why"],
    );
    assert_eq!(only(failed), "a: y: why");
    assert!(run(&manifest, &["a| no test"]).is_empty());
    manifest.clients[0].tap = true;
    assert!(only(run(&manifest, &["a| no test"])).starts_with("a: plan: it printed no plan"));
}

#[test]
fn a_system_that_must_be_refused() {
    let mut manifest = manifest(vec![client("a", "exit:0")]);
    manifest.run.refused = Some("client a: 4096 bytes".into());
    let log = "# error: client a: 4096 bytes are not there";
    assert!(failures(&manifest, &[log, "@end passed=false"]).is_empty());
    assert!(only(failures(&manifest, &[log, END])).contains("should have refused"));
    assert!(only(failures(&manifest, &["# other", "@end passed=false"])).contains("does not say"));
    assert!(only(failures(&manifest, &[log])).contains("before the end sentinel"));
}

#[test]
fn malformed_records_are_failures() {
    let manifest = manifest(vec![client("a", "exit:0")]);
    let lines = [BOOT, "@client name=a", &ended("a", "exit:0"), BOOKS, END];
    assert_eq!(
        only(failures(&manifest, &lines)),
        "serial: @client without a right `program`"
    );
}
