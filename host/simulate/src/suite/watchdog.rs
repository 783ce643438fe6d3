// SPDX-License-Identifier: BSD-2-Clause
//! That the watchdog bites: a server that never comes back from its first `kmalloc`, in QEMU.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Results;
use crate::cli::{MachineArguments, TestArguments};
use crate::elf::Elf;
use crate::manifest;
use crate::project::Project;
use crate::system::Bench;
use crate::verdict::MachineEnd;

/// What the names of these tests begin with.
pub const NAME: &str = "watchdog:";
/// A part of the name of what the first `kmalloc` of a client goes through.
const FUNCTION: &str = "allocate_quick";
/// A jump to itself.
const LOOP: [u8; 2] = [0xeb, 0xfe];

/// Runs the first look's system on a server that hangs.
///
/// # Errors
///
/// When there is no kernel to be had.
pub fn run(project: &Project, arguments: &TestArguments, results: &mut Results) -> Result<()> {
    let is_meant = results.filter.starts_with(NAME) || NAME.starts_with(&results.filter);
    let given = &arguments.machine;
    // A run that ends earlier by its timeout has no need of a watchdog.
    if !is_meant || given.root_task.is_some() || given.timeout.is_some() {
        return Ok(());
    }
    results.heading(NAME);
    let failure = match hang(project, results, given) {
        Ok(failure) => failure,
        Err(error) => Some(format!("{error:#}")),
    };
    results.add(format!("{NAME} a server in a loop is found"), failure);
    Ok(())
}

/// Why the server was not found to hang; `None` if it was.
fn hang(project: &Project, results: &Results, given: &MachineArguments) -> Result<Option<String>> {
    let manifest = manifest::load(&project.root().join("clients/system.toml"))?;
    let mut bench = Bench::new(project, results.console, given)?;
    bench.build(&[&manifest])?;
    let prepared = bench.prepare(&manifest, None)?;
    let machine = MachineArguments {
        root_task: Some(patched(project, prepared.root_task_file())?),
        ..given.clone()
    };
    let mut bench = Bench::new(project, results.console, &machine)?;
    bench.build(&[&manifest])?;
    let prepared = bench.prepare(&manifest, None)?;
    let step = results.console.transient_step("waiting for the watchdog");
    let run = prepared.run(&manifest, |_, _| ())?;
    drop(step);
    Ok(match run.end {
        MachineEnd::Hung(what) if what.contains("answers nobody") && what.contains(FUNCTION) => {
            None
        }
        end => Some(format!(
            "the server hangs in {FUNCTION}, and the run ended so: {end:?}"
        )),
    })
}

/// The root task with a loop in place of [`FUNCTION`].
fn patched(project: &Project, file: &Path) -> Result<PathBuf> {
    let mut bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let place = Elf::parse(&bytes).ok().and_then(|elf| {
        let (_, address, _) = elf.find_symbol(|name, _, _| name.contains(FUNCTION))?;
        elf.file_range(address, LOOP.len() as u64)
    });
    let place = place.with_context(|| format!("the root task has no function {FUNCTION}"))?;
    bytes[place].copy_from_slice(&LOOP);
    let patched = project.build().join("image/root-task-that-hangs.elf");
    fs::write(&patched, bytes).with_context(|| patched.display().to_string())?;
    Ok(patched)
}
