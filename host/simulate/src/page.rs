// SPDX-License-Identifier: BSD-2-Clause
//! `simulate report`: a run as a page for a browser.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use run_report::trace::Trace;
use run_report::{Figure, Report, Test, render};
use serde::Deserialize;

use crate::Status;
use crate::cli::ReportArguments;
use crate::console::Console;
use crate::manifest;
use crate::project::Project;
use crate::system::Bench;
use crate::verdict::Check;

/// What `run --json` and `test --json` have in common.
#[derive(Deserialize)]
struct Results {
    checks: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    name: String,
    passed: bool,
    reason: Option<String>,
}

/// Makes the page. Without a trace, a system is run to have one; its checks are listed then.
///
/// # Errors
///
/// If a file can't be read or written, or the system can't be run.
pub fn run(project: &Project, arguments: &ReportArguments) -> Result<Status> {
    let mut report = Report::default();
    let mut status = Status::Passed;
    for file in &arguments.bench {
        let figures: Vec<Figure> = read(file, "figures of `bench --json`")?;
        report.figures.extend(figures);
    }
    for file in &arguments.results {
        let results: Results = read(file, "results of `run --json` or `test --json`")?;
        report.tests.extend(results.checks.into_iter().map(test));
    }
    let bytes = match &arguments.trace_in {
        Some(file) => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            report.title = format!("Trace {name}");
            fs::read(file).with_context(|| file.display().to_string())?
        }
        None => traced(project, arguments, &mut report, &mut status)?,
    };
    let trace = Trace::read(&bytes);
    ensure!(
        trace.records > 0,
        "there is no record in the trace; `./simulate --trace-out FILE` writes one"
    );
    report.trace = Some(trace);
    let file = &arguments.output;
    fs::write(file, render(&report)).with_context(|| file.display().to_string())?;
    anstream::eprintln!("simulate: the report is in {}", file.display());
    Ok(status)
}

/// Runs the system that is named; what it told of itself.
fn traced(
    project: &Project,
    arguments: &ReportArguments,
    report: &mut Report,
    status: &mut Status,
) -> Result<Vec<u8>> {
    let default = project.shown(&project.root().join("clients/system.toml"));
    let mut manifest = manifest::load(arguments.system.as_ref().unwrap_or(&default))?;
    manifest.run.trace = true;
    let console = Console::new(arguments.machine.quiet);
    let mut bench = Bench::new(project, console, &arguments.machine)?;
    bench.build(&[&manifest])?;
    let prepared = bench.prepare(&manifest, None)?;
    let step = console.transient_step(&format!("running {}", manifest.name));
    let run = prepared.run(&manifest, |_, _| ())?;
    drop(step);
    let kernel = &bench.kernel;
    report.title = format!(
        "{} on seL4 {} {}",
        manifest.name,
        kernel.version,
        kernel.config.variant()
    );
    let checks = run.checks.iter().map(|Check { name, failure }| Test {
        name: name.clone(),
        failure: failure.clone(),
    });
    report.tests.extend(checks);
    *status = crate::run::status(&run);
    prepared.trace()
}

fn test(outcome: Outcome) -> Test {
    let failure = outcome.reason.unwrap_or_else(|| "no reason given".into());
    Test {
        name: outcome.name,
        failure: (!outcome.passed).then_some(failure),
    }
}

fn read<T: for<'de> Deserialize<'de>>(file: &Path, what: &str) -> Result<T> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{}: not the {what}", file.display()))
}
