// SPDX-License-Identifier: BSD-2-Clause
//! The system manifest in its TOML form, checked.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kmalloc_manifest::{Budget, Expectation, OnFailure, Report};
use serde::Deserialize;

use crate::kernel::config::Config;
use crate::size::Size;

pub mod device;
mod reader;
#[cfg(test)]
mod tests;

use reader::Reader;

/// A system to run.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What the system is called: its file's name without the ending.
    pub name: String,
    /// The file that it came from, as it was named.
    pub file: String,
    /// The kind of kernel that the system is for; `None`: any.
    pub kernel: Option<KernelKind>,
    /// What the run needs, where the command line doesn't say otherwise.
    pub run: RunSettings,
    /// The programs.
    pub programs: Vec<Program>,
    /// The clients.
    pub clients: Vec<Client>,
}

/// A kind of kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelKind {
    /// One with scheduling contexts.
    Mcs,
}

/// The table `[run]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSettings {
    /// Memory of the machine.
    pub memory: Option<Size>,
    /// When the run is given up.
    pub timeout: Option<Duration>,
    /// Free memory below which clients that watch for it are told; `None` leaves it to the server.
    pub pressure_mark: Option<Size>,
    /// Whether the server tells of what it does on the machine's second serial port.
    pub trace: bool,
    /// The client whose failure has to stop the system.
    pub stopped_by: Option<String>,
    /// Whether it needs a timer, which MCS kernels have none of while QEMU counts instructions.
    pub timer: bool,
    /// Whether QEMU always counts instructions for it.
    pub icount: bool,
    /// The server has to refuse the system at boot, with a log line that contains this.
    pub refused: Option<String>,
    /// QEMU's options for devices of the machine.
    pub devices: Vec<&'static str>,
    /// The disk that the machine has.
    pub disk: Option<Disk>,
    /// Whether the machine has an IOMMU.
    pub iommu: bool,
}

/// What is on the machine's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk {
    /// A file, of which QEMU keeps what is written to itself.
    File(PathBuf),
    /// So many bytes, the same in each run.
    Made(Size),
}

impl Manifest {
    /// That of a package which is a root task of its own, with no clients.
    pub fn of_root_task(package: &str, run: RunSettings) -> Self {
        Self {
            name: package.into(),
            file: package.into(),
            kernel: None,
            run,
            programs: vec![Program {
                name: package.into(),
                source: Source::Package(package.into()),
                line: None,
            }],
            clients: Vec::new(),
        }
    }

    /// The number of the endpoint between clients with this name: its place among all names in the manifest.
    pub fn endpoint(&self, name: &Option<String>) -> Option<u8> {
        let name = name.as_deref()?;
        let mut names: Vec<&str> = Vec::new();
        for client in &self.clients {
            for known in [&client.serves, &client.calls].into_iter().flatten() {
                if !names.contains(&known.as_str()) {
                    names.push(known);
                }
            }
        }
        let place = names.iter().position(|known| *known == name)?;
        u8::try_from(place).ok()
    }
}

/// A `[[program]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Where its ELF file comes from.
    pub source: Source,
    /// Line of its `elf` or `c` in the manifest; `None` if the tool itself wants it.
    pub line: Option<usize>,
}

/// Where a program's ELF file comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A package of the workspace, built by Cargo.
    Package(Package),
    /// Source files in C, built by gcc.
    C(Vec<PathBuf>),
    /// A file that is there already.
    File(PathBuf),
}

/// A package of the workspace, as it is to be built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name, which is also its program's.
    pub name: String,
    /// Its features that are turned on besides the default ones.
    pub features: Vec<String>,
}

impl From<&str> for Package {
    fn from(name: &str) -> Self {
        Self {
            name: name.into(),
            features: Vec::new(),
        }
    }
}

/// A `[[client]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Index of its program.
    pub program: usize,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Priority of its thread.
    pub priority: u8,
    /// How much time each of its threads has; `None`: turns of equal length with the others.
    pub budget: Option<Budget>,
    /// Most memory that may be charged to it.
    pub memory_limit: Size,
    /// How much of that is set aside for it from its start.
    pub memory_reserved: Size,
    /// Most capabilities that the server may hold for it, if not what its memory limit asks for.
    pub slot_limit: Option<u32>,
    /// Whether it is started at boot.
    pub start: bool,
    /// Whether it serves the others: when they have all ended, its notification tells it to end too.
    pub service: bool,
    /// The endpoint between clients that it receives on, by name.
    pub serves: Option<String>,
    /// The endpoint between clients that it calls, by name.
    pub calls: Option<String>,
    /// Vendors and devices of the PCI functions that it may have.
    pub devices: Vec<(u16, u16)>,
    /// Whether the server may move its pages.
    pub movable: bool,
    /// How it should end.
    pub expect: Expectation,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// How often it is started again at the most.
    pub restarts_max: u16,
    /// How often it should have ended; `None` leaves it open.
    pub lives: Option<u64>,
    /// Names of clients that it may start.
    pub starts: Vec<String>,
    /// Names of clients that it may end, besides its children.
    pub kills: Vec<String>,
    /// How many children it may have at once.
    pub children_max: u16,
    /// Whether it may see figures about the whole system.
    pub statistics: bool,
    /// Whether each of its ends is reported, or only how many there were.
    pub report: Report,
    /// Whether it is a test that prints TAP; one that prints no plan has then failed.
    pub tap: bool,
    /// Bytes of blocks that it should still hold at its end; `None` leaves it open.
    pub expect_held: Option<u64>,
    /// Calls that it has to make at least.
    pub expect_calls_min: u64,
    /// Bytes that it finds mapped read-only.
    pub data: Vec<u8>,
}

impl Manifest {
    /// Why the system can't run on a kernel of this configuration; `None` if it can. `icount`: QEMU counts
    /// instructions for all systems.
    pub fn unfit_for(&self, config: &Config, icount: bool) -> Option<&'static str> {
        let mcs = config.has("KERNEL_MCS");
        if self.kernel == Some(KernelKind::Mcs) && !mcs {
            return Some("it is for kernels with scheduling contexts (MCS)");
        }
        if self.run.iommu && !config.has("IOMMU") {
            return Some("it wants an IOMMU, and the kernel was built without that option");
        }
        let has_priority = |client: &Client| u64::from(client.priority) < config.priorities();
        if !self.clients.iter().all(has_priority) {
            return Some("a client's priority is above all that the kernel has");
        }
        (self.run.timer && mcs && (icount || self.run.icount))
            .then_some("it needs a timer, which MCS kernels have none of under --icount")
    }

    /// The file, and the line if there is one, for messages.
    pub fn place(&self, line: Option<usize>) -> String {
        line.map_or_else(|| self.file.clone(), |line| format!("{}:{line}", self.file))
    }
}

/// A manifest was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}{}: {field}{}{reason}",
    if *line == 0 { String::new() } else { format!(":{line}") },
    if field.is_empty() { "" } else { ": " }
)]
pub struct ManifestError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 when the file can't be read at all.
    pub line: usize,
    /// The field, `client.priority` say; empty when the file is no TOML of this form.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads and checks a manifest, and the files of data that it names.
///
/// # Errors
///
/// The first thing that is wrong, by file, line and field.
pub fn load(file: &Path) -> Result<Manifest, ManifestError> {
    let shown = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| ManifestError {
        file: shown.clone(),
        line: 0,
        field: "",
        reason: format!("{error}; the systems that come with this are in clients/systems/"),
    })?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let name = file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Reader {
        file: shown,
        text: &text,
        folder,
    }
    .read(name)
}
