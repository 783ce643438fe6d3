// SPDX-License-Identifier: BSD-2-Clause
//! Time of a unit: rounds in which the allocators take turns, so that what disturbs the machine disturbs all of them.

use crate::allocators::Allocator;
use crate::workloads::Workload;
use std::time::Instant;

/// Nanoseconds of a unit of `workload`, for each allocator, of each round.
pub fn per_unit(allocators: &[&Allocator], workload: &Workload, rounds: usize) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::with_capacity(rounds); allocators.len()];
    for allocator in allocators {
        (workload.run)(allocator, workload.units / 10);
    }
    for _ in 0..rounds {
        for (allocator, samples) in allocators.iter().zip(&mut samples) {
            let begin = Instant::now();
            (workload.run)(allocator, workload.units);
            samples.push(begin.elapsed().as_nanos() as f64 / workload.units as f64);
        }
    }
    samples
}

/// The middle one of the samples.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
