// SPDX-License-Identifier: BSD-2-Clause
//! `simulate run`.
use std::path::Path;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};

use crate::Status;
use crate::cli::RunArguments;
use crate::console::{BAD, Console, DIM, GOOD, Step};
use crate::gdb;
use crate::manifest::{self, Manifest};
use crate::process::{is_interrupted, shown};
use crate::project::Project;
use crate::report;
use crate::serial::Record;
use crate::system::{Bench, Prepared, Run};
use crate::table;
use crate::trace;
use crate::verdict::MachineEnd;

/// Clients take turns with these.
const CLIENT_COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
];

/// Runs a system and shows what it does.
///
/// # Errors
///
/// For everything that keeps the system from being started.
pub fn run(project: &Project, arguments: &RunArguments) -> Result<Status> {
    let console = Console::new(arguments.machine.quiet);
    let mut manifest = match (&arguments.trace, &arguments.system) {
        (Some(trace), _) => trace::system(trace, arguments.heap)?,
        (None, system) => load(project, system.as_deref())?,
    };
    manifest.run.trace = arguments.trace_out.is_some();
    let mut bench = Bench::new(project, console, &arguments.machine)?;
    check_fit(&bench, &manifest)?;
    bench.build(&[&manifest])?;
    let port = arguments.gdb.then(gdb::free_port).transpose()?;
    let prepared = bench.prepare(&manifest, port)?;
    if is_interrupted() {
        return Ok(Status::Interrupted);
    }
    if let Some(port) = port {
        anstream::eprintln!(
            "QEMU waits for a debugger. In another terminal:\n  {}\nthen `continue`.",
            shown(&gdb::command(&prepared, &bench, port))
        );
    }
    if !console.is_quiet() {
        anstream::println!("kernel: {}", bench.kernel.shown());
    }
    let run = watch(&prepared, console, &manifest)?;
    show(&manifest, &run);
    if let Some(file) = &arguments.trace_out {
        std::fs::write(file, prepared.trace()?).with_context(|| file.display().to_string())?;
    }
    if let Some(file) = &arguments.json {
        report::write(file, &manifest, &bench.kernel, &run)?;
    }
    Ok(status(&run))
}

/// Reads the manifest of the system that was named, or the first look's.
///
/// # Errors
///
/// If it can't be read or is wrong.
pub fn load(project: &Project, system: Option<&Path>) -> Result<Manifest> {
    let first_look = || project.shown(&project.root().join("clients/system.toml"));
    let file = system.map_or_else(first_look, Path::to_path_buf);
    Ok(manifest::load(&file)?)
}

/// That the system can run on the kernel in use.
///
/// # Errors
///
/// If not, with why.
pub fn check_fit(bench: &Bench, manifest: &Manifest) -> Result<()> {
    if let Some(reason) = bench.unfit(manifest) {
        bail!(
            "{} can't run on seL4 {} {}: {reason} (docs/KERNELS.md has the kernels, SEL4_PREFIX=FOLDER names one)",
            manifest.file,
            bench.kernel.version,
            bench.kernel.config.variant()
        );
    }
    Ok(())
}

/// How the tool ends after a run.
pub fn status(run: &Run) -> Status {
    match run.end {
        MachineEnd::Interrupted => Status::Interrupted,
        MachineEnd::TimedOut(..) => Status::TimedOut,
        _ if run.failures().next().is_some() => Status::Failed,
        _ => Status::Passed,
    }
}

/// Runs the system and prints its lines as they come.
fn watch(prepared: &Prepared, console: Console, manifest: &Manifest) -> Result<Run> {
    let names = manifest.clients.iter().map(|client| client.name.as_str());
    let width = names.clone().map(str::len).max().unwrap_or_default();
    let style_of = |name: &str| {
        let turn = names
            .clone()
            .position(|known| known == name)
            .unwrap_or_default();
        CLIENT_COLOURS[turn % CLIENT_COLOURS.len()].on_default()
    };
    let step = console.transient_step("booting");
    let mut ended = 0;
    prepared.run(manifest, |line, record| {
        if let Record::Ended(_) = record {
            ended += 1;
        }
        step.say("clients ended".into());
        step.progress(ended, (manifest.clients.len() as u64).max(ended));
        if !console.is_quiet() {
            print(&step, line, record, width, &style_of);
        }
    })
}

/// Records are for the table; everything else is shown.
fn print(step: &Step, line: &str, record: &Record, width: usize, style_of: &dyn Fn(&str) -> Style) {
    step.print(|| match record {
        Record::Client(name, text) => {
            let style = style_of(name);
            anstream::println!("{style}{name:>width$} |{style:#} {text}");
        }
        Record::Log(text) => anstream::println!("{DIM}{:>width$} |{DIM:#} {text}", "#"),
        Record::Other(_) | Record::Unknown(_) | Record::Malformed(_) => {
            anstream::println!("{DIM}{line}{DIM:#}");
        }
        Record::Stopped(by) => {
            anstream::println!(
                "{DIM}{:>width$} |{DIM:#} the failure of {by} stops the system",
                "#"
            );
        }
        Record::Boot(_)
        | Record::Ended(_)
        | Record::Counted(_)
        | Record::Books(_)
        | Record::End(_) => {}
    });
}

fn show(manifest: &Manifest, run: &Run) {
    anstream::print!("\n{}", table::render(manifest, &run.seen, &run.checks));
    for (name, reason) in run.failures() {
        anstream::println!("{BAD}FAILED{BAD:#} {name}: {reason}");
    }
    if run.failures().next().is_none() {
        let count = run.checks.len();
        anstream::println!("{GOOD}passed{GOOD:#} all {count} checks");
    } else if !run.complaints.is_empty() {
        anstream::eprintln!("QEMU said: {}", run.complaints);
    }
}
