// SPDX-License-Identifier: BSD-2-Clause
//! The command line.
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::size::Size;

mod examples;

/// Builds seL4 and the memory server, runs a system of client programs in QEMU, and judges what they did.
///
/// Exit status: 0 when every client did what its manifest entry expects and the books balance, 1 when not,
/// 2 for a set-up or usage error, 3 when the time ran out.
#[derive(Debug, Parser)]
#[command(name = "simulate", bin_name = "./simulate", args_conflicts_with_subcommands = true, after_help = examples::ALL)]
pub struct Cli {
    /// What to do; without it, `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of `run`, when no command is named.
    #[command(flatten)]
    pub run: RunArguments,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a system in QEMU (the default).
    #[command(after_help = examples::RUN)]
    Run(RunArguments),
    /// Run every test, on the host and in QEMU.
    #[command(after_help = examples::TEST)]
    Test(TestArguments),
    /// Count instructions in QEMU and compare allocators on this machine.
    #[command(after_help = examples::BENCH)]
    Bench(BenchArguments),
    /// Install what is missing on this machine.
    #[command(after_help = examples::SETUP)]
    Setup(SetupArguments),
    /// Show a run as one HTML page: memory, buckets, latencies, clients, tests, benches.
    #[command(after_help = examples::REPORT)]
    Report(ReportArguments),
    /// Record what a program asks of its allocator, as a trace for --trace.
    #[command(after_help = examples::RECORD)]
    Record(RecordArguments),
    /// Make a client program that works, and a system to run it in.
    #[command(after_help = examples::NEW)]
    New(NewArguments),
    /// Run a system under gdb, which stops before the machine's first instruction.
    #[command(after_help = examples::GDB)]
    Gdb(GdbArguments),
    /// Run random clients, honest, buggy and hostile, against the server on a model of the kernel that fails now and then.
    #[command(after_help = examples::FUZZ)]
    Fuzz(FuzzArguments),
    /// Print a script that completes this tool's commands and options in a shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArguments),
}

/// What a run and the tests have in common.
#[derive(Args, Clone, Debug)]
pub struct MachineArguments {
    /// Which of the kernels built here runs; SEL4_PREFIX names another one.
    #[arg(long, value_name = "VARIANT")]
    pub kernel: Option<Variant>,
    /// Memory of the machine, 512M say [default: what the manifest says, or 512M].
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Size>,
    /// Count instructions instead of time: a run is repeatable to the byte, and slower.
    #[arg(long)]
    pub icount: bool,
    /// Seconds until a run is given up [default: what the manifest says, or 120].
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
    /// Attach this file as a disk instead of what the manifest says; it stays as it is.
    #[arg(long, value_name = "FILE")]
    pub disk: Option<PathBuf>,
    /// Use this ELF file as root task instead of building the package root-task.
    #[arg(long, value_name = "FILE")]
    pub root_task: Option<PathBuf>,
    /// Show nothing but results.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Which memory a trace is replayed through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceHeap {
    /// The server's own blocks, a call each.
    Served,
    /// The heap in the client.
    Resident,
    /// One after the other.
    Both,
}

/// Options of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArguments {
    /// Manifest of the system [default: clients/system.toml].
    #[arg(long, value_name = "FILE", conflicts_with = "trace")]
    pub system: Option<PathBuf>,
    /// Replay this allocation trace instead.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Which memory the trace is replayed through; both must give the same contents.
    #[arg(long, value_enum, default_value_t = TraceHeap::Both, requires = "trace")]
    pub heap: TraceHeap,
    /// Write what was found to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Have the server tell of what it does, and write that to this file; `./simulate report` shows it.
    #[arg(long, value_name = "FILE")]
    pub trace_out: Option<PathBuf>,
    /// Wait for a debugger before the first instruction, and say how to attach one.
    #[arg(long)]
    pub gdb: bool,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArguments,
}

/// Options of `test`.
#[derive(Args, Clone, Debug)]
pub struct TestArguments {
    /// Only the tests with this in their name; a system in QEMU runs if its name or a client's has it.
    pub filter: Option<String>,
    /// Only the tests on the host.
    #[arg(long, conflicts_with = "target")]
    pub host: bool,
    /// Only the tests in QEMU.
    #[arg(long)]
    pub target: bool,
    /// Also the systems in clients/systems/long, which take an hour or so, and more sequences of kernel operations.
    #[arg(long, conflicts_with = "host")]
    pub long: bool,
    /// Write each test and its result to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArguments,
}

/// Options of `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArguments {
    /// The page.
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
    /// A trace that `run --trace-out` wrote; without it, a system is run and traced.
    #[arg(long, value_name = "FILE")]
    pub trace_in: Option<PathBuf>,
    /// The system to run [default: clients/system.toml].
    #[arg(long, value_name = "FILE", conflicts_with = "trace_in")]
    pub system: Option<PathBuf>,
    /// What `run --json` or `test --json` wrote: its tests are listed.
    #[arg(long, value_name = "FILE")]
    pub results: Vec<PathBuf>,
    /// What `bench --json` wrote: its figures are drawn, instead of those that are committed.
    #[arg(long, value_name = "FILE")]
    pub bench: Vec<PathBuf>,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArguments,
}

/// Options of `bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArguments {
    /// Write all figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Only what is counted in QEMU.
    #[arg(long, conflicts_with = "host")]
    pub target: bool,
    /// Only the comparison of allocators on this machine.
    #[arg(long)]
    pub host: bool,
    /// Take what is counted in QEMU as the baseline that the tests compare with.
    #[arg(long, conflicts_with = "host")]
    pub baseline: bool,
    /// On this machine, count instructions by valgrind as well.
    #[arg(long, conflicts_with = "target")]
    pub instructions: bool,
    /// Show nothing but results.
    #[arg(long, short)]
    pub quiet: bool,
}

impl BenchArguments {
    /// The machine in which instructions are counted.
    pub fn machine(&self) -> MachineArguments {
        MachineArguments {
            // The release kernel, or that of SEL4_PREFIX.
            kernel: None,
            memory: None,
            icount: true,
            timeout: None,
            root_task: None,
            disk: None,
            quiet: self.quiet,
        }
    }
}

/// Options of `setup`.
#[derive(Args, Clone, Debug)]
pub struct SetupArguments {
    /// Only say what is there and what is missing.
    #[arg(long)]
    pub check: bool,
}

/// Options of `record`.
#[derive(Args, Clone, Debug)]
pub struct RecordArguments {
    /// Where the trace goes.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Stop recording after so many operations; the program goes on.
    #[arg(long, value_name = "N")]
    pub operations: Option<u64>,
    /// The program, and after it its arguments.
    #[arg(required = true, last = true, value_name = "PROGRAM")]
    pub program: Vec<String>,
}

/// Options of `new`.
#[derive(Args, Clone, Debug)]
pub struct NewArguments {
    /// Name of the program: small letters, digits and `-`, a letter first.
    pub name: String,
}

/// Options of `gdb`.
#[derive(Args, Clone, Debug)]
pub struct GdbArguments {
    /// Manifest of the system [default: clients/system.toml].
    #[arg(long, value_name = "FILE")]
    pub system: Option<PathBuf>,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArguments,
    /// More arguments for gdb, `-x FILE` say.
    #[arg(last = true, value_name = "GDB_ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// Options of `fuzz`.
#[derive(Args, Clone, Debug)]
pub struct FuzzArguments {
    /// The first seed; further ones follow it [default: by the clock].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How long; with 0 one seed alone.
    #[arg(long, value_name = "M", default_value = "1", value_parser = parse_minutes)]
    pub minutes: f64,
    /// Carry out what this file says, which an earlier failure was written to, and tell what happens in it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "minutes"])]
    pub replay: Option<PathBuf>,
}

/// Options of `completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArguments {
    /// The shell.
    pub shell: Shell,
}

/// The kernels that are built here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// No debugging, no printing: the one that is measured.
    Release,
    /// With the kernel's own checks and messages.
    Debug,
}

impl Variant {
    /// The name of its folder, and of its file in cmake/variants/.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Debug => "debug",
        }
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err("a whole number of seconds, at least 1".into()),
    }
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.0..=1e6).contains(&minutes) => Ok(minutes),
        _ => Err("a number of minutes, at least 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
