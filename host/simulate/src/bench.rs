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
            anstream::println!("\nbaseline written: {}", file.display());
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

fn read(file: &Path) -> Result<Vec<Figure>> {
    let text = fs::read_to_string(file).context("the figures of heap-bench")?;
    serde_json::from_str(&text).context("the figures of heap-bench")
}
