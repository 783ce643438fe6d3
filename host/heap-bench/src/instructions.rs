// SPDX-License-Identifier: BSD-2-Clause
//! Instructions of a unit, counted by callgrind: two runs of different length, so that what both do once cancels out.

use crate::allocators::Allocator;
use crate::workloads::Workload;
use std::process::Command;

/// The first argument of a run that is counted: `run ALLOCATOR WORKLOAD UNITS`.
pub const RUN: &str = "run";

/// Instructions of a unit of `workload` with the loop around it, on average.
pub fn per_unit(allocator: &Allocator, workload: &Workload) -> Result<f64, String> {
    let (short, long) = (workload.units / 20, workload.units / 4);
    let counted = total(allocator, workload, long)? - total(allocator, workload, short)?;
    Ok(counted as f64 / (long - short) as f64)
}

fn total(allocator: &Allocator, workload: &Workload, units: usize) -> Result<i64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([RUN, allocator.name, workload.name, &units.to_string()])
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
