// SPDX-License-Identifier: BSD-2-Clause
//! Runs seed after seed until the time is over or one fails; `./simulate fuzz` starts it.
//!
//! Exit status: 0 when all runs were good, 1 when one was not, 2 for a usage error.

mod command;
mod progress;

use command::Command;
use kmalloc_simulation::{Failed, Failure, Scenario, check, narrate};
use progress::Watch;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if cfg!(panic = "abort") {
        eprintln!("simulation: built with panic=abort: a failure ends it, and is not made small");
    }
    match Command::read(std::env::args().skip(1)) {
        Ok(Command::Replay { file }) => replay(&file),
        Ok(Command::Seeds {
            first,
            minutes,
            folder,
        }) => run(first, minutes, &folder),
        Err(complaint) => {
            eprintln!("simulation: {complaint}");
            ExitCode::from(USAGE)
        }
    }
}

/// Carries out what a file says, and tells what happens in it.
fn replay(file: &Path) -> ExitCode {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("simulation: {}: {error}", file.display());
            return ExitCode::from(USAGE);
        }
    };
    let scenario = match text.parse::<Scenario>() {
        Ok(scenario) => scenario,
        Err(error) => {
            eprintln!("simulation: {}: {error}", file.display());
            return ExitCode::from(USAGE);
        }
    };
    for line in narrate(&scenario) {
        println!("{line}");
    }
    match check(&scenario) {
        Ok(counts) => {
            println!("passed: {} steps", counts.steps);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("FAILED at step {}: {}", failure.step, said(&failure));
            ExitCode::from(FAILED)
        }
    }
}

/// What a failure says, and where.
fn said(failure: &Failure) -> String {
    format!("{} ({})", failure.message, failure.place)
}

/// Runs seed after seed on all processors.
fn run(first: u64, minutes: f64, folder: &Path) -> ExitCode {
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(minutes * 60.0);
    let workers = match minutes {
        // One seed alone.
        0.0 => 1,
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    };
    println!("seeds from {first} on, {workers} at a time; one step is one operation and a scan");
    let watch = Arc::new(Watch::new(first, workers));
    for worker in 0..workers {
        let watch = Arc::clone(&watch);
        std::thread::spawn(move || watch.work(worker, end));
    }
    let failed = watch.wait(begin);
    let (runs, counts) = watch.counts();
    let seconds = begin.elapsed().as_secs();
    println!(
        "{runs} runs, {} steps in {seconds} s: {}",
        counts.steps,
        progress::shown(&counts)
    );
    match failed {
        None => {
            println!("passed: seeds {first} to {}", first + runs.max(1) - 1);
            ExitCode::SUCCESS
        }
        Some(failed) => tell(&failed, folder),
    }
}

/// Prints a failure, small as it was made, and writes it to a file that replays.
fn tell(failed: &Failed, folder: &Path) -> ExitCode {
    let Failed {
        seed,
        scenario,
        failure,
    } = failed;
    println!("FAILED: seed {seed}: {}", said(failure));
    println!("what is left of it:\n{scenario}");
    let comment = |text: &str| format!("# {}", text.replace('\n', "\n# "));
    let what = comment(&format!("seed {seed}: {}", said(failure)));
    let mut text = format!("{what}\n{scenario}\n");
    for line in narrate(scenario) {
        let _ = writeln!(text, "{}", comment(&line));
    }
    let file = folder.join(format!("seed-{seed}.txt"));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text));
    match written {
        Ok(()) => println!("replay: ./simulate fuzz --replay {}", file.display()),
        Err(error) => eprintln!("simulation: {}: {error}", file.display()),
    }
    println!("all of it: ./simulate fuzz --seed {seed} --minutes 0");
    ExitCode::from(FAILED)
}
