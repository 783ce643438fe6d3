// SPDX-License-Identifier: BSD-2-Clause
//! The kernel: one of our own build, or an installed one that SEL4_PREFIX names.
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sel4_build::{Origin, Prefix, read_bindings};
use serde_json::Value;

use crate::cli::Variant;
use crate::console::Console;
use crate::process::run_logged;
use crate::project::Project;
use crate::setup::{self, Venv};

pub mod config;

use config::Config;

/// The Cargo package that carries the kernel's source.
const SOURCE_PACKAGE: &str = "sel4-sys";

/// What the origin of a kernel begins with that was not built here.
const NAMED: &str = "SEL4_PREFIX=";

/// An installed kernel.
#[derive(Debug)]
pub struct Kernel {
    /// The folder that SEL4_PREFIX names for the build of the programs.
    pub prefix: PathBuf,
    /// Its options.
    pub config: Config,
    /// `5.0.0`. Upstream installs no version, then it is the release that has its interface.
    pub version: String,
    /// Whether its folder states the version.
    is_stated: bool,
    /// For people: where it came from.
    pub origin: String,
}

/// Gives the kernel to run on, built if need be.
///
/// # Errors
///
/// When it can't be built, or SEL4_PREFIX names no kernel that runs here.
pub fn obtain(project: &Project, console: Console, variant: Option<Variant>) -> Result<Kernel> {
    let Some(prefix) = std::env::var_os("SEL4_PREFIX").filter(|prefix| !prefix.is_empty()) else {
        return build(project, console, variant.unwrap_or(Variant::Release));
    };
    if variant.is_some() {
        bail!(
            "--kernel chooses among the kernels built here, but SEL4_PREFIX names another one: give only one of them"
        );
    }
    setup::ensure(project, console, false)?;
    let prefix = fs::canonicalize(&prefix)
        .with_context(|| format!("SEL4_PREFIX={}", prefix.to_string_lossy()))?;
    let origin = format!("{NAMED}{}", prefix.display());
    Kernel::at(prefix, origin)
}

impl Kernel {
    fn at(prefix: PathBuf, origin: String) -> Result<Self> {
        for part in ["bin/kernel.elf", Config::PLACE] {
            if !prefix.join(part).is_file() {
                bail!(
                    "{} is no installed seL4: it has no {part}",
                    prefix.display()
                );
            }
        }
        let config = Config::read(&prefix)?;
        // Before anything is built for it.
        config.cpu()?;
        let stated = fs::read_to_string(prefix.join("VERSION"));
        let is_stated = stated.is_ok();
        let version = match stated {
            Ok(text) => text.trim().into(),
            Err(_) => {
                let installed = Prefix::installed(&prefix, Origin::Environment)?;
                read_bindings(&installed)?.abi.version
            }
        };
        Ok(Self {
            prefix,
            config,
            version,
            is_stated,
            origin,
        })
    }

    /// Whether it is one that was built here, and not one that SEL4_PREFIX names.
    pub fn is_default(&self) -> bool {
        !self.origin.starts_with(NAMED)
    }

    /// The kernel's ELF file.
    pub fn elf(&self) -> PathBuf {
        self.prefix.join("bin/kernel.elf")
    }

    /// The kernel in a line.
    pub fn shown(&self) -> String {
        let by = if self.is_stated {
            ""
        } else {
            "version by its interface, "
        };
        format!(
            "seL4 {} {} ({by}{})",
            self.version,
            self.config.variant(),
            self.origin
        )
    }

    /// A folder name that differs for kernels that programs have to be built apart for.
    pub fn key(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.prefix.hash(&mut hasher);
        format!("{}-{:08x}", self.config.variant(), hasher.finish() as u32)
    }
}

fn build(project: &Project, console: Console, variant: Variant) -> Result<Kernel> {
    let prefix = project.build().join("sel4").join(variant.name());
    let origin = format!("built from the Cargo package {SOURCE_PACKAGE}");
    let stamp_file = prefix.join("build-stamp");
    let stamp = stamp(project)?;
    setup::ensure(project, console, true)?;
    if fs::read_to_string(&stamp_file).ok().as_deref() != Some(&stamp) {
        let step = console.step(&format!("building the kernel ({})", variant.name()));
        let source = source(project)?;
        let folder = project.build().join("kernel").join(variant.name());
        let log = project
            .build()
            .join(format!("log/kernel-{}.log", variant.name()));
        // What an older source generated must not be taken for what the new one would.
        for old in [&folder, &prefix] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| old.display().to_string())?;
            }
        }
        let mut configure = Command::new("cmake");
        configure
            .arg("-S")
            .arg(project.root().join("cmake"))
            .arg("-B")
            .arg(&folder);
        configure.args(["-G", "Ninja"]);
        configure.arg(define("KERNEL_SOURCE", &source));
        configure.arg(format!("-DVARIANT={}", variant.name()));
        configure.arg(define("PYTHON", &Venv::of(project).python()));
        configure.arg(define("CMAKE_INSTALL_PREFIX", &prefix));
        run_logged(&mut configure, &log, |_| ())?;
        let mut ninja = Command::new("cmake");
        ninja
            .arg("--build")
            .arg(&folder)
            .args(["--target", "install"]);
        run_logged(&mut ninja, &log, |line| {
            if let Some((done, total)) = ninja_progress(line) {
                step.progress(done, total);
            }
        })?;
        fs::write(&stamp_file, &stamp)?;
    }
    Kernel::at(prefix, origin)
}

fn define(name: &str, value: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(format!("-D{name}="));
    option.push(value);
    option
}

/// `[12/130] …` is how ninja begins a line.
fn ninja_progress(line: &str) -> Option<(u64, u64)> {
    let (done, total) = line.strip_prefix('[')?.split_once(']')?.0.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

/// Says what a build of the kernel depends on: the recipe, and the source's entry in Cargo.lock.
fn stamp(project: &Project) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let mut folders = vec![project.root().join("cmake")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files.sort();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    let lock = fs::read_to_string(project.root().join("Cargo.lock")).context("Cargo.lock")?;
    let entry = lock.split("[[package]]").find(|entry| {
        entry
            .lines()
            .any(|line| line == format!("name = \"{SOURCE_PACKAGE}\""))
    });
    let entry = entry
        .with_context(|| format!("Cargo.lock has no {SOURCE_PACKAGE}, which carries the kernel"))?;
    entry.trim().hash(&mut hasher);
    Ok(format!("{:016x}\n", hasher.finish()))
}

/// The folder `seL4/` of the package; fetched if it is not there yet, checked by Cargo against Cargo.lock.
fn source(project: &Project) -> Result<PathBuf> {
    let log = project.build().join("log/fetch.log");
    let mut fetch = Command::new("cargo");
    fetch
        .current_dir(project.root())
        .args(["fetch", "--locked"]);
    run_logged(&mut fetch, &log, |_| ()).context("can't fetch the kernel's source")?;
    // Without a platform filter: no platform ever compiles the package, so a filter would hide it.
    let mut metadata = Command::new("cargo");
    metadata.current_dir(project.root());
    metadata.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
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
    let package = packages
        .iter()
        .find(|package| package["name"] == SOURCE_PACKAGE);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let folder = manifest.and_then(|manifest| Path::new(manifest).parent());
    let source = folder
        .map(|folder| folder.join("seL4"))
        .filter(|source| source.is_dir());
    source.with_context(|| format!("the package {SOURCE_PACKAGE} has no folder seL4/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_ninja() {
        assert_eq!(
            ninja_progress("[3/17] Building C object x.o"),
            Some((3, 17))
        );
        for line in ["", "warning: [3/17]", "[x/17] y", "[3] z"] {
            assert_eq!(ninja_progress(line), None, "{line}");
        }
    }

    #[test]
    fn a_version_that_is_not_stated_is_told_by_the_interface() {
        let shown = |is_stated| {
            let kernel = Kernel {
                prefix: "seL4".into(),
                config: Config::parse("{}").unwrap(),
                version: "16.0.0".into(),
                is_stated,
                origin: "SEL4_PREFIX=seL4".into(),
            };
            kernel.shown()
        };
        assert_eq!(shown(true), "seL4 16.0.0 release (SEL4_PREFIX=seL4)");
        assert_eq!(
            shown(false),
            "seL4 16.0.0 release (version by its interface, SEL4_PREFIX=seL4)"
        );

        let folder = tempfile::tempdir().unwrap();
        for (part, text) in [
            ("bin/kernel.elf", ""),
            (Config::PLACE, r#"{"ARCH_X86_64": true, "PLAT_PC99": true}"#),
            ("VERSION", "5.0.0\n"),
        ] {
            let file = folder.path().join(part);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let at = || Kernel::at(folder.path().into(), String::new());
        assert_eq!(at().unwrap().version, "5.0.0");
        fs::remove_file(folder.path().join("VERSION")).unwrap();
        let error = at().unwrap_err().to_string();
        assert!(error.contains("object-api.xml"), "{error}");
    }

    #[test]
    fn a_folder_without_a_kernel_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Kernel::at(folder.path().into(), String::new()).unwrap_err();
        assert!(error.to_string().contains("bin/kernel.elf"), "{error}");
    }
}
