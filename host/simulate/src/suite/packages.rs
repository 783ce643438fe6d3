// SPDX-License-Identifier: BSD-2-Clause
//! What only shows when a package leaves the workspace: its documentation, its archive, an older compiler.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Results;
use super::host::Cargo;
use crate::process::{is_interrupted, run_logged};
use crate::system::Bench;

/// Documents, packages and checks a workspace; each is a test.
///
/// # Errors
///
/// If Cargo can't say what the workspace is.
pub fn run(bench: &Bench, workspace: &str, cargo: Cargo, results: &mut Results) -> Result<()> {
    let mut document = cargo("doc");
    document.args(["--workspace", "--no-deps", "--quiet"]);
    document.env("RUSTDOCFLAGS", "-D warnings");
    judge(bench, &format!("{workspace}: cargo doc"), document, results);

    let metadata = metadata(cargo)?;
    let packages = publishable(&metadata);
    if !packages.is_empty() {
        let mut package = cargo("package");
        let home = fresh_cargo_home(&bench.project.build().join("cargo-home"));
        package.env("CARGO_HOME", home.context("a folder for cargo package")?);
        // What is tested is what is there, committed or not.
        package.args(["--allow-dirty", "--offline", "--quiet"]);
        for name in packages {
            package.args(["--package", name]);
        }
        judge(
            bench,
            &format!("{workspace}: cargo package"),
            package,
            results,
        );
    }

    let Some(oldest) = oldest_rust(&metadata) else {
        return Ok(());
    };
    let name = format!("{workspace}: Rust {oldest}");
    if !results.wants(&name) {
        return Ok(());
    }
    if !has_toolchain(oldest) {
        results.leave_out(&name, "rustup has no such toolchain here");
        return Ok(());
    }
    let mut check = cargo("check");
    check.args(["--workspace", "--lib", "--bins", "--quiet"]);
    check.env("RUSTUP_TOOLCHAIN", oldest);
    judge(bench, &name, check, results);
    Ok(())
}

/// Runs a command that is a test called `name`, if that is wanted.
fn judge(bench: &Bench, name: &str, mut command: Command, results: &mut Results) {
    if is_interrupted() || !results.wants(name) {
        return;
    }
    let step = bench.console.transient_step(name);
    let log = bench.project.build().join("log/packages.log");
    let result = run_logged(&mut command, &log, |_| ());
    drop(step);
    results.add(name.into(), result.err().map(|error| format!("\n{error}")));
}

/// Makes `home` a CARGO_HOME with what has been fetched, but nothing unpacked. Cargo keeps what it once unpacked of a
/// package, by name and version alone: in its usual home it would check the packages of an earlier run.
fn fresh_cargo_home(home: &Path) -> Result<PathBuf> {
    let usual = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = usual.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let usual = usual.context("no CARGO_HOME and no home")?;
    if home.exists() {
        fs::remove_dir_all(home)?;
    }
    fs::create_dir_all(home.join("registry"))?;
    for part in ["config.toml", "registry/index", "registry/cache"] {
        if usual.join(part).exists() {
            symlink(usual.join(part), home.join(part))?;
        }
    }
    Ok(home.to_path_buf())
}

fn metadata(cargo: Cargo) -> Result<Value> {
    // Cargo takes no target folder here, so the command is not one of `cargo` but in the same place.
    let mut metadata = Command::new("cargo");
    if let Some(folder) = cargo("metadata").get_current_dir() {
        metadata.current_dir(folder);
    }
    metadata.args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]);
    let output = metadata.output().context("can't run cargo metadata")?;
    serde_json::from_slice(&output.stdout).context("cargo metadata")
}

/// Names of the packages that don't say `publish = false`.
fn publishable(metadata: &Value) -> Vec<&str> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| package["publish"].is_null())
        .filter_map(|package| package["name"].as_str())
        .collect()
}

/// The oldest Rust that all packages of the workspace are for: they say the same, as a test holds.
fn oldest_rust(metadata: &Value) -> Option<&str> {
    metadata["packages"][0]["rust_version"].as_str()
}

fn has_toolchain(version: &str) -> bool {
    let mut rustc = Command::new("rustup");
    rustc.args(["run", version, "rustc", "--version"]);
    rustc
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    rustc.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_home_has_nothing_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let made = fresh_cargo_home(&home).unwrap();
        fs::create_dir_all(made.join("registry/src/stale")).unwrap();
        fresh_cargo_home(&home).unwrap();
        assert!(home.join("registry").is_dir() && !home.join("registry/src").exists());
    }

    #[test]
    fn only_packages_that_nobody_keeps_back_are_packaged() {
        let metadata = serde_json::json!({"packages": [
            {"name": "open", "publish": null, "rust_version": "1.88"},
            {"name": "kept", "publish": [], "rust_version": "1.88"},
        ]});
        assert_eq!(publishable(&metadata), ["open"]);
        assert_eq!(oldest_rust(&metadata), Some("1.88"));
        assert!(!has_toolchain("1.0.0-no-such-toolchain"));
    }
}
