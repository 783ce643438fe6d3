// SPDX-License-Identifier: BSD-2-Clause
//! Time of a step: rounds in which the allocators take turns, so that what disturbs the machine disturbs all of them.
//! It is the processor's time of this thread, system calls included: what other programs take does not count.

use crate::allocators::Allocator;
use crate::workloads::Workload;
use std::time::Duration;

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
            let begin = thread_time();
            (workload.run)(allocators[index], units);
            let taken = thread_time() - begin;
            samples[index].push(taken.as_nanos() as f64 / steps);
        }
        done();
    }
    samples
}

/// Time for which this thread ran.
fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the place is valid, and Linux has this clock.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "there is no clock of the thread");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The middle one of the samples.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
