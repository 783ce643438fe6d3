// SPDX-License-Identifier: BSD-2-Clause
//! The host tool behind `./simulate`: builds the kernel and a system, runs it in QEMU and judges what it did.
mod bench;
mod c_program;
mod cli;
mod console;
mod disk;
mod elf;
mod fuzz;
mod gdb;
mod image;
mod kernel;
mod libtest;
mod manifest;
mod multiboot;
mod new;
mod page;
mod process;
mod programs;
mod project;
mod qemu;
mod record;
mod report;
mod run;
mod serial;
mod setup;
mod size;
mod suite;
mod system;
mod table;
mod tap;
mod trace;
mod verdict;
mod watchdog;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use console::{BAD, Console};
use project::Project;

/// How the tool ends when nothing kept it from its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// All that had to hold did.
    Passed,
    /// Something did not.
    Failed,
    /// A run took too long.
    TimedOut,
    /// Someone wanted the tool to end.
    Interrupted,
}

/// For what kept the tool from its work: the machine's set-up, or how it was called.
const EXIT_SETUP: u8 = 2;

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Passed => 0,
            Status::Failed => 1,
            Status::TimedOut => 3,
            // As a shell reports a program that Ctrl-C ended.
            Status::Interrupted => 130,
        })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match act(cli) {
        Ok(_) | Err(_) if process::is_interrupted() => Status::Interrupted.into(),
        Ok(status) => status.into(),
        Err(error) => {
            anstream::eprintln!("{BAD}error{BAD:#}: {error:#}");
            ExitCode::from(EXIT_SETUP)
        }
    }
}

fn act(cli: Cli) -> Result<Status> {
    process::catch_interrupts()?;
    let project = Project::here();
    match cli.command {
        None => run::run(&project, &cli.run),
        Some(Command::Run(arguments)) => run::run(&project, &arguments),
        Some(Command::Test(arguments)) => suite::run(&project, &arguments),
        Some(Command::Bench(arguments)) => bench::run(&project, &arguments),
        Some(Command::Report(arguments)) => page::run(&project, &arguments),
        Some(Command::Record(arguments)) => record::run(&project, &arguments),
        Some(Command::New(arguments)) => new::run(&project, &arguments.name),
        Some(Command::Gdb(arguments)) => gdb::run(&project, &arguments),
        Some(Command::Fuzz(arguments)) => fuzz::run(&project, &arguments),
        Some(Command::Completions(arguments)) => {
            let mut script = Vec::new();
            clap_complete::generate(
                arguments.shell,
                &mut Cli::command(),
                "simulate",
                &mut script,
            );
            std::io::stdout().write_all(&script)?;
            Ok(Status::Passed)
        }
        Some(Command::Setup(arguments)) if arguments.check => {
            if setup::check(&project) {
                return Ok(Status::Passed);
            }
            anyhow::bail!("something is missing; `./simulate setup` installs it")
        }
        Some(Command::Setup(_)) => {
            setup::ensure(&project, Console::new(false), true)?;
            Ok(Status::Passed)
        }
    }
}
