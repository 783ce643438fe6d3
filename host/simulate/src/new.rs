// SPDX-License-Identifier: BSD-2-Clause
//! `simulate new`: a client program that works, and a system to run it in.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kmalloc_manifest::NAME_BYTES_MAX;
use serde_json::Value;

use crate::Status;
use crate::project::Project;

#[cfg(test)]
mod tests;

/// Stands for the program's name in the templates.
const PLACEHOLDER: &str = "{{name}}";
const CARGO_MANIFEST: &str = include_str!("new/Cargo.toml.template");
const MAIN: &str = include_str!("new/main.rs.template");
const SYSTEM: &str = include_str!("new/system.toml.template");
/// The same for every client, so a client's own is the template.
const BUILD_SCRIPT: &str = include_str!("../../../clients/hello/build.rs");

/// A name was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NameError {
    /// It is no name.
    #[error(
        "`{0}` can't be a program's name: it takes 1 to {NAME_BYTES_MAX} small letters, digits and `-`, a letter first"
    )]
    Malformed(String),
    /// Rust or Cargo has another use for it.
    #[error("`{0}` can't be a program's name: Rust has another use for the word; try `{0}-client`")]
    Reserved(String),
}

/// Makes the files, and has Cargo take the package into its lock file.
///
/// # Errors
///
/// If the name is none or taken, or something can't be written.
pub fn run(project: &Project, name: &str) -> Result<Status> {
    check_name(name)?;
    check_free(project, name)?;
    let made = write(project.root(), name)?;
    packages(project).context("the files are made, but Cargo doesn't take them")?;
    for file in &made {
        println!("made {}", project.shown(file).display());
    }
    let system = project.shown(&project.root().join(system_file(name)));
    println!("run it by\n  ./simulate --system {}", system.display());
    Ok(Status::Passed)
}

fn system_file(name: &str) -> PathBuf {
    format!("clients/systems/{name}.toml").into()
}

/// That `name` can be a package, a program and a file.
fn check_name(name: &str) -> Result<(), NameError> {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.starts_with(|first: char| first.is_ascii_lowercase())
        || !name.bytes().all(is_part)
        || name.len() > NAME_BYTES_MAX
    {
        return Err(NameError::Malformed(name.into()));
    }
    // Cargo names neither packages nor programs so.
    let reserved = [
        "alloc",
        "build",
        "core",
        "deps",
        "examples",
        "incremental",
        "proc-macro",
        "std",
        "test",
    ];
    let keywords = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
        "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
        "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
        "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type",
        "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
    ];
    if reserved.contains(&name) || keywords.contains(&name) {
        return Err(NameError::Reserved(name.into()));
    }
    Ok(())
}

/// That nothing would be overwritten, and no two packages get one name.
fn check_free(project: &Project, name: &str) -> Result<()> {
    let next = "choose another name, or remove it first";
    for file in [PathBuf::from(format!("clients/{name}")), system_file(name)] {
        let path = project.root().join(file);
        ensure!(
            !path.exists(),
            "there is a {} already: {next}",
            project.shown(&path).display()
        );
    }
    ensure!(
        !packages(project)?.contains(name),
        "a package `{name}` is in use here already: choose another name"
    );
    Ok(())
}

/// Writes the files of the program and its system below `root`; which they are.
fn write(root: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let client = Path::new("clients").join(name);
    let files = [
        (client.join("Cargo.toml"), CARGO_MANIFEST),
        (client.join("build.rs"), BUILD_SCRIPT),
        (client.join("src/main.rs"), MAIN),
        (system_file(name), SYSTEM),
    ];
    let write = |(file, template): (PathBuf, &str)| {
        let path = root.join(file);
        let create = || -> std::io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            let mut file = File::create_new(&path)?;
            file.write_all(template.replace(PLACEHOLDER, name).as_bytes())
        };
        create().with_context(|| format!("can't make {}", path.display()))?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}

/// Names of the packages that the workspace consists of and depends on. Cargo brings its lock file up to date with
/// that: the kernel's source is fetched by what is in there, to the letter, and a missing package would be in the way.
fn packages(project: &Project) -> Result<BTreeSet<String>> {
    let mut metadata = Command::new("cargo");
    metadata.current_dir(project.root());
    metadata.args(["metadata", "--format-version", "1"]);
    let output = metadata.output().context("can't run cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let names = packages.filter_map(|package| package["name"].as_str());
    Ok(names.map(String::from).collect())
}
