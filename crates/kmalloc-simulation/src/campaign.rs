// SPDX-License-Identifier: BSD-2-Clause
//! Many runs, one seed after the other.

use crate::check::{Failure, check};
use crate::run::Counts;
use crate::scenario::Scenario;
use crate::shrink::shrink;

/// Runs that shrinking may take.
const TRIES: usize = 3000;

/// A seed whose run failed, made small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The seed.
    pub seed: u64,
    /// What is left of its scenario.
    pub scenario: Scenario,
    /// How that fails.
    pub failure: Failure,
}

/// Runs of seeds that follow one another, and what happened in them.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The seed of the next run.
    pub next: u64,
    /// Runs so far.
    pub runs: u64,
    /// What happened in them.
    pub counts: Counts,
}

impl Campaign {
    /// Nothing was run yet.
    pub fn new(first: u64) -> Campaign {
        Campaign {
            next: first,
            runs: 0,
            counts: Counts::default(),
        }
    }

    /// One more run. `before_shrinking` is called when it has failed, since what follows takes longer than a run.
    ///
    /// # Errors
    /// That it failed; its scenario was made small then.
    pub fn run(&mut self, before_shrinking: impl FnOnce()) -> Result<(), Box<Failed>> {
        let seed = self.next;
        let scenario = Scenario::from_seed(seed);
        self.next = self.next.wrapping_add(1);
        self.runs += 1;
        match check(&scenario) {
            Ok(counts) => {
                self.counts += counts;
                Ok(())
            }
            Err(failure) => {
                before_shrinking();
                let again = |candidate: &Scenario| check(candidate).err();
                let (scenario, failure) = shrink(&scenario, &failure, TRIES, again);
                Err(Box::new(Failed {
                    seed,
                    scenario,
                    failure,
                }))
            }
        }
    }
}
