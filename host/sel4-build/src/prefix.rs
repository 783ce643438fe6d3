// SPDX-License-Identifier: BSD-2-Clause

//! Where the files of the kernel in use are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt, fs};

use crate::configuration::Configuration;
use crate::error::Error;

/// The Cargo package that carries the default kernel, under the name that crate `sel4` depends on it by.
const KERNEL_SOURCE_PACKAGE: &str = "sel4-sys";

/// How the kernel was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `SEL4_PREFIX` names it.
    Environment,
    /// The default kernel, as built by this project.
    Built,
    /// The default kernel is not built: its interface as the pinned Cargo package has it, which is enough to compile
    /// for it but has no kernel to run.
    Package,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Origin::Environment => "SEL4_PREFIX",
            Origin::Built => "build/sel4",
            Origin::Package => "Cargo package",
        })
    }
}

/// The files of one kernel, installed or in source form.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// How it was chosen.
    pub origin: Origin,
    /// What its `VERSION` file says. Installed upstream kernels have none.
    pub version: Option<String>,
    /// Folders in which a header may lie.
    include: Vec<PathBuf>,
    /// Interface XML: common, seL4 architecture, architecture; this is the order of labels.
    pub methods: [PathBuf; 3],
    /// The list of system calls.
    pub syscalls: PathBuf,
    configurations: Vec<PathBuf>,
}

impl Prefix {
    /// The kernel to build for: `SEL4_PREFIX`, else the default one that was built in `workspace`, else the interface
    /// in the Cargo package that `manifest_folder`'s crate pins.
    pub fn resolve(workspace: &Path, manifest_folder: &Path) -> Result<Self, Error> {
        if let Some(prefix) = env::var_os("SEL4_PREFIX") {
            return Self::installed(Path::new(&prefix), Origin::Environment);
        }
        let built = workspace.join("build/sel4/release");
        if built.join("bin/kernel.elf").exists() {
            return Self::installed(&built, Origin::Built);
        }
        let source = packaged_kernel(manifest_folder)?;
        Ok(Self::source(
            &source,
            workspace.join("cmake/variants/release.json"),
        ))
    }

    /// An installed seL4.
    pub fn installed(folder: &Path, origin: Origin) -> Result<Self, Error> {
        let include = folder.join("libsel4/include");
        let prefix = Self {
            origin,
            version: version(folder),
            methods: ["object-api", "object-api-sel4-arch", "object-api-arch"]
                .map(|name| include.join(format!("interfaces/{name}.xml"))),
            syscalls: include.join("api/syscall.xml"),
            configurations: ["kernel", "sel4"]
                .map(|part| include.join(part).join("gen_config.json"))
                .into(),
            include: vec![include],
        };
        let needed = prefix.methods.iter().chain([&prefix.syscalls]);
        for file in needed.chain(&prefix.configurations) {
            if !file.exists() {
                let missing = file.strip_prefix(folder).unwrap_or(file);
                return Err(Error::NotInstalled {
                    folder: folder.to_owned(),
                    missing: missing.display().to_string(),
                });
            }
        }
        Ok(prefix)
    }

    /// The source of the default kernel with a configuration for it.
    fn source(folder: &Path, configuration: PathBuf) -> Self {
        let common = folder.join("libsel4/include");
        let arch = folder.join("libsel4/arch_include/x86");
        let sel4_arch = folder.join("libsel4/sel4_arch_include/x86_64");
        Self {
            origin: Origin::Package,
            version: version(folder),
            methods: [
                common.join("interfaces/sel4.xml"),
                sel4_arch.join("interfaces/sel4arch.xml"),
                arch.join("interfaces/sel4arch.xml"),
            ],
            syscalls: common.join("api/syscall.xml"),
            configurations: vec![configuration],
            include: vec![common, sel4_arch, arch],
        }
    }

    /// The options the kernel is built with.
    pub fn configuration(&self) -> Result<Configuration, Error> {
        let mut configuration = Configuration::default();
        for path in &self.configurations {
            configuration.add_json(path, &read(path)?)?;
        }
        Ok(configuration)
    }

    /// The path of header `name`, if the kernel has it.
    pub fn header(&self, name: &str) -> Option<PathBuf> {
        self.include
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.exists())
    }

    /// Every file whose change must lead to a new build.
    pub fn watched(&self) -> impl Iterator<Item = &PathBuf> {
        self.methods
            .iter()
            .chain([&self.syscalls])
            .chain(&self.configurations)
    }
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn version(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("VERSION")).ok()?;
    Some(text.trim().to_owned())
}

/// The kernel source in the Cargo package pinned by the crate in `manifest_folder`. Cargo fetches it if need be.
fn packaged_kernel(manifest_folder: &Path) -> Result<PathBuf, Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(manifest_folder)
        .output()
        .map_err(|error| Error::NoKernel(format!("cargo metadata did not start: {error}")))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Error::NoKernel(format!(
            "cargo metadata: {}",
            reason.trim()
        )));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::NoKernel(format!("cargo metadata: {error}")))?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == KERNEL_SOURCE_PACKAGE)
        .and_then(|package| package["manifest_path"].as_str());
    match manifest.and_then(|manifest| Path::new(manifest).parent()) {
        Some(folder) => Ok(folder.join("seL4")),
        None => Err(Error::NoKernel(format!(
            "Cargo.lock has no package {KERNEL_SOURCE_PACKAGE}"
        ))),
    }
}
