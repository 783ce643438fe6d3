// SPDX-License-Identifier: BSD-2-Clause
//! The report of a real run, as a browser takes it.
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use run_report::PARTS;

use super::Results;
use super::host::browser;
use crate::Status;
use crate::cli::{ReportArguments, TestArguments};
use crate::page;
use crate::project::Project;

/// The test.
pub const NAME: &str = "report: a real run opens in Chromium";

/// Runs a system, makes the page of it, and looks whether every part is there and the browser content.
pub fn run(project: &Project, arguments: &TestArguments, results: &mut Results) {
    if !results.wants(NAME) {
        return;
    }
    if arguments.machine.icount {
        return results.leave_out(
            NAME,
            "a run that counts instructions has no samples by time",
        );
    }
    match browser() {
        None => results.leave_out(NAME, "there is no Chromium on this machine"),
        Some(browser) => {
            let failure = show(project, arguments, browser).err();
            results.add(NAME.into(), failure.map(|error| format!("{error:#}")));
        }
    }
}

fn show(project: &Project, arguments: &TestArguments, browser: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("report.html");
    let mut machine = arguments.machine.clone();
    machine.quiet = true;
    let report = ReportArguments {
        output: output.clone(),
        trace_in: None,
        system: None,
        results: Vec::new(),
        bench: Vec::new(),
        machine,
    };
    let status = page::run(project, &report)?;
    ensure!(status == Status::Passed, "the run ended as {status:?}");
    look(browser, folder.path(), &output)
}

/// Holds the elements that the browser has, and what it has to say, against what there should be.
fn look(browser: &str, folder: &Path, page: &Path) -> Result<()> {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000"])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {browser}"))?;
    let elements = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    for part in PARTS {
        let is_there = elements.contains(&format!(" id=\"{part}\""));
        ensure!(is_there, "there is no `{part}` in the page");
    }
    ensure!(!complaints.contains("CONSOLE"), "{complaints}");
    Ok(())
}
