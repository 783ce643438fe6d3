// SPDX-License-Identifier: BSD-2-Clause
//! The resident heap beside the allocators that one would use instead.
//!
//! `heap-bench [--json FILE] [--instructions] [--quick] [--only TEXT] [--rounds N]`: the table goes to stdout, progress to
//! stderr. With `--instructions` callgrind counts too; `--quick` runs everything once, for a look and for tests.

mod allocators;
mod instructions;
mod memory;
mod options;
mod report;
mod time;
mod workloads;

use allocators::{ALLOCATORS, Allocator};
use indicatif::{ProgressBar, ProgressStyle};
use options::Options;
use report::{Figure, Kind};
use std::process::ExitCode;
use workloads::Workload;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some(instructions::RUN | memory::RUN) => run(&arguments),
        _ => Options::parse(&arguments).and_then(|options| compare(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("heap-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

/// A run that is looked at from outside.
fn run(arguments: &[String]) -> Result<(), String> {
    let [how, allocator, workload, units] = arguments else {
        return Err(format!("{} ALLOCATOR WORKLOAD UNITS", arguments[0]));
    };
    let allocator = allocators::named(allocator).ok_or("unknown allocator")?;
    let workloads = workloads::all(|name| name == workload)?;
    let workload = workloads.first().ok_or("unknown workload")?;
    let units = units.parse().map_err(|_| "UNITS is a number")?;
    if how == memory::RUN {
        return memory::print_peaks(allocator, workload, units);
    }
    (workload.run)(allocator, units);
    Ok(())
}

fn compare(options: &Options) -> Result<(), String> {
    let workloads = workloads::all(|name| name.contains(&options.only))?;
    let allocators: Vec<&'static Allocator> = ALLOCATORS.iter().collect();
    let counts = if options.instructions {
        allocators.len()
    } else {
        0
    };
    let memories = workloads
        .iter()
        .filter(|workload| workload.fills_memory)
        .count();
    let steps = workloads.len() * (options.rounds + counts) + memories * allocators.len();
    let progress = ProgressBar::new(steps as u64).with_style(
        ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}")
            .map_err(|error| error.to_string())?,
    );
    let mut figures = Vec::new();
    for workload in &workloads {
        progress.set_message(workload.name.clone());
        figures.extend(measure(workload, &allocators, options, &progress)?);
    }
    progress.finish_and_clear();
    report::print_table(&figures);
    if let Some(path) = &options.json {
        let list: Vec<_> = figures.iter().map(Figure::json).collect();
        let text = serde_json::to_string_pretty(&list).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// All figures of a workload.
fn measure(
    workload: &Workload,
    allocators: &[&'static Allocator],
    options: &Options,
    progress: &ProgressBar,
) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    let mut add = |allocator, kind, value, samples| {
        figures.push(Figure {
            allocator,
            workload: workload.name.clone(),
            kind,
            value,
            samples,
        });
    };
    let done = || progress.inc(1);
    let units = if options.quick {
        workload.units.div_ceil(100)
    } else {
        workload.units
    };
    let samples = time::per_step(allocators, workload, units, options.rounds, done);
    for (&allocator, samples) in allocators.iter().zip(samples) {
        add(
            allocator,
            Kind::Nanoseconds,
            time::median(&samples),
            samples,
        );
    }
    if workload.fills_memory {
        for &allocator in allocators {
            let overhead = memory::overhead(allocator, workload, units)?;
            add(allocator, Kind::Overhead, overhead, Vec::new());
            done();
        }
    }
    if options.instructions {
        let counts = instructions::per_step(allocators, workload, done)?;
        for (&allocator, count) in allocators.iter().zip(counts) {
            if let Some(count) = count {
                add(allocator, Kind::Instructions, count, Vec::new());
            }
        }
    }
    Ok(figures)
}
