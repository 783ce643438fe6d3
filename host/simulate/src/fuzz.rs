// SPDX-License-Identifier: BSD-2-Clause
//! `simulate fuzz`: the simulation of `crates/kmalloc-simulation`, for as long as one likes.
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::Status;
use crate::cli::FuzzArguments;
use crate::process::{self, lend_terminal};
use crate::project::Project;

/// What the simulation ends with when a run was not good.
const FAILED: i32 = 1;

/// Runs seeds, or replays a file. The simulation says what happened; how it ended is the result.
///
/// # Errors
///
/// If it can't be built or started.
pub fn run(project: &Project, arguments: &FuzzArguments) -> Result<Status> {
    let manifest = project.root().join("Cargo.toml");
    let mut cargo = cargo("build", &manifest);
    if !lend_terminal(&mut cargo)?.success() {
        bail!("`{}` failed", process::shown(&cargo));
    }
    let mut simulation = self::cargo("run", &manifest);
    simulation.arg("--").args(options(project, arguments));
    match lend_terminal(&mut simulation)?.code() {
        Some(0) => Ok(Status::Passed),
        Some(FAILED) => Ok(Status::Failed),
        // Ctrl-C ends it where it is; what it printed stands.
        None => Ok(Status::Interrupted),
        Some(code) => bail!("`{}` ended with {code}", process::shown(&simulation)),
    }
}

fn cargo(what: &str, manifest: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            what,
            "--quiet",
            "--profile",
            "simulation",
            "--manifest-path",
        ])
        .arg(manifest)
        .args(["--package", "kmalloc-simulation"]);
    cargo
}

fn options(project: &Project, arguments: &FuzzArguments) -> Vec<String> {
    if let Some(file) = &arguments.replay {
        return vec!["--replay".into(), file.display().to_string()];
    }
    let by_the_clock = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs())
    };
    let seed = arguments.seed.unwrap_or_else(by_the_clock);
    let folder = project.shown(&project.build().join("fuzz"));
    let options = [
        ("--seed", seed.to_string()),
        ("--minutes", arguments.minutes.to_string()),
        ("--output", folder.display().to_string()),
    ];
    let words = options
        .into_iter()
        .flat_map(|(name, value)| [name.to_string(), value]);
    words.collect()
}
