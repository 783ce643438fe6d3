// SPDX-License-Identifier: BSD-2-Clause
//! The tests on the host: Cargo's, and what rustfmt and clippy think of the sources.
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Results, packages};
use crate::libtest::{Line, Tally};
use crate::process::{is_interrupted, run_logged};
use crate::programs;
use crate::system::Bench;

/// Makes a `cargo` with a subcommand, in one of the workspaces.
pub type Cargo<'a> = &'a dyn Fn(&str) -> Command;

/// Tests both workspaces.
///
/// # Errors
///
/// If Cargo can't be started.
pub fn run(bench: &Bench, results: &mut Results) -> Result<()> {
    let crates = |subcommand: &str| programs::cargo(bench.project, &bench.kernel, subcommand);
    let host = |subcommand: &str| {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(bench.project.host()).arg(subcommand);
        cargo
    };
    if results.wants(BROWSER_TEST) && browser().is_none() {
        results.leave_out(BROWSER_TEST, "there is no Chromium on this machine");
    }
    let workspaces: [(&str, Cargo); 2] = [("crates", &crates), ("host", &host)];
    for (workspace, cargo) in workspaces {
        if is_interrupted() {
            return Ok(());
        }
        results.heading(&format!("{workspace} (cargo test)"));
        let mut all = cargo("test");
        all.arg("--workspace");
        test(workspace, all, results)?;
        lint(bench, workspace, cargo, results);
        packages::run(bench, workspace, cargo, results)?;
    }
    if is_interrupted() {
        return Ok(());
    }
    // A feature changes the whole build, and this one makes another heap.
    results.heading("checked heap (cargo test)");
    let mut checked = crates("test");
    checked.args(["--package", "kmalloc", "--package", "kmalloc-fuzz"]);
    checked.args(["--features", "kmalloc-fuzz/checked"]);
    test("checked heap", checked, results)
}

/// Runs a `cargo test` under a name and hands on what it says test by test.
fn test(workspace: &str, mut command: Command, results: &mut Results) -> Result<()> {
    command.args(["--no-fail-fast", "--"]).arg(&results.filter);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("can't start cargo")?;
    let mut tally = Tally::default();
    let mut explanation = Vec::new();
    let stdout = child.stdout.take().context("what cargo prints")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        match tally.line(&line) {
            Line::Passed(name) => results.add(format!("{workspace}: {name}"), None),
            Line::Failed(name) => {
                let reason = Some("see what it printed".into());
                results.add(format!("{workspace}: {name}"), reason);
            }
            Line::Explanation => explanation.push(line),
            Line::Ignored | Line::Other => {}
        }
    }
    let status = child.wait()?;
    if !explanation.is_empty() {
        println!("{}", explanation.join("\n"));
    }
    if tally.lost() > 0 {
        let reason = format!(
            "{} tests were begun but gave no result ({status})",
            tally.lost()
        );
        results.add(format!("{workspace}: cargo test"), Some(reason));
    } else if !status.success() && tally.failed.is_empty() && !is_interrupted() {
        results.add(
            format!("{workspace}: cargo test"),
            Some(format!("ended with {status}")),
        );
    }
    Ok(())
}

/// Formatting and lints, each a test; left out where the toolchain came without them.
fn lint(bench: &Bench, workspace: &str, cargo: Cargo, results: &mut Results) {
    for (test, tool, arguments) in [
        ("fmt", "fmt", &["--all", "--check"][..]),
        (
            "clippy",
            "clippy",
            &[
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ][..],
        ),
        (
            // What is behind a feature. Programs are left out: one of these wants a global allocator of each.
            "clippy --all-features",
            "clippy",
            &[
                "--workspace",
                "--lib",
                "--all-features",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ][..],
        ),
    ] {
        let name = format!("{workspace}: cargo {test}");
        if is_interrupted() || !results.wants(&name) || !has_component(tool) {
            continue;
        }
        let step = bench.console.transient_step(&name);
        let mut command = Command::new("cargo");
        if tool == "fmt" {
            // Formatting knows nothing of target folders and kernels.
            let folder = cargo(tool)
                .get_current_dir()
                .map(std::path::Path::to_path_buf);
            command
                .current_dir(folder.unwrap_or_default())
                .arg(tool)
                .args(arguments);
        } else {
            command = cargo(tool);
            command.args(arguments);
        }
        let log = bench
            .project
            .build()
            .join(format!("log/{tool}-{workspace}.log"));
        let result = run_logged(&mut command, &log, |_| ());
        drop(step);
        results.add(name, result.err().map(|error| format!("\n{error}")));
    }
}

/// The test that passes without having looked where there is no browser.
const BROWSER_TEST: &str = "host: chromium_shows_it_and_has_nothing_to_complain_of";

/// The browser that pages are tested in; `None` where there is none.
pub fn browser() -> Option<&'static str> {
    let runs = |program: &&'static str| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    run_report::BROWSERS.into_iter().find(runs)
}

fn has_component(tool: &str) -> bool {
    let mut command = Command::new("cargo");
    command.args([tool, "--version"]).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
