// SPDX-License-Identifier: BSD-2-Clause
//! The root task and the client programs: built, or read where they are, and checked.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::c_program;
use crate::console::Console;
use crate::elf;
use crate::kernel::Kernel;
use crate::manifest::{Manifest, Package, Program, Source};
use crate::process::is_interrupted;
use crate::project::Project;

/// The package that is the root task.
const ROOT_TASK: &str = "root-task";

/// ELF files, read and checked.
#[derive(Debug)]
pub struct Programs {
    /// The root task's.
    pub root_task: Vec<u8>,
    /// Where the root task's ELF file lies, for a debugger.
    pub root_task_file: PathBuf,
    /// Those of the manifest's programs, in its order.
    pub clients: Vec<Vec<u8>>,
}

/// The executables that were built, by what they were built from.
pub type Executables = BTreeMap<Source, PathBuf>;

/// Packages that one call of Cargo builds, by the features that are turned on. What other packages want of a crate must
/// not reach these.
type Groups<'a> = BTreeMap<&'a [String], BTreeSet<&'a str>>;

/// Builds all packages that these systems need, and the root task if `root_task` names no file to be used for it.
///
/// A package that the workspace doesn't have is left out here: [`load`] refuses the system that wants it.
///
/// # Errors
///
/// When something can't be built.
pub fn build(
    project: &Project,
    console: Console,
    kernel: &Kernel,
    manifests: &[&Manifest],
    root_task: Option<&Path>,
) -> Result<Executables> {
    let programs = manifests.iter().flat_map(|manifest| &manifest.programs);
    let mut groups = Groups::new();
    let mut c_programs = BTreeMap::new();
    for program in programs {
        match &program.source {
            Source::Package(Package { name, features }) => {
                groups.entry(features).or_default().insert(name);
            }
            Source::C(files) => {
                c_programs.insert(files, &program.name);
            }
            Source::File(_) => {}
        }
    }
    let plain = groups.entry(&[]).or_default();
    if root_task.is_none() {
        plain.insert(ROOT_TASK);
    }
    if !c_programs.is_empty() {
        plain.insert(c_program::LIBRARY_PACKAGE);
    }
    let mut executables = build_packages(project, console, kernel, groups)?;
    let library = executables
        .get(&package(c_program::LIBRARY_PACKAGE))
        .cloned();
    for (number, (files, name)) in c_programs.into_iter().enumerate() {
        let library = library
            .as_deref()
            .context("the workspace has no library for C")?;
        // Two systems may give one name to different programs.
        let folder = c_program::folder(project, kernel).join(number.to_string());
        let file = c_program::build(project, &folder, library, name, files)?;
        executables.insert(Source::C(files.clone()), file);
    }
    Ok(executables)
}

fn package(name: &str) -> Source {
    Source::Package(name.into())
}

fn build_packages(
    project: &Project,
    console: Console,
    kernel: &Kernel,
    mut groups: Groups<'_>,
) -> Result<Executables> {
    if groups.values().any(|packages| !packages.is_empty()) {
        let known = workspace_packages(project)?;
        for packages in groups.values_mut() {
            packages.retain(|package| known.contains(*package));
        }
    }
    let mut executables = Executables::new();
    // Without a package named, Cargo would build all of them.
    for (features, packages) in groups.iter().filter(|(_, packages)| !packages.is_empty()) {
        executables.extend(cargo_build(project, console, kernel, features, packages)?);
    }
    Ok(executables)
}

/// Reads and checks what a system consists of.
///
/// # Errors
///
/// When a program is missing or can't be loaded as a client; it is named.
pub fn load(
    manifest: &Manifest,
    built: &Executables,
    root_task: Option<&Path>,
) -> Result<Programs> {
    let root_task_file = match root_task {
        Some(file) => file.to_path_buf(),
        None => built
            .get(&package(ROOT_TASK))
            .cloned()
            .with_context(|| format!("there is no package {ROOT_TASK} in the workspace"))?,
    };
    let root_task = fs::read(&root_task_file)
        .with_context(|| format!("root task {}", root_task_file.display()))?;
    let clients = manifest.programs.iter().map(|program| {
        let file = match &program.source {
            Source::File(file) => file,
            Source::C(_) => built
                .get(&program.source)
                .with_context(|| format!("program `{}` was not built", program.name))?,
            Source::Package(package) => built.get(&program.source).with_context(|| {
                format!(
                    "{}: program.elf: the workspace has no package `{}` with a program of its own name \
                     (a file is named by a path, which has a `/`; `./simulate new NAME` makes a package)",
                    manifest.place(program.line),
                    package.name
                )
            })?,
        };
        read_client(program, file)
    });
    let clients = clients.collect::<Result<_>>()?;
    Ok(Programs {
        root_task,
        root_task_file,
        clients,
    })
}

fn read_client(program: &Program, file: &Path) -> Result<Vec<u8>> {
    let whose = || format!("program `{}` ({})", program.name, file.display());
    let bytes = fs::read(file).with_context(whose)?;
    elf::check_client(&bytes).with_context(whose)?;
    Ok(bytes)
}

/// Names of the workspace's packages.
fn workspace_packages(project: &Project) -> Result<BTreeSet<String>> {
    let mut metadata = Command::new("cargo");
    metadata.current_dir(project.root());
    metadata.args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]);
    let output = metadata.output().context("can't run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let names = packages
        .iter()
        .filter_map(|package| package["name"].as_str());
    Ok(names.map(String::from).collect())
}

/// A `cargo` for the workspace of what runs on seL4, with the kernel to build for. Each kernel has a target folder
/// of its own, so that going back and forth between two builds nothing anew.
pub fn cargo(project: &Project, kernel: &Kernel, subcommand: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(project.root()).arg(subcommand);
    cargo
        .arg("--target-dir")
        .arg(project.build().join("target").join(kernel.key()));
    cargo.env("SEL4_PREFIX", &kernel.prefix);
    cargo
}

/// Runs `cargo build`; the executable of each package, or its library for C.
fn cargo_build(
    project: &Project,
    console: Console,
    kernel: &Kernel,
    features: &[String],
    packages: &BTreeSet<&str>,
) -> Result<Executables> {
    let mut command = cargo(project, kernel, "build");
    command.args(["--release", "--message-format", "json-render-diagnostics"]);
    if console.is_quiet() {
        command.arg("--quiet");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    // What Cargo says of its progress goes to the terminal as it is.
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("can't start cargo")?;
    let mut executables = Executables::new();
    for line in child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufReader::lines)
    {
        if let Some((name, file)) = executable(&line?) {
            let features = features.to_vec();
            executables.insert(Source::Package(Package { name, features }), file);
        }
    }
    if !child.wait()?.success() {
        if is_interrupted() {
            bail!("interrupted");
        }
        bail!("cargo could not build the programs; what it says is above");
    }
    Ok(executables)
}

/// Name and file of the program that a message of Cargo announces; for a static library, the package that it is for.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let target = &message["target"];
    if target["kind"] == serde_json::json!(["staticlib"]) {
        let file = message["filenames"][0].as_str()?;
        return (target["name"] == c_program::LIBRARY_NAME)
            .then(|| (c_program::LIBRARY_PACKAGE.into(), file.into()));
    }
    let file = message["executable"].as_str()?;
    Some((target["name"].as_str()?.into(), file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_taken_from_cargos_messages() {
        let message = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"hello"},"executable":"/t/hello"}"#;
        assert_eq!(
            executable(message),
            Some(("hello".into(), "/t/hello".into()))
        );
        let message = r#"{"reason":"compiler-artifact","target":{"kind":["staticlib"],"name":"kmalloc"},"filenames":["/t/libkmalloc.a"],"executable":null}"#;
        assert_eq!(
            executable(message),
            Some(("kmalloc-c-runtime".into(), "/t/libkmalloc.a".into()))
        );
        for other in [
            r#"{"reason":"compiler-artifact","target":{"name":"lib"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "warning: text",
        ] {
            assert_eq!(executable(other), None, "{other}");
        }
    }

    #[test]
    fn a_broken_elf_file_is_named_with_its_program() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.elf");
        let program = Program {
            name: "broken".into(),
            source: Source::File(file.clone()),
            line: Some(3),
        };
        let error = format!("{:#}", read_client(&program, &file).unwrap_err());
        assert!(
            error.contains("`broken`") && error.contains("x.elf"),
            "{error}"
        );
        fs::write(&file, "#!/bin/sh\n").unwrap();
        let error = format!("{:#}", read_client(&program, &file).unwrap_err());
        assert!(
            error.contains("`broken`") && error.contains("not an ELF64 file"),
            "{error}"
        );
    }
}
