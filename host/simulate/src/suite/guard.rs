// SPDX-License-Identifier: BSD-2-Clause
//! The guard of what operations cost: instructions in QEMU beside the committed baseline.
use anyhow::Result;

use super::Results;
use crate::bench::baseline::{self, Baseline, Compilers};
use crate::bench::target;
use crate::cli::{MachineArguments, TestArguments};
use crate::project::Project;
use crate::system::Bench;

/// What the names of these tests begin with.
pub const NAME: &str = "bench:";
/// The systems that are counted: those that are over in seconds. The longest calls of a hostile mix are not among them:
/// whether a tick of the kernel's timer falls into one of them changes with everything.
const SYSTEMS: [&str; 6] = ["calls", "family", "heap", "live", "rested", "supply"];

/// Counts, and compares figure by figure; each is a test. A baseline says nothing of another kernel than the one that is
/// built here, nor of what other compilers made.
///
/// # Errors
///
/// When there is no baseline, or Cargo can't be started.
pub fn run(project: &Project, arguments: &TestArguments, results: &mut Results) -> Result<()> {
    let given = &arguments.machine;
    let is_meant = results.filter.starts_with(NAME) || NAME.starts_with(&results.filter);
    if !is_meant || given.root_task.is_some() || given.memory.is_some() {
        return Ok(());
    }
    let machine = MachineArguments {
        icount: true,
        ..given.clone()
    };
    let mut bench = Bench::new(project, results.console, &machine)?;
    if !baseline::holds_for(&bench.kernel) {
        return Ok(());
    }
    results.heading(NAME);
    let baseline = Baseline::read(&baseline::file(project))?;
    if !baseline.is_of(&Compilers::here()?) {
        results
            .console
            .note("the baseline of the bench is that of other compilers: not compared");
        return Ok(());
    }
    let parts = target::parts_named(project, &SYSTEMS)?;
    match target::count(&mut bench, &parts) {
        Ok(Some(figures)) => {
            for figure in &figures {
                let name = format!("{NAME} {}", figure.name);
                if results.wants(&name) {
                    results.add(name, baseline.complaint(figure));
                }
            }
        }
        Ok(None) => {}
        Err(error) => results.add(format!("{NAME} run"), Some(format!("{error:#}"))),
    }
    Ok(())
}
