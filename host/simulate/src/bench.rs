// SPDX-License-Identifier: BSD-2-Clause
//! `simulate bench`: what operations cost, beside the kernel's own floor and beside other allocators.
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::Status;
use crate::cli::BenchArguments;
use crate::console::{BOLD, Console};
use crate::process::is_interrupted;
use crate::project::Project;
use crate::system::Bench;

pub mod baseline;
pub mod figures;
mod rows;
pub mod target;

use baseline::{Baseline, Compilers};
use figures::Figure;

/// The document that has the table of the baseline.
const DOCUMENT: &str = "docs/PERFORMANCE.md";
/// What stands before the table in it.
const TABLE_BEGIN: &str = "<!-- written by ./simulate bench --baseline -->\n";
/// What stands behind it.
const TABLE_END: &str = "<!-- end -->";

/// Counts in QEMU, compares on this machine, and shows a table of each.
///
/// # Errors
///
/// For everything that keeps the figures from being had.
pub fn run(project: &Project, arguments: &BenchArguments) -> Result<Status> {
    let console = Console::new(arguments.quiet);
    let mut figures = Vec::new();
    if !arguments.host {
        let machine = arguments.machine();
        let mut bench = Bench::new(project, console, &machine)?;
        if arguments.baseline {
            ensure!(
                baseline::holds_for(&bench.kernel),
                "the baseline is that of the release kernel that is built here"
            );
        }
        let parts = target::parts(project)?;
        let Some(counted) = target::count(&mut bench, &parts)? else {
            return Ok(Status::Interrupted);
        };
        anstream::println!(
            "{BOLD}in QEMU{BOLD:#} ({}), instructions\n",
            bench.kernel.shown()
        );
        anstream::print!("{}", rows::render(&counted));
        if arguments.baseline {
            let file = project.shown(&baseline::file(project));
            Baseline::of(&counted, Compilers::here()?).write(&file)?;
            let document = project.shown(&project.root().join(DOCUMENT));
            write_table(&document, &rows::markdown(&counted))?;
            anstream::println!("\nwritten: {}, {}", file.display(), document.display());
        }
        figures.extend(counted);
    }
    if !arguments.target && !is_interrupted() {
        anstream::println!("\n{BOLD}on this machine{BOLD:#}\n");
        figures.extend(compare_on_host(project, console, arguments)?);
    }
    if is_interrupted() {
        return Ok(Status::Interrupted);
    }
    if let Some(file) = &arguments.json {
        figures::write(file, &figures)?;
    }
    Ok(Status::Passed)
}

/// Runs `heap-bench`, which shows a table of its own.
fn compare_on_host(
    project: &Project,
    console: Console,
    arguments: &BenchArguments,
) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let json = folder.path().join("figures.json");
    let mut command = Command::new("cargo");
    command.current_dir(project.host()).stdin(Stdio::null());
    command.args(["run", "--release", "--package", "heap-bench"]);
    if console.is_quiet() {
        command.arg("--quiet");
    }
    command.arg("--").arg("--json").arg(&json);
    if arguments.instructions {
        command.arg("--instructions");
    }
    let status = command.status().context("can't start cargo")?;
    if is_interrupted() {
        return Ok(Vec::new());
    }
    ensure!(status.success(), "heap-bench ended with {status}");
    read(&json)
}

/// Puts a table into a document, in the place of the one before.
fn write_table(file: &Path, table: &str) -> Result<()> {
    let shown = || file.display().to_string();
    let text = fs::read_to_string(file).with_context(shown)?;
    let parts = text.split_once(TABLE_BEGIN).and_then(|(head, rest)| {
        let (_, tail) = rest.split_once(TABLE_END)?;
        Some((head, tail))
    });
    let (head, tail) = parts.with_context(|| format!("{} has no place for the table", shown()))?;
    let text = format!("{head}{TABLE_BEGIN}{table}{TABLE_END}{tail}");
    fs::write(file, text).with_context(shown)
}

fn read(file: &Path) -> Result<Vec<Figure>> {
    let text = fs::read_to_string(file).context("the figures of heap-bench")?;
    serde_json::from_str(&text).context("the figures of heap-bench")
}
