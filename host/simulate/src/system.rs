// SPDX-License-Identifier: BSD-2-Clause
//! One run of one system, from its manifest to what was seen of it.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cli::MachineArguments;
use crate::console::Console;
use crate::disk;
use crate::image;
use crate::kernel::{self, Kernel};
use crate::manifest::{Disk, Manifest, RunSettings};
use crate::multiboot;
use crate::programs::{self, Executables};
use crate::project::Project;
use crate::qemu::{IMAGE_FILE, KERNEL_FILE, Machine};
use crate::serial::{self, Record};
use crate::size::Size;
use crate::verdict::{Check, MachineEnd, Observation, judge};

/// What comes out of the machine's second serial port, where it has one.
const TRACE_FILE: &str = "trace";
const MEMORY_DEFAULT: Size = Size(512 << 20);
/// Below this, a unit was forgotten.
const MEMORY_MIN: Size = Size(1 << 20);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);

/// Where systems are run: a kernel, ready for QEMU, and what the command line says of the machine.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The checkout.
    pub project: &'a Project,
    /// Where progress is shown.
    pub console: Console,
    /// The kernel.
    pub kernel: Kernel,
    arguments: &'a MachineArguments,
    kernel_elf32: Vec<u8>,
    executables: Executables,
}

/// A system that is ready to run.
#[derive(Debug)]
pub struct Prepared {
    machine: Machine,
    arguments: Vec<std::ffi::OsString>,
    root_task_file: PathBuf,
    // What QEMU reads; gone when the tool is. Two runs at one time have a folder each.
    folder: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// What was seen.
    pub seen: Observation,
    /// How QEMU ended.
    pub end: MachineEnd,
    /// All that had to hold.
    pub checks: Vec<Check>,
    /// What QEMU itself said.
    pub complaints: String,
}

impl Run {
    /// What did not hold.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks
            .iter()
            .filter_map(|check| Some((check.name.as_str(), check.failure.as_deref()?)))
    }
}

/// What can be told to be wrong before anything is built for it.
fn check(arguments: &MachineArguments) -> Result<()> {
    let files = [
        ("--disk", &arguments.disk),
        ("--root-task", &arguments.root_task),
    ];
    for (option, file) in files {
        if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
            bail!("{option}: there is no file {}", file.display());
        }
    }
    if let Some(Size(bytes)) = arguments.memory.filter(|size| *size < MEMORY_MIN) {
        bail!(
            "--memory: {bytes} bytes are no machine; write 512M, say, or nothing for what the manifest says"
        );
    }
    Ok(())
}

impl<'a> Bench<'a> {
    /// Gets the kernel ready.
    ///
    /// # Errors
    ///
    /// When there is no kernel to be had, or none that QEMU takes.
    pub fn new(
        project: &'a Project,
        console: Console,
        arguments: &'a MachineArguments,
    ) -> Result<Self> {
        check(arguments)?;
        let kernel = kernel::obtain(project, console, arguments.kernel)?;
        let elf = kernel.elf();
        let bytes = fs::read(&elf).with_context(|| elf.display().to_string())?;
        let kernel_elf32 =
            multiboot::to_elf32(&bytes).with_context(|| elf.display().to_string())?;
        Ok(Self {
            project,
            console,
            kernel,
            arguments,
            kernel_elf32,
            executables: Executables::new(),
        })
    }

    /// Whether runs are repeatable to the byte.
    pub fn is_repeatable(&self) -> bool {
        self.arguments.icount && self.counts_exactly()
    }

    /// Whether two runs with counted instructions have the same times. With several processors they have not, as
    /// was found by trying.
    pub fn counts_exactly(&self) -> bool {
        self.kernel.config.processors() == 1
    }

    /// Why a system can't run here; `None` if it can.
    pub fn unfit(&self, manifest: &Manifest) -> Option<&'static str> {
        manifest.unfit_for(&self.kernel.config, self.arguments.icount)
    }

    /// Builds the programs of these systems.
    ///
    /// # Errors
    ///
    /// When one of them can't be built.
    pub fn build(&mut self, manifests: &[&Manifest]) -> Result<()> {
        let root_task = self.arguments.root_task.as_deref();
        self.executables = programs::build(
            self.project,
            self.console,
            &self.kernel,
            manifests,
            root_task,
        )?;
        Ok(())
    }

    /// Packs a system whose programs were built. `gdb`: the port that the machine waits for a debugger on.
    ///
    /// # Errors
    ///
    /// When a program is missing or can't be loaded, or the root task is none.
    pub fn prepare(&self, manifest: &Manifest, gdb: Option<u16>) -> Result<Prepared> {
        let root_task = self.arguments.root_task.as_deref();
        let programs = programs::load(manifest, &self.executables, root_task)?;
        let folder = self.folder()?;
        let disk = self.disk(&manifest.run, folder.path())?;
        let mut manifest = manifest.clone();
        if let Some(disk) = &disk {
            for client in &mut manifest.clients {
                disk::fill_in(&mut client.arguments, disk)?;
            }
        }
        let archive = image::archive(&manifest, &programs.clients)?;
        let image = image::attach(&programs.root_task, &archive)
            .with_context(|| programs.root_task_file.display().to_string())?;
        self.pack(
            &image,
            programs.root_task_file,
            &manifest.run,
            gdb,
            folder,
            disk,
        )
    }

    /// Packs the first program of `manifest` as a root task that runs alone, in place of the server, with `archive` where
    /// the server has that of its system; a program without a place for it gets none.
    ///
    /// # Errors
    ///
    /// When it was not built, or has no place for an archive that is there.
    pub fn prepare_root_task(
        &self,
        manifest: &Manifest,
        archive: Option<&[u8]>,
    ) -> Result<Prepared> {
        let file = manifest
            .programs
            .first()
            .and_then(|program| self.executables.get(&program.source))
            .with_context(|| format!("{} was not built", manifest.name))?;
        let mut image = fs::read(file).with_context(|| file.display().to_string())?;
        if let Some(archive) = archive {
            image = image::attach(&image, archive).with_context(|| file.display().to_string())?;
        }
        let folder = self.folder()?;
        let mut prepared = self.pack(&image, file.clone(), &manifest.run, None, folder, None)?;
        // It has no clients to go back to.
        prepared.machine.is_watched = false;
        Ok(prepared)
    }

    /// A folder for what QEMU reads.
    fn folder(&self) -> Result<TempDir> {
        let images = self.project.build().join("image");
        fs::create_dir_all(&images).with_context(|| images.display().to_string())?;
        Ok(tempfile::tempdir_in(&images)?)
    }

    fn pack(
        &self,
        image: &[u8],
        root_task_file: PathBuf,
        run: &RunSettings,
        gdb: Option<u16>,
        folder: TempDir,
        disk: Option<PathBuf>,
    ) -> Result<Prepared> {
        fs::write(folder.path().join(KERNEL_FILE), &self.kernel_elf32)?;
        fs::write(folder.path().join(IMAGE_FILE), image)?;
        let named = self.arguments;
        let machine = Machine {
            memory: named.memory.or(run.memory).unwrap_or(MEMORY_DEFAULT),
            icount: named.icount || run.icount,
            gdb,
            timeout: named.timeout.or(run.timeout).unwrap_or(TIMEOUT_DEFAULT),
            devices: run.devices.clone(),
            iommu: run.iommu,
            is_watched: gdb.is_none(),
            disk,
        };
        let mut arguments = machine.arguments(&self.kernel)?;
        if run.trace {
            let file = format!("file:{TRACE_FILE}");
            arguments.extend(["-serial".into(), file.into()]);
        }
        Ok(Prepared {
            machine,
            arguments,
            root_task_file,
            folder,
        })
    }
}

impl Bench<'_> {
    /// The file behind the machine's disk: the one that was named, or what the manifest says.
    fn disk(&self, run: &RunSettings, folder: &Path) -> Result<Option<PathBuf>> {
        let named = self.arguments.disk.clone().map(Disk::File);
        let disk = named.or_else(|| run.disk.clone());
        disk.map(|disk| disk::file(&disk, folder)).transpose()
    }
}

impl Prepared {
    /// Runs the system; `watch` sees each line as it comes.
    ///
    /// # Errors
    ///
    /// If QEMU can't be started.
    pub fn run(&self, manifest: &Manifest, mut watch: impl FnMut(&str, &Record)) -> Result<Run> {
        let mut seen = Observation::default();
        let (end, complaints) = self
            .machine
            .run(self.folder.path(), &self.arguments, |line| {
                let record = serial::parse(line);
                seen.record(&record);
                watch(line, &record);
                seen.has_ended()
            })?;
        let checks = judge(manifest, &seen, &end);
        Ok(Run {
            seen,
            end,
            checks,
            complaints,
        })
    }

    /// What the server told of itself, if the system was traced.
    ///
    /// # Errors
    ///
    /// If there is nothing to be read.
    pub fn trace(&self) -> Result<Vec<u8>> {
        fs::read(self.folder.path().join(TRACE_FILE)).context("nothing was traced")
    }

    /// Where the root task's symbols are.
    pub fn root_task_file(&self) -> &Path {
        &self.root_task_file
    }
}
