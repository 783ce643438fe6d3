// SPDX-License-Identifier: BSD-2-Clause
//! Time of a step: rounds in which the allocators take turns, so that what disturbs the machine disturbs all of them.

use crate::allocators::Allocator;
use crate::workloads::Workload;
use std::time::Instant;

/// Nanoseconds of a step of `workload`, the loop included, for each allocator, of each round. `done` is called after each
/// round.
pub fn per_step(
    allocators: &[&Allocator],
    workload: &Workload,
    units: usize,
    rounds: usize,
    done: impl Fn(),
) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::with_capacity(rounds); allocators.len()];
    let steps = (units * workload.steps_per_unit) as f64;
    for allocator in allocators {
        (workload.run)(allocator, units.div_ceil(10));
    }
    for round in 0..rounds {
        for turn in 0..allocators.len() {
            // Another one begins each round, so that none always has the same one's caches.
            let index = (turn + round) % allocators.len();
            let begin = Instant::now();
            (workload.run)(allocators[index], units);
            samples[index].push(begin.elapsed().as_nanos() as f64 / steps);
        }
        done();
    }
    samples
}

/// The middle one of the samples.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
