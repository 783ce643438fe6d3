// SPDX-License-Identifier: BSD-2-Clause
//! The result of a run as JSON.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::kernel::Kernel;
use crate::manifest::Manifest;
use crate::serial::{Books, Boot};
use crate::system::Run;
use crate::verdict::Check;

#[derive(Serialize)]
struct Report<'a> {
    system: &'a str,
    passed: bool,
    kernel: KernelReport<'a>,
    boot: &'a Option<Boot>,
    clients: Vec<ClientReport<'a>>,
    books: &'a Option<Books>,
    checks: Vec<CheckReport<'a>>,
}

#[derive(Serialize)]
struct KernelReport<'a> {
    version: &'a str,
    variant: &'a str,
    origin: &'a str,
}

#[derive(Serialize)]
struct ClientReport<'a> {
    name: &'a str,
    program: &'a str,
    result: String,
    calls: u64,
    peak_bytes: u64,
    held_bytes: u64,
}

#[derive(Serialize)]
struct CheckReport<'a> {
    name: &'a str,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Writes what was found in a run to `file`.
///
/// # Errors
///
/// If the file can't be written.
pub fn write(file: &Path, manifest: &Manifest, kernel: &Kernel, run: &Run) -> Result<()> {
    let clients = run.seen.ended.iter().map(|ended| ClientReport {
        name: &ended.name,
        program: &ended.program,
        result: ended.outcome.to_string(),
        calls: ended.calls,
        peak_bytes: ended.peak,
        held_bytes: ended.held,
    });
    let checks = run.checks.iter().map(|check| CheckReport {
        name: &check.name,
        passed: check.failure.is_none(),
        reason: check.failure.as_deref(),
    });
    let report = Report {
        system: &manifest.name,
        passed: run.failures().next().is_none(),
        kernel: KernelReport {
            version: &kernel.version,
            variant: kernel.config.variant(),
            origin: &kernel.origin,
        },
        boot: &run.seen.boot,
        clients: clients.collect(),
        books: &run.seen.books,
        checks: checks.collect(),
    };
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    fs::write(file, text).with_context(|| file.display().to_string())
}

#[derive(Serialize)]
struct TestReport<'a> {
    passed: bool,
    checks: Vec<CheckReport<'a>>,
}

/// Writes the results of tests to `file`, in the form that [`write()`] gives to the checks of a run.
///
/// # Errors
///
/// If the file can't be written.
pub fn write_tests(file: &Path, passed: &[String], failed: &[Check]) -> Result<()> {
    let passed_checks = passed.iter().map(|name| CheckReport {
        name,
        passed: true,
        reason: None,
    });
    let failed_checks = failed.iter().map(|check| CheckReport {
        name: &check.name,
        passed: false,
        reason: check.failure.as_deref(),
    });
    let report = TestReport {
        passed: failed.is_empty(),
        checks: failed_checks.chain(passed_checks).collect(),
    };
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    fs::write(file, text).with_context(|| file.display().to_string())
}
