// SPDX-License-Identifier: BSD-2-Clause
//! The resident heap beside the allocators that one would use instead.
//!
//! `heap-bench [--instructions] [--only TEXT] [--rounds N] [--json FILE]`

mod allocators;
mod instructions;
mod time;
mod workloads;

use allocators::{ALLOCATORS, Allocator, BASELINE, BASELINE_PAIR_INSTRUCTIONS};
use serde_json::{Value, json};
use std::process::ExitCode;
use workloads::{WORKLOADS, Workload};

struct Options {
    instructions: bool,
    only: String,
    rounds: usize,
    json: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some(instructions::RUN) => run(&arguments[1..]),
        _ => options(&arguments).and_then(|options| compare(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("heap-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        instructions: false,
        only: String::new(),
        rounds: 15,
        json: None,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next().cloned();
            value.ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--instructions" => options.instructions = true,
            "--only" => options.only = value()?,
            "--rounds" => {
                options.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?
            }
            "--json" => options.json = Some(value()?),
            _ => return Err(format!("unknown argument {argument}")),
        }
    }
    if options.rounds == 0 {
        return Err("--rounds needs at least 1".into());
    }
    Ok(options)
}

/// A run that is counted from outside.
fn run(arguments: &[String]) -> Result<(), String> {
    let [allocator, workload, units] = arguments else {
        return Err("run ALLOCATOR WORKLOAD UNITS".into());
    };
    let allocator = allocators::named(allocator).ok_or("unknown allocator")?;
    let workload = workloads::named(workload).ok_or("unknown workload")?;
    let units = units.parse().map_err(|_| "UNITS is a number")?;
    (workload.run)(allocator, units);
    Ok(())
}

fn compare(options: &Options) -> Result<(), String> {
    let mut figures = Vec::new();
    let unit = if options.instructions {
        "instructions"
    } else {
        "ns"
    };
    print!("{:<20}", format!("{unit} a pair"));
    for allocator in ALLOCATORS {
        print!("{:>12}", allocator.name);
    }
    println!();
    for workload in WORKLOADS {
        if !workload.name.contains(&options.only) {
            continue;
        }
        print!("{:<20}", workload.name);
        let row = if options.instructions {
            count(workload)?
        } else {
            measure(workload, options.rounds)
        };
        for (allocator, (value, samples)) in ALLOCATORS.iter().zip(row) {
            print!("{value:>12.1}");
            figures.push(figure(allocator, workload, unit, value, &samples));
        }
        println!();
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn figure(
    allocator: &Allocator,
    workload: &Workload,
    unit: &str,
    value: f64,
    samples: &[f64],
) -> Value {
    let suffix = if unit == "ns" { "ns" } else { "instr" };
    json!({
        "name": format!("host.{}.{}.{suffix}", allocator.name, workload.name),
        "unit": unit,
        "value": value,
        "samples": samples,
    })
}

/// Instructions of a pair in the allocator's functions and the calls of them, for each allocator.
fn count(workload: &Workload) -> Result<Vec<(f64, Vec<f64>)>, String> {
    // With the size known at compile time there are no calls, and the loop around the pair is two instructions.
    let constant = workload.name.ends_with(".const");
    let baseline = instructions::per_unit(&BASELINE, workload)?;
    let pairs = workload.pairs_per_unit as f64;
    let added = if constant {
        0.0
    } else {
        BASELINE_PAIR_INSTRUCTIONS
    };
    let mut row = Vec::new();
    for allocator in ALLOCATORS {
        let counted = instructions::per_unit(allocator, workload)?;
        row.push((
            (counted - baseline) / pairs + added,
            vec![counted, baseline],
        ));
    }
    Ok(row)
}

/// Nanoseconds of a pair, the loop included, for each allocator.
fn measure(workload: &Workload, rounds: usize) -> Vec<(f64, Vec<f64>)> {
    let allocators: Vec<&Allocator> = ALLOCATORS.iter().collect();
    let pairs = workload.pairs_per_unit as f64;
    time::per_unit(&allocators, workload, rounds)
        .into_iter()
        .map(|samples| (time::median(&samples) / pairs, samples))
        .collect()
}
