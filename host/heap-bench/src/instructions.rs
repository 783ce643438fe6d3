// SPDX-License-Identifier: BSD-2-Clause
//! Instructions of a unit, counted by callgrind: two runs of different length, so that what both do once cancels out.

use crate::allocators::{Allocator, BASELINE};
use crate::workloads::Workload;
use std::process::Command;

/// The first argument of a run that is counted: `run ALLOCATOR WORKLOAD UNITS`.
pub const RUN: &str = "run";

/// Instructions of a pair of calls of the baseline: the calls, the address, and two returns. Added back, so that a figure
/// is what an allocator's two functions cost with the calls of them.
const BASELINE_PAIR: f64 = 5.0;
/// The part of a timed round that is counted of a workload that does the same all the time.
const UNITS_FRACTION: usize = 4;

/// Whether there is a callgrind.
pub fn are_available() -> bool {
    let version = Command::new("valgrind").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// Instructions of a step of `workload` in the functions of each allocator and the calls of them; none of one that can't
/// be counted. `done` is called after each.
pub fn per_step(
    allocators: &[&Allocator],
    workload: &Workload,
    done: impl Fn(),
) -> Result<Vec<Option<f64>>, String> {
    let baseline = per_unit(&BASELINE, workload)?;
    let mut counts = Vec::new();
    for allocator in allocators {
        counts.push(match allocator.not_counted {
            None => {
                let above = per_unit(allocator, workload)? - baseline;
                // With the size known at compile time there are no calls.
                let added = if workload.is_constant {
                    0.0
                } else {
                    BASELINE_PAIR * workload.pairs_per_step()
                };
                Some(above / workload.steps_per_unit as f64 + added)
            }
            Some(_) => None,
        });
        done();
    }
    Ok(counts)
}

fn per_unit(allocator: &Allocator, workload: &Workload) -> Result<f64, String> {
    let short = workload.units_before;
    let units = if workload.fills_memory {
        // What happens now and then is a part of it.
        workload.units
    } else {
        workload.units / UNITS_FRACTION
    };
    let counted = total(allocator, workload, short + units)? - total(allocator, workload, short)?;
    Ok(counted as f64 / units as f64)
}

fn total(allocator: &Allocator, workload: &Workload, units: usize) -> Result<i64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([RUN, allocator.name, &workload.name, &units.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{} {}: {log}", allocator.name, workload.name));
    }
    let counted = log.lines().find_map(|line| {
        let (_, figure) = line.split_once("Collected :")?;
        figure.trim().parse().ok()
    });
    counted.ok_or_else(|| format!("valgrind reports no instructions: {log}"))
}
