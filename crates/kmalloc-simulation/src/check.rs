// SPDX-License-Identifier: BSD-2-Clause
//! Carries a scenario out and catches what goes wrong.

use crate::run::{Counts, Run};
use crate::scenario::Scenario;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// What went wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How many operations had begun; one more than there are when it was at the end of the run.
    pub step: usize,
    /// Where the check stands that failed.
    pub place: String,
    /// What it says.
    pub message: String,
}

thread_local! {
    /// Whether panics of this thread are caught here, and what the last one said: its place, its message.
    static CAUGHT: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
    static CATCHES: RefCell<bool> = const { RefCell::new(false) };
}

/// From now on a panic of a thread that catches it is kept and not printed.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if cfg!(panic = "abort") || !CATCHES.with_borrow(|catches| *catches) {
                return before(info);
            }
            let place = info.location().map_or_else(String::new, |at| {
                format!("{}:{}", at.file().replace('\\', "/"), at.line())
            });
            let payload = info.payload();
            let message = match payload.downcast_ref::<String>() {
                Some(text) => text.as_str(),
                None => payload.downcast_ref::<&str>().unwrap_or(&"no message"),
            };
            let message = message.to_string();
            CAUGHT.set(Some((place, message)));
        }));
    });
}

/// Carries a scenario out.
///
/// # Errors
/// What went wrong.
pub fn check(scenario: &Scenario) -> Result<Counts, Failure> {
    check_with(scenario, |run| {
        for operation in &scenario.operations {
            run.step(*operation);
        }
    })
}

/// Carries a scenario out as `steps` does it, to the end of all clients.
///
/// # Errors
/// What went wrong.
pub fn check_with(scenario: &Scenario, steps: impl FnOnce(&mut Run)) -> Result<Counts, Failure> {
    catch(&mut Run::new(scenario), steps)
}

/// Carries a scenario out again and tells what was asked and answered, line by line, to where it fails.
pub fn narrate(scenario: &Scenario) -> Vec<String> {
    let mut run = Run::new(scenario);
    run.system.log = Some(Vec::new());
    let mut lines = Vec::new();
    // How it ends is known.
    let _failure = catch(&mut run, |run| {
        for operation in &scenario.operations {
            run.step(*operation);
        }
    });
    lines.append(run.system.log.as_mut().unwrap_or(&mut Vec::new()));
    lines
}

fn catch(run: &mut Run, steps: impl FnOnce(&mut Run)) -> Result<Counts, Failure> {
    keep_panics();
    CATCHES.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| {
        steps(run);
        run.finish()
    }));
    CATCHES.set(false);
    result.map_err(|_| {
        let (place, message) = CAUGHT.take().unwrap_or_default();
        Failure {
            step: run.steps(),
            place,
            message,
        }
    })
}
