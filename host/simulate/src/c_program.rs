// SPDX-License-Identifier: BSD-2-Clause
//! Client programs in C: built by gcc, and linked with `libkmalloc.a` as a user with a build of their own would do it.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::kernel::Kernel;
use crate::process::run_logged;
use crate::project::Project;

/// The package whose library brings the entry point, and all functions of the headers.
pub const LIBRARY_PACKAGE: &str = "kmalloc-c-runtime";
/// What Cargo calls that library.
pub const LIBRARY_NAME: &str = "kmalloc";

/// Folders with headers, from the top of the checkout.
const INCLUDE: [&str; 2] = [
    "crates/kmalloc-c/include",
    "crates/kmalloc-c-runtime/include",
];

/// A program has no C library, nothing that would set up a stack protector's secret, and one fixed place.
const COMPILER_OPTIONS: [&str; 5] = [
    "-std=c11",
    "-O2",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-pie",
];

const WARNINGS: [&str; 3] = ["-Wall", "-Wextra", "-Werror"];

/// Where programs for this kernel are built.
pub fn folder(project: &Project, kernel: &Kernel) -> PathBuf {
    project.build().join("c").join(kernel.key())
}

/// Builds the program `name` from its files, in a folder of its own; where it lies.
///
/// # Errors
///
/// When gcc is missing or refuses the files; what it says is in the error.
pub fn build(
    project: &Project,
    folder: &Path,
    library: &Path,
    name: &str,
    files: &[PathBuf],
) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let program = folder.join(name);
    let mut gcc = Command::new("gcc");
    gcc.args(COMPILER_OPTIONS).args(WARNINGS);
    for include in INCLUDE {
        gcc.arg("-I").arg(project.root().join(include));
    }
    gcc.args(sel4_build::link_arguments_in(folder)?);
    // What gcc needs of its own library for arithmetic comes last: all before may call it.
    gcc.args(files)
        .arg(library)
        .arg("-lgcc")
        .arg("-o")
        .arg(&program);
    let log = project.build().join("log/c.log");
    run_logged(&mut gcc, &log, |_| ()).with_context(|| format!("program `{name}`"))?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_builds_as_this_tool_does() {
        let project = Project::here();
        let guide = project.root().join("docs/guides/c-component.md");
        let section = fs::read_to_string(guide).unwrap();
        let words: Vec<_> = section.split_whitespace().collect();
        let folder = tempfile::tempdir().unwrap();
        let link = sel4_build::link_arguments_in(folder.path()).unwrap();
        let options = COMPILER_OPTIONS
            .into_iter()
            .chain(link.iter().map(String::as_str));
        // Where the script lies differs.
        for option in options.filter(|option| !option.contains(",-T,")) {
            assert!(words.contains(&option), "{option}");
        }
        for folder in INCLUDE {
            assert!(words.contains(&folder), "{folder}");
        }
        let script = project.root().join("host/sel4-build/src/link/program.ld");
        assert!(script.is_file() && section.contains("-Wl,-T,host/sel4-build/src/link/program.ld"));
    }
}
