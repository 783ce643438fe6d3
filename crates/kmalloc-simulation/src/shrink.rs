// SPDX-License-Identifier: BSD-2-Clause
//! Makes a scenario that fails smaller: leaves out halves, quarters, single operations, then makes numbers smaller, as
//! long as it still fails in the same place.

use crate::check::Failure;
use crate::operation::Operation;
use crate::scenario::Scenario;

/// The smallest scenario that was found to fail in the same place as `failure`, which `scenario` does, and how it fails.
/// `fails` carries one out; it is called no more than `tries` times.
pub fn shrink(
    scenario: &Scenario,
    failure: &Failure,
    tries: usize,
    fails: impl FnMut(&Scenario) -> Option<Failure>,
) -> (Scenario, Failure) {
    let mut shrinker = Shrinker {
        best: scenario.clone(),
        failure: failure.clone(),
        tries,
        fails,
    };
    // What comes behind the failure has no part in it.
    let mut shorter = shrinker.best.clone();
    shorter.operations.truncate(failure.step);
    shrinker.attempt(shorter);
    loop {
        let before = shrinker.best.clone();
        shrinker.leave_out();
        shrinker.simplify();
        if shrinker.best == before || shrinker.tries == 0 {
            return (shrinker.best, shrinker.failure);
        }
    }
}

struct Shrinker<F> {
    best: Scenario,
    failure: Failure,
    tries: usize,
    fails: F,
}

impl<F: FnMut(&Scenario) -> Option<Failure>> Shrinker<F> {
    /// Whether a scenario fails as well; then it is the best one.
    fn attempt(&mut self, candidate: Scenario) -> bool {
        if self.tries == 0 || candidate == self.best {
            return false;
        }
        self.tries -= 1;
        match (self.fails)(&candidate) {
            Some(failure) if failure.place == self.failure.place => {
                self.best = candidate;
                // What it does not come to can go.
                self.best.operations.truncate(failure.step);
                self.failure = failure;
                true
            }
            _ => false,
        }
    }

    /// Leaves out rows of operations, shorter and shorter ones.
    fn leave_out(&mut self) {
        let mut length = self.best.operations.len().div_ceil(2);
        while length > 0 {
            // From the end: what was done last can be missed most easily.
            let mut end = self.best.operations.len();
            while end > 0 {
                let start = end.saturating_sub(length);
                let mut candidate = self.best.clone();
                candidate.operations.drain(start..end);
                self.attempt(candidate);
                end = start.min(self.best.operations.len());
            }
            length = if length == 1 { 0 } else { length.div_ceil(2) };
        }
    }

    /// Makes the machine the plain one, and the numbers smaller.
    fn simplify(&mut self) {
        for (lazy, mcs) in [
            (false, false),
            (self.best.lazy, false),
            (false, self.best.mcs),
        ] {
            let candidate = Scenario {
                lazy,
                mcs,
                ..self.best.clone()
            };
            self.attempt(candidate);
        }
        let mut at = 0;
        while at < self.best.operations.len() {
            self.lower(at, |it, value| it.who = value as u8, |it| it.who.into());
            self.lower(
                at,
                |it, value| it.choice = value as u16,
                |it| it.choice.into(),
            );
            self.lower(at, |it, value| it.amount = value, |it| it.amount);
            at += 1;
        }
    }

    /// Makes one number of an operation as small as will do: 0, or what halving leads to.
    fn lower(
        &mut self,
        at: usize,
        set: impl Fn(&mut Operation, u32),
        get: impl Fn(&Operation) -> u32,
    ) {
        let with = |shrinker: &mut Self, value: u32| {
            let mut candidate = shrinker.best.clone();
            let Some(operation) = candidate.operations.get_mut(at) else {
                return false;
            };
            set(operation, value);
            shrinker.attempt(candidate)
        };
        let Some(mut good) = self.best.operations.get(at).map(&get) else {
            return;
        };
        if good == 0 || with(self, 0) {
            return;
        }
        // Between a value that will not do and one that will.
        let mut bad = 0;
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            if with(self, middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
    }
}
