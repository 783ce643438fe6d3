// SPDX-License-Identifier: BSD-2-Clause
//! That the seal of the server's heap bites: a root task that allocates after boot, in QEMU.
use anyhow::Result;

use super::Results;
use crate::cli::{MachineArguments, TestArguments};
use crate::manifest::{self, Manifest, RunSettings};
use crate::project::Project;
use crate::system::Bench;

/// What the names of these tests begin with.
pub const NAME: &str = "seal:";
/// The package that allocates.
const PROGRAM: &str = "sealed";
/// What it prints, in order: the last is how it ends.
const PRINTED: [&str; 3] = [
    "# sealed: allocated before boot",
    "# sealed: allocates after boot",
    "memory allocation of 12321 bytes failed",
];
/// What it never comes to.
const TOO_FAR: &str = "# sealed: has allocated";

/// Runs the first look's system under a root task that allocates when the server has done.
///
/// # Errors
///
/// When there is no kernel to be had.
pub fn run(project: &Project, arguments: &TestArguments, results: &mut Results) -> Result<()> {
    let is_meant = results.filter.starts_with(NAME) || NAME.starts_with(&results.filter);
    let given = &arguments.machine;
    if !is_meant || given.root_task.is_some() {
        return Ok(());
    }
    results.heading(NAME);
    let failure = match allocate(project, results, given) {
        Ok(failure) => failure,
        Err(error) => Some(format!("{error:#}")),
    };
    let name = format!("{NAME} an allocation after boot ends the system");
    results.add(name, failure);
    Ok(())
}

/// Why the allocation was not the end; `None` if it was.
fn allocate(
    project: &Project,
    results: &Results,
    given: &MachineArguments,
) -> Result<Option<String>> {
    let system = manifest::load(&project.root().join("clients/system.toml"))?;
    let own = Manifest::of_root_task(PROGRAM, RunSettings::default());
    let mut bench = Bench::new(project, results.console, given)?;
    bench.build(&[&own])?;
    let file = bench.prepare_root_task(&own, None)?;
    let machine = MachineArguments {
        root_task: Some(file.root_task_file().to_path_buf()),
        ..given.clone()
    };
    let mut bench = Bench::new(project, results.console, &machine)?;
    bench.build(&[&system])?;
    let prepared = bench.prepare(&system, None)?;
    let mut lines = Vec::new();
    let run = prepared.run(&system, |line, _| lines.push(line.to_string()))?;
    let mut wanted = PRINTED.iter().peekable();
    for line in &lines {
        wanted.next_if(|text| line.contains(**text));
    }
    let has_allocated = lines.iter().any(|line| line == TOO_FAR);
    Ok(match wanted.next() {
        None if !has_allocated => None,
        missing => {
            let end = run.end;
            Some(format!(
                "it ended so: {end:?}, and was to print: {missing:?}"
            ))
        }
    })
}
