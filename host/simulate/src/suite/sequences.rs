// SPDX-License-Identifier: BSD-2-Clause
//! The model of the kernel beside the kernel: the same random sequences of operations, in QEMU and here.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::Results;
use crate::cli::TestArguments;
use crate::manifest::{Manifest, RunSettings};
use crate::serial::{End, Record};
use crate::size::Size;
use crate::system::Bench;
use crate::verdict::MachineEnd;

mod compare;

use compare::{Comparer, Told};
use kernel_sequences::{SEEDS_DEFAULT, SEEDS_LONG};

/// What the names of these tests begin with.
pub const NAME: &str = "kernel:";
/// The package that runs the sequences.
const PROGRAM: &str = "kernel-check";
/// Memory for it: boot zeroes all there is.
const MEMORY: Size = Size(64 << 20);
/// Seconds that they may take, and the long ones: on a debug kernel, beside other work, two minutes were not enough.
const SECONDS: u64 = 600;
const LONG_SECONDS: u64 = 3600;

/// Runs the sequences and compares; each theme is a test.
///
/// # Errors
///
/// When the machine can't be started.
pub fn run(bench: &mut Bench, arguments: &TestArguments, results: &mut Results) -> Result<()> {
    let is_meant = results.filter.starts_with(NAME) || NAME.starts_with(&results.filter);
    if !is_meant || arguments.machine.root_task.is_some() {
        return Ok(());
    }
    results.heading(NAME);
    let manifest = manifest(arguments.long);
    let count = if arguments.long {
        SEEDS_LONG
    } else {
        SEEDS_DEFAULT
    };
    match compared(bench, &manifest, count) {
        Ok(Some((comparer, failure))) => {
            let operations = comparer.operations();
            let text = format!("{operations} operations in {count} sequences");
            results.console.note(&text);
            for (theme, difference) in comparer.themes() {
                let name = format!("{NAME} {theme}");
                if difference.is_some() || results.wants(&name) {
                    results.add(name, difference);
                }
            }
            results.add(format!("{NAME} complete"), failure);
        }
        Ok(None) => {}
        Err(error) => results.add(format!("{NAME} run"), Some(format!("{error:#}"))),
    }
    Ok(())
}

fn manifest(long: bool) -> Manifest {
    let seconds = if long { LONG_SECONDS } else { SECONDS };
    let run = RunSettings {
        memory: Some(MEMORY),
        timeout: Some(Duration::from_secs(seconds)),
        ..RunSettings::default()
    };
    Manifest::of_root_task(PROGRAM, run)
}

/// Runs the sequences from seed 0 on: what was compared, and why that is not all. `None` when someone wanted the tool to
/// end.
fn compared(
    bench: &mut Bench,
    manifest: &Manifest,
    count: u64,
) -> Result<Option<(Comparer, Option<String>)>> {
    bench.build(&[manifest])?;
    let archive = [0, count].map(u64::to_le_bytes).concat();
    let prepared = bench.prepare_root_task(manifest, Some(&archive))?;
    let step = bench.console.transient_step("running sequences");
    let mut comparer = Comparer::default();
    let mut told = Told::default();
    let mut log = Vec::new();
    let mut passed = false;
    let run = prepared.run(manifest, |line, record| match record {
        Record::End(End { passed: end }) => passed = *end,
        Record::Log(text) => log.push(text.to_string()),
        _ => {
            if let Some(sequence) = told.line(line) {
                comparer.compare(&sequence);
                step.progress(comparer.sequences(), count);
            }
        }
    })?;
    if run.end == MachineEnd::Interrupted {
        return Ok(None);
    }
    // It has no clients and no books: its end sentinel says it all.
    let failure = (!passed || comparer.sequences() != count).then(|| {
        let (sequences, log) = (comparer.sequences(), log.join("; "));
        let rest = told.rest();
        format!("it ended after {sequences} sequences of {count}: {log} {rest}")
    });
    Ok(Some((comparer, failure)))
}

impl Comparer {
    /// Each theme, and how the first of its sequences that differ does.
    fn themes(&self) -> BTreeMap<String, Option<String>> {
        let themes = self.first_differences();
        let shown = themes.iter().map(|(theme, difference)| {
            let shown = difference.as_ref().map(ToString::to_string);
            (theme.to_string(), shown)
        });
        shown.collect()
    }
}
