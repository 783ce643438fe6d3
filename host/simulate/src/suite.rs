// SPDX-License-Identifier: BSD-2-Clause
//! `simulate test`: every test, on the host and in QEMU.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::Status;
use crate::cli::TestArguments;
use crate::cli::TraceHeap;
use crate::console::{BAD, BOLD, Console, DIM, GOOD};
use crate::manifest::{self, Manifest};
use crate::process::is_interrupted;
use crate::project::Project;
use crate::report;
use crate::system::{Bench, Run};
use crate::trace;
use crate::verdict::{Check, MachineEnd};

mod documents;
mod guard;
mod host;
mod packages;
mod seal;
mod sequences;
mod shown;
mod vandal;
mod watchdog;

/// Lines of a failed run's serial output that are shown.
const SERIAL_LINES: usize = 60;

/// The tests that had a result so far.
#[derive(Debug)]
pub struct Results {
    console: Console,
    filter: String,
    passed: Vec<String>,
    failed: Vec<Check>,
    /// Systems that can't run here.
    left_out: u64,
}

impl Results {
    fn new(console: Console, filter: Option<&str>) -> Self {
        let filter = filter.unwrap_or_default().to_string();
        Self {
            console,
            filter,
            passed: Vec::new(),
            failed: Vec::new(),
            left_out: 0,
        }
    }

    /// Whether tests of this name are wanted.
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }

    /// Prints the result of a test and counts it.
    fn add(&mut self, name: String, failure: Option<String>) {
        match &failure {
            Some(reason) => anstream::println!("{BAD}FAILED{BAD:#}  {name}: {reason}"),
            None if self.console.is_quiet() => {}
            None => anstream::println!("{GOOD}ok{GOOD:#}      {name}"),
        }
        match failure {
            Some(_) => self.failed.push(Check { name, failure }),
            None => self.passed.push(name),
        }
    }

    /// Says that a system is left out, which is neither a success nor a failure.
    fn leave_out(&mut self, name: &str, reason: &str) {
        anstream::println!("{DIM}left out{DIM:#}  {name}: {reason}");
        self.left_out += 1;
    }

    /// Begins a group of tests.
    fn heading(&self, text: &str) {
        if !self.console.is_quiet() {
            anstream::println!("\n{BOLD}{text}{BOLD:#}");
        }
    }

    /// Names what failed and prints the closing line, which stands alone.
    fn close(&self) {
        println!();
        for check in &self.failed {
            let reason = check.failure.as_deref().unwrap_or_default();
            anstream::println!("{BAD}FAILED{BAD:#}  {}: {reason}", check.name);
        }
        println!("{} passed, {} failed", self.passed.len(), self.failed.len());
    }
}

/// Runs the tests that `arguments` name.
///
/// # Errors
///
/// When they can't be run at all, or no test has that name.
pub fn run(project: &Project, arguments: &TestArguments) -> Result<Status> {
    let console = Console::new(arguments.machine.quiet);
    let mut bench = Bench::new(project, console, &arguments.machine)?;
    let mut results = Results::new(console, arguments.filter.as_deref());
    if !console.is_quiet() {
        anstream::println!("kernel: {}", bench.kernel.shown());
    }
    if !arguments.target {
        host::run(&bench, &mut results)?;
    }
    if !arguments.host && !is_interrupted() {
        let documents = documents::wanted(project, &results)?;
        let candidates = candidates(project, arguments.long)?;
        let meant = meant(candidates, &results, &documents);
        run_systems(&mut bench, &mut results, meant)?;
        documents::run(&bench, &mut results, &documents)?;
    }
    if !arguments.host && !is_interrupted() {
        sequences::run(&mut bench, arguments, &mut results)?;
        vandal::run(&mut bench, project, arguments, &mut results);
    }
    if !arguments.host && !is_interrupted() {
        watchdog::run(project, arguments, &mut results)?;
        guard::run(project, arguments, &mut results)?;
        seal::run(project, arguments, &mut results)?;
        shown::run(project, arguments, &mut results);
    }
    if is_interrupted() {
        return Ok(Status::Interrupted);
    }
    if results.passed.is_empty() && results.failed.is_empty() {
        let filter = &results.filter;
        ensure!(
            results.left_out == 0,
            "no test with `{filter}` in its name can run here"
        );
        bail!("no test has `{filter}` in its name");
    }
    if let Some(file) = &arguments.json {
        report::write_tests(file, &results.passed, &results.failed)?;
    }
    results.close();
    Ok(if results.failed.is_empty() {
        Status::Passed
    } else {
        Status::Failed
    })
}

/// A system to run, or why there is none; under the name of its tests.
type Candidate = (String, Result<Manifest, String>);

/// Those of the systems that have to run. Which tests a system holds is only known once it has run. If its own name or
/// a client's is meant, or one of `documents`, of the guard's tests or of the sequences', the others need not run; if nothing is, all of them are tried.
fn meant(
    mut candidates: Vec<Candidate>,
    results: &Results,
    documents: &[String],
) -> Vec<Candidate> {
    let is_meant = |(name, manifest): &Candidate| {
        let mut clients = manifest.iter().flat_map(|manifest| &manifest.clients);
        results.wants(name) || clients.any(|client| results.wants(&client.name))
    };
    let elsewhere = !documents.is_empty()
        || [
            guard::NAME,
            seal::NAME,
            sequences::NAME,
            vandal::NAME,
            watchdog::NAME,
        ]
        .iter()
        .any(|name| results.filter.starts_with(name))
        || shown::NAME.starts_with(&results.filter);
    if elsewhere || candidates.iter().any(is_meant) {
        candidates.retain(is_meant);
    }
    candidates
}

fn run_systems(
    bench: &mut Bench,
    results: &mut Results,
    mut candidates: Vec<Candidate>,
) -> Result<()> {
    candidates.retain(|(name, manifest)| {
        let unfit = manifest
            .as_ref()
            .ok()
            .and_then(|manifest| bench.unfit(manifest));
        unfit
            .map(|reason| results.leave_out(name, reason))
            .is_none()
    });
    if candidates.is_empty() {
        return Ok(());
    }
    let manifests: Vec<_> = candidates
        .iter()
        .filter_map(|(_, manifest)| manifest.as_ref().ok())
        .collect();
    if let Err(error) = bench.build(&manifests) {
        results.add("systems: build".into(), Some(format!("{error:#}")));
        return Ok(());
    }
    let total = candidates.len() as u64;
    for (done, (name, manifest)) in (0..total).zip(candidates) {
        if is_interrupted() {
            return Ok(());
        }
        results.heading(&name);
        match manifest {
            Ok(manifest) => run_system(bench, results, (done, total), &name, &manifest),
            Err(reason) => results.add(format!("{name}: manifest"), Some(reason)),
        }
    }
    Ok(())
}

/// The systems in clients/, those that take long only if they are wanted, and one for each trace.
fn candidates(project: &Project, long: bool) -> Result<Vec<Candidate>> {
    let clients = project.shown(&project.root().join("clients"));
    let mut systems = vec![clients.join("system.toml")];
    systems.extend(files(&clients.join("systems"), "toml")?);
    if long {
        systems.extend(files(&clients.join("systems/long"), "toml")?);
    }
    let load = |file: PathBuf| {
        (
            stem(&file),
            manifest::load(&file).map_err(|error| error.to_string()),
        )
    };
    let mut candidates: Vec<_> = systems.into_iter().map(load).collect();
    for file in files(&project.shown(&project.root().join("traces")), "trace")? {
        let manifest = trace::system(&file, TraceHeap::Both).map_err(|error| error.to_string());
        candidates.push((format!("trace {}", stem(&file)), manifest));
    }
    Ok(candidates)
}

/// A file's name without its ending.
pub fn stem(file: &Path) -> String {
    file.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The files in `folder` with this ending, by name; none if there is no such folder.
pub fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let paths: Result<Vec<_>, _> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut paths = paths?;
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    Ok(paths)
}

/// Runs a system; each of its checks is a test. With instructions counted it runs twice, and the serial output has
/// to be the same: that is a test as well. `progress`: how many systems of how many have been run before.
fn run_system(
    bench: &Bench,
    results: &mut Results,
    progress: (u64, u64),
    name: &str,
    manifest: &Manifest,
) {
    let mut outputs = Vec::new();
    for _ in 0..if bench.is_repeatable() { 2 } else { 1 } {
        match run_once(bench, progress, manifest) {
            Ok(output) => outputs.push(output),
            Err(error) => return results.add(format!("{name}: run"), Some(format!("{error:#}"))),
        }
    }
    let [(run, lines), ..] = &outputs[..] else {
        return;
    };
    if run.end == MachineEnd::Interrupted {
        return;
    }
    for check in &run.checks {
        let name = format!("{name}: {}", check.name);
        // A failure is never filtered out: it may be why a test that was meant is missing.
        if check.failure.is_some() || results.wants(&name) {
            results.add(name, check.failure.clone());
        }
    }
    if let [(_, first), (_, second)] = &outputs[..] {
        results.add(
            format!("{name}: repeatable"),
            first_difference(first, second),
        );
    }
    if run.failures().next().is_some() {
        let shown = &lines[lines.len().saturating_sub(SERIAL_LINES)..];
        println!(
            "---- end of the serial output of {name}\n{}\n----",
            shown.join("\n")
        );
        if !run.complaints.is_empty() {
            println!("QEMU said: {}", run.complaints);
        }
    }
}

fn run_once(
    bench: &Bench,
    (done, total): (u64, u64),
    manifest: &Manifest,
) -> Result<(Run, Vec<String>)> {
    let prepared = bench.prepare(manifest, None)?;
    let step = bench
        .console
        .transient_step(&format!("running {}", manifest.name));
    step.progress(done, total);
    let mut lines = Vec::new();
    let run = prepared.run(manifest, |line, _| {
        lines.push(line.to_string());
        step.say(format!("running {}: {} lines", manifest.name, lines.len()));
    })?;
    Ok((run, lines))
}

/// Where two outputs differ; `None` if they don't.
fn first_difference(first: &[String], second: &[String]) -> Option<String> {
    let equal = first
        .iter()
        .zip(second)
        .take_while(|(first, second)| first == second)
        .count();
    if first.len() == equal && second.len() == equal {
        return None;
    }
    let line = |lines: &[String]| {
        lines
            .get(equal)
            .cloned()
            .unwrap_or_else(|| "nothing".into())
    };
    Some(format!(
        "two runs differ in line {}: `{}` and `{}`",
        equal + 1,
        line(first),
        line(second)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_line() {
        let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
        assert_eq!(first_difference(&lines("a\nb"), &lines("a\nb")), None);
        let differs = first_difference(&lines("a\nb"), &lines("a\nc")).unwrap();
        assert_eq!(differs, "two runs differ in line 2: `b` and `c`");
        let shorter = first_difference(&lines("a\nb"), &lines("a")).unwrap();
        assert_eq!(shorter, "two runs differ in line 2: `b` and `nothing`");
    }

    #[test]
    fn only_files_of_the_kind_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "README.md"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found: Vec<_> = files(folder.path(), "toml")
            .unwrap()
            .iter()
            .map(|f| stem(f))
            .collect();
        assert_eq!(found, ["a", "b"]);
        assert!(
            files(&folder.path().join("none"), "toml")
                .unwrap()
                .is_empty()
        );
    }
}
