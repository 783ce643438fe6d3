// SPDX-License-Identifier: BSD-2-Clause

//! How programs are linked: at a fixed address, with nothing of the host, each protection in pages of its own.

use std::path::Path;
use std::{env, fs, process};

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

fn link_arguments() {
    let output = env::var_os("OUT_DIR").unwrap_or_else(|| ".".into());
    let script = Path::new(&output).join("program.ld");
    if let Err(error) = fs::write(&script, SCRIPT) {
        println!("cargo::error=can't write {}: {error}", script.display());
        process::exit(1);
    }
    let script = format!("-Wl,-T,{}", script.display());
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,norelro",
        "-Wl,-z,noexecstack",
        &script,
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    // Without this the script would be run again on any change in its package.
    println!("cargo::rerun-if-changed=build.rs");
}
