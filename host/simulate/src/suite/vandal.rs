// SPDX-License-Identifier: BSD-2-Clause
//! What a client does with its heap is nothing to the server: a client overwrites all of its heap with random bytes, and what
//! the server tells of the run is the same to the byte as when it leaves everything as it was.
use anyhow::{Context, Result, bail, ensure};

use super::{Results, first_difference};
use crate::cli::TestArguments;
use crate::manifest::{self, Manifest};
use crate::process::is_interrupted;
use crate::project::Project;
use crate::system::Bench;

/// What the name of the test begins with.
pub const NAME: &str = "vandalism:";
/// The test.
const TEST: &str = "vandalism: with any bytes in a client's heap the server's trace is the same";
/// The system, and the client in it that has a seed as its first argument and a number of calls as its second.
const SYSTEM: &str = "clients/systems/vandal.toml";
const CLIENT: &str = "vandal";
/// With the first seed nothing is changed.
const SEEDS: [&str; 4] = ["0", "1", "2", "7"];
/// Calls of the server, and as many digits of other ones: a run that must not be the same.
const CALLS: &str = "50";
const CALLS_OF_CONTROL: &str = "51";

/// What the server's first line begins with.
const BOOT: &str = "@boot ";

/// What the server told in a run.
struct Told {
    /// By the first serial port from its boot record on, with what clients printed.
    lines: Vec<String>,
    /// By the trace channel.
    trace: Vec<u8>,
}

/// Runs the system once a seed and compares.
pub fn run(bench: &mut Bench, project: &Project, arguments: &TestArguments, results: &mut Results) {
    if !results.wants(TEST) || is_interrupted() || arguments.machine.root_task.is_some() {
        return;
    }
    results.heading(NAME);
    let failure = compare(bench, project).err();
    results.add(TEST.into(), failure.map(|error| format!("{error:#}")));
}

fn compare(bench: &mut Bench, project: &Project) -> Result<()> {
    let file = project.shown(&project.root().join(SYSTEM));
    let manifest = manifest::load(&file).map_err(|error| anyhow::anyhow!("{error}"))?;
    bench.build(&[&manifest])?;
    let untouched = told(bench, &manifest, SEEDS[0], CALLS)?;
    ensure!(!untouched.trace.is_empty(), "nothing was traced");
    for seed in &SEEDS[1..] {
        let random = told(bench, &manifest, seed, CALLS)?;
        if let Some(difference) = first_difference(&untouched.lines, &random.lines) {
            bail!("seed {seed}: {difference}");
        }
        // Each record in the trace has its time.
        if !bench.counts_exactly() {
            continue;
        }
        if let Some(byte) = first_other_byte(&untouched.trace, &random.trace) {
            bail!("seed {seed}: the trace differs from its byte {byte} on");
        }
    }
    let control = told(bench, &manifest, SEEDS[0], CALLS_OF_CONTROL)?;
    ensure!(
        first_other_byte(&untouched.trace, &control.trace).is_some(),
        "with another call to the server the trace is the same: it tells nothing"
    );
    Ok(())
}

/// Runs the system with this seed and so many calls; everything that it expects must hold.
fn told(bench: &Bench, manifest: &Manifest, seed: &str, calls: &str) -> Result<Told> {
    let mut manifest = manifest.clone();
    manifest.run.trace = true;
    let client = manifest
        .clients
        .iter_mut()
        .find(|client| client.name == CLIENT);
    client.context("there is no such client")?.arguments = vec![seed.into(), calls.into()];
    let prepared = bench.prepare(&manifest, None)?;
    let mut lines = Vec::new();
    let run = prepared.run(&manifest, |line, _| {
        // Before that a debug kernel says how fast it found its clocks.
        if !lines.is_empty() || line.starts_with(BOOT) {
            lines.push(line.to_string());
        }
    })?;
    if let Some((name, reason)) = run.failures().next() {
        bail!("seed {seed}: {name}: {reason}");
    }
    ensure!(!lines.is_empty(), "the server did not say that it is up");
    Ok(Told {
        lines,
        trace: prepared.trace()?,
    })
}

/// Where two traces differ; `None` if they don't.
fn first_other_byte(first: &[u8], second: &[u8]) -> Option<usize> {
    let equal = first
        .iter()
        .zip(second)
        .take_while(|(first, second)| first == second)
        .count();
    (equal < first.len().max(second.len())).then_some(equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_is_shorter_or_other_is_noticed() {
        assert_eq!(first_other_byte(b"abc", b"abc"), None);
        assert_eq!(first_other_byte(b"abc", b"abd"), Some(2));
        assert_eq!(first_other_byte(b"abc", b"ab"), Some(2));
        assert_eq!(first_other_byte(b"", b"a"), Some(0));
    }
}
