// SPDX-License-Identifier: BSD-2-Clause

//! How programs are linked: at a fixed address, with nothing of the host, each protection in pages of its own.

use std::path::Path;
use std::{env, fs, io, process};

/// One script serves root task and tasks: both start at the same address and have the same four segments.
const SCRIPT: &str = include_str!("link/program.ld");

/// For the build script of a root task.
pub fn link_arguments_for_root_task() {
    link_arguments();
}

/// For the build script of a task that runs on a root task.
pub fn link_arguments_for_task() {
    link_arguments();
}

/// Writes the linker script to `folder`; with what a C compiler is to be called to link a program by it.
///
/// # Errors
///
/// If the script can't be written.
pub fn link_arguments_in(folder: &Path) -> io::Result<Vec<String>> {
    let script = folder.join("program.ld");
    fs::write(&script, SCRIPT)?;
    let script = format!("-Wl,-T,{}", script.display());
    let arguments = [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,norelro",
        "-Wl,-z,noexecstack",
        &script,
    ];
    Ok(arguments.map(String::from).into())
}

fn link_arguments() {
    let output = env::var_os("OUT_DIR").unwrap_or_else(|| ".".into());
    let arguments = link_arguments_in(Path::new(&output)).unwrap_or_else(|error| {
        println!("cargo::error=can't write the linker script: {error}");
        process::exit(1);
    });
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    // Without this the script would be run again on any change in its package.
    println!("cargo::rerun-if-changed=build.rs");
}
