// SPDX-License-Identifier: BSD-2-Clause
//! What this machine needs, and how it gets it.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::console::{BAD, Console, GOOD};
use crate::process::{find_program, run_logged, shown};
use crate::project::Project;

#[cfg(test)]
mod tests;

/// A program that has to be there, and the Debian packages that bring it.
#[derive(Debug)]
struct Tool {
    program: &'static str,
    packages: &'static [&'static str],
    /// A machine with a kernel of its own needs none of what only builds one.
    builds_kernel: bool,
    why: &'static str,
}

/// Also the packages' names on Ubuntu.
const TOOLS: [Tool; 8] = [
    Tool {
        program: "qemu-system-x86_64",
        packages: &["qemu-system-x86"],
        builds_kernel: false,
        why: "runs the system",
    },
    Tool {
        program: "gcc",
        packages: &["gcc", "libc6-dev"],
        builds_kernel: false,
        why: "compiles the kernel, links the programs",
    },
    Tool {
        program: "g++",
        packages: &["g++"],
        builds_kernel: false,
        why: "compiles an allocator that the heap is compared with",
    },
    Tool {
        program: "make",
        packages: &["make"],
        builds_kernel: false,
        why: "builds another one",
    },
    Tool {
        program: "valgrind",
        packages: &["valgrind"],
        builds_kernel: false,
        why: "counts instructions in the bench on the host",
    },
    Tool {
        program: "cmake",
        packages: &["cmake"],
        builds_kernel: true,
        why: "builds the kernel",
    },
    Tool {
        program: "ninja",
        packages: &["ninja-build"],
        builds_kernel: true,
        why: "builds the kernel",
    },
    Tool {
        program: "python3",
        packages: &["python3"],
        builds_kernel: true,
        why: "runs the kernel's generators",
    },
];

/// The Python that builds the kernel, with what its generators import.
#[derive(Clone, Debug)]
pub struct Venv {
    folder: PathBuf,
    requirements: PathBuf,
}

impl Venv {
    /// The one of this checkout; it may not be there yet.
    pub fn of(project: &Project) -> Self {
        Self {
            folder: project.build().join("venv"),
            requirements: project.root().join("cmake/requirements.txt"),
        }
    }

    /// Its interpreter.
    pub fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Written last, so a venv whose making was interrupted doesn't have it.
    fn stamp(&self) -> PathBuf {
        self.folder.join("installed-requirements.txt")
    }

    fn is_ready(&self) -> bool {
        let installed = fs::read(self.stamp()).ok();
        installed.is_some()
            && installed == fs::read(&self.requirements).ok()
            && self.python().exists()
    }

    fn make(&self, project: &Project, console: Console) -> Result<()> {
        let _step = console.step("installing the Python packages of cmake/requirements.txt");
        let log = project.build().join("log/venv.log");
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).context("can't remove the old build/venv")?;
        }
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&self.folder);
        run_logged(&mut venv, &log, |_| ())?;
        let mut pip = Command::new(self.python());
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ]);
        pip.arg(&self.requirements);
        run_logged(&mut pip, &log, |_| ())?;
        fs::copy(&self.requirements, self.stamp())?;
        Ok(())
    }
}

/// Installs what is missing; does nothing, quickly, where all is there.
///
/// # Errors
///
/// When something can't be installed; the error says what to type.
pub fn ensure(project: &Project, console: Console, builds_kernel: bool) -> Result<()> {
    let venv = Venv::of(project);
    let missing = missing_packages(
        builds_kernel && !venv.is_ready(),
        builds_kernel,
        &|program| find_program(program).is_some(),
    );
    if !missing.is_empty() {
        install(project, console, &missing)?;
    }
    if builds_kernel && !venv.is_ready() {
        venv.make(project, console)?;
    }
    Ok(())
}

/// Prints what is there and what is missing; whether all is there.
pub fn check(project: &Project) -> bool {
    let mut complete = true;
    let mut line = |there: bool, name: &str, why: &str, hint: &str| {
        complete &= there;
        if there {
            anstream::println!("{GOOD}found  {GOOD:#} {name:<20} {why}");
        } else {
            anstream::println!("{BAD}missing{BAD:#} {name:<20} {why}; {hint}");
        }
    };
    for tool in &TOOLS {
        let there = find_program(tool.program).is_some();
        line(
            there,
            tool.program,
            tool.why,
            &format!("in {}", tool.packages.join(", ")),
        );
    }
    let venv = Venv::of(project);
    line(
        venv.is_ready() || has_venv_module(),
        "python3 venv module",
        "keeps the generators' packages apart",
        "in python3-venv",
    );
    line(
        venv.is_ready(),
        "build/venv",
        "has the packages of cmake/requirements.txt",
        "made by `./simulate setup`",
    );
    complete
}

/// The packages to install. `venv_wanted`: the venv has yet to be made.
fn missing_packages(
    venv_wanted: bool,
    builds_kernel: bool,
    is_there: &dyn Fn(&str) -> bool,
) -> Vec<&'static str> {
    let needed = TOOLS
        .iter()
        .filter(|tool| builds_kernel || !tool.builds_kernel);
    let missing = needed.filter(|tool| !is_there(tool.program));
    let mut packages: Vec<_> = missing
        .flat_map(|tool| tool.packages.iter().copied())
        .collect();
    if venv_wanted && (packages.contains(&"python3") || !has_venv_module()) {
        packages.push("python3-venv");
    }
    packages
}

/// Debian's Python comes without `ensurepip` unless python3-venv is there.
fn has_venv_module() -> bool {
    let mut python = Command::new("python3");
    python
        .args(["-c", "import venv, ensurepip"])
        .stdin(Stdio::null());
    python.stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

fn install(project: &Project, console: Console, packages: &[&str]) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    let by_hand = format!(
        "missing on this machine: {}\ninstall them by\n  {}apt-get update && {}apt-get install -y {}",
        packages.join(" "),
        if root { "" } else { "sudo " },
        if root { "" } else { "sudo " },
        packages.join(" ")
    );
    if find_program("apt-get").is_none() {
        bail!(
            "{by_hand}\nor by what stands for apt-get here: this tool only knows Debian and Ubuntu"
        );
    }
    if !root && find_program("sudo").is_none() {
        bail!("{by_hand}\nas root: there is no sudo on this machine");
    }
    console.note(&format!("installing {}", packages.join(" ")));
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    // Package lists that are old or not there at all are only fetched when it turns out so.
    let attempts = [install.as_slice(), &["update"], install.as_slice()];
    let log = project.build().join("log/apt.log");
    if apt(root, console, &log, attempts[0]).is_ok() {
        return Ok(());
    }
    apt(root, console, &log, attempts[1])
        .and_then(|()| apt(root, console, &log, attempts[2]))
        .context(by_hand)
}

fn apt(root: bool, console: Console, log: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(if root { "apt-get" } else { "sudo" });
    if root {
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.args(arguments);
        let _step = console.step(&format!("apt-get {}", arguments[0]));
        return run_logged(&mut command, log, |_| ());
    }
    // sudo may ask for a password, so it gets the terminal; without one it must not wait for an answer.
    if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        command.arg("-n");
    }
    command
        .args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(arguments);
    console.note(&shown(&command));
    command.stdout(std::io::stderr());
    let status = command.status().context("can't start sudo")?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(&command));
    }
    Ok(())
}
