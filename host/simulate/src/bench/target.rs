// SPDX-License-Identifier: BSD-2-Clause
//! Counting in QEMU: one system after the other, and the floor, which is a root task of its own.
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::figures::Figure;
use crate::manifest::{self, Manifest, RunSettings};
use crate::process::is_interrupted;
use crate::project::Project;
use crate::serial::{End, Record};
use crate::size::Size;
use crate::suite::{files, stem};
use crate::system::{Bench, Prepared};
use crate::verdict::MachineEnd;

/// Where the systems are whose clients count.
const SYSTEMS: &str = "clients/bench/systems";
/// The package that counts the floor.
const FLOOR: &str = "floor";
/// Memory for it: a thousand frames of 2 MiB that nobody used.
const FLOOR_MEMORY: Size = Size(4 << 30);

/// Something that counts.
#[derive(Debug)]
pub struct Part {
    manifest: Manifest,
    /// Whether its one program runs in place of the server.
    is_root_task: bool,
}

impl Part {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    fn of_system(file: &Path) -> Result<Self> {
        Ok(Self {
            manifest: manifest::load(file)?,
            is_root_task: false,
        })
    }

    fn floor() -> Self {
        let run = RunSettings {
            memory: Some(FLOOR_MEMORY),
            ..RunSettings::default()
        };
        Self {
            manifest: Manifest::of_root_task(FLOOR, run),
            is_root_task: true,
        }
    }
}

/// All parts: the floor, and the systems in their folder by name.
///
/// # Errors
///
/// When a manifest is wrong.
pub fn parts(project: &Project) -> Result<Vec<Part>> {
    let folder: PathBuf = project.shown(&project.root().join(SYSTEMS));
    let systems = files(&folder, "toml")?;
    let systems = systems.iter().map(|file| Part::of_system(file));
    std::iter::once(Ok(Part::floor())).chain(systems).collect()
}

/// Some of the systems, by the names of their files.
///
/// # Errors
///
/// When there is no such system, or its manifest is wrong.
pub fn parts_named(project: &Project, names: &[&str]) -> Result<Vec<Part>> {
    let folder = project.shown(&project.root().join(SYSTEMS));
    let systems = names
        .iter()
        .map(|name| Part::of_system(&folder.join(format!("{name}.toml"))));
    systems.collect()
}

/// Builds and runs the parts; their figures, or `None` when someone wanted the tool to end.
///
/// # Errors
///
/// When a part can't be run, or something in its run did not hold: what it counted is worth nothing then.
pub fn count(bench: &mut Bench, parts: &[Part]) -> Result<Option<Vec<Figure>>> {
    // What can't run on this kernel is left out, and its figures are missing from the tables.
    let is_fit = |part: &&Part| bench.unfit(&part.manifest).is_none();
    let parts: Vec<_> = parts.iter().filter(is_fit).collect();
    let manifests: Vec<_> = parts.iter().map(|part| &part.manifest).collect();
    bench.build(&manifests)?;
    let step = bench.console.step("counting");
    let mut figures = Vec::new();
    for (done, part) in parts.iter().enumerate() {
        if is_interrupted() {
            return Ok(None);
        }
        step.say(format!("counting: {}", stem(Path::new(part.name()))));
        step.progress(done as u64, parts.len() as u64);
        let prepared = if part.is_root_task {
            bench.prepare_root_task(&part.manifest, None)?
        } else {
            bench.prepare(&part.manifest, None)?
        };
        if !count_one(part, &prepared, &mut figures)? {
            return Ok(None);
        }
    }
    Ok(Some(figures))
}

/// Runs one part; false when someone wanted the tool to end.
fn count_one(part: &Part, prepared: &Prepared, figures: &mut Vec<Figure>) -> Result<bool> {
    let name = part.name();
    let mut broken = None;
    let mut passed = false;
    let run = prepared.run(&part.manifest, |line, record| {
        let text = match record {
            Record::Client(_, text) => text,
            Record::End(End { passed: end }) => {
                passed = *end;
                return;
            }
            _ => line,
        };
        match Figure::parse(text) {
            Some(Ok(figure)) => figures.push(figure),
            Some(Err(field)) => broken = Some(format!("`{text}` without a right `{field}`")),
            None => {}
        }
    })?;
    if run.end == MachineEnd::Interrupted {
        return Ok(false);
    }
    // The floor has no clients and no books: its end sentinel says it all.
    let failure = run
        .failures()
        .next()
        .filter(|_| !part.is_root_task)
        .map(|(check, reason)| format!("{check}: {reason}"))
        .or_else(|| (!passed).then(|| "it says that it failed".into()))
        .or(broken);
    match failure {
        Some(failure) => bail!("bench {name}: {failure}"),
        None => Ok(true),
    }
}
