// SPDX-License-Identifier: BSD-2-Clause
//! Workers that run seeds, and a look at how far they are.

use kmalloc_simulation::{Campaign, Counts, Failed, Failure, Scenario};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A run that takes longer than this hangs: one takes a fraction of a second.
const RUN_MAX: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Looks between two lines, where nobody sees them being overwritten.
const LOOKS_OF_A_LINE: u32 = 150;

/// What the workers have in common.
pub struct Watch {
    next: AtomicU64,
    stop: AtomicBool,
    state: Mutex<State>,
}

struct State {
    runs: u64,
    counts: Counts,
    /// What each worker runs, and since when.
    running: Vec<Option<(u64, Instant)>>,
    idle: usize,
    failed: Option<Failed>,
}

impl Watch {
    /// Nothing has run yet.
    pub fn new(first: u64, workers: usize) -> Watch {
        Watch {
            next: AtomicU64::new(first),
            stop: AtomicBool::new(false),
            state: Mutex::new(State {
                runs: 0,
                counts: Counts::default(),
                running: vec![None; workers],
                idle: 0,
                failed: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs seeds until the time is over or one has failed; one at least.
    pub fn work(&self, worker: usize, end: Instant) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            self.state().running[worker] = Some((seed, Instant::now()));
            let mut campaign = Campaign::new(seed);
            let result = campaign.run(|| self.state().running[worker] = None);
            let mut state = self.state();
            state.runs += 1;
            state.counts += campaign.counts;
            if let Err(failed) = result {
                self.stop.store(true, Ordering::Relaxed);
                // Of two that fail at once, the first seed.
                let earlier = state.failed.take().filter(|other| other.seed < seed);
                state.failed = Some(earlier.unwrap_or(*failed));
            }
            if Instant::now() >= end || self.stop.load(Ordering::Relaxed) {
                state.running[worker] = None;
                state.idle += 1;
                return;
            }
        }
    }

    /// Shows how far it is until all workers are done; what failed, if anything did.
    pub fn wait(&self, begin: Instant) -> Option<Failed> {
        let overwrites = std::io::stdout().is_terminal();
        for look in 1_u32.. {
            std::thread::sleep(LOOK);
            let state = self.state();
            if state.idle == state.running.len() {
                break;
            }
            let mut running = state.running.iter().flatten();
            if let Some((seed, _)) = running.find(|(_, since)| since.elapsed() > RUN_MAX) {
                return Some(hanging(*seed));
            }
            if overwrites || look.is_multiple_of(LOOKS_OF_A_LINE) {
                let (seconds, State { runs, counts, .. }) = (begin.elapsed().as_secs(), &*state);
                let end = if overwrites { "\x1b[K\r" } else { "\n" };
                print!("{seconds} s: {runs} runs, {}{end}", short(counts));
                // Nobody is hurt if it can't be shown.
                let _ = std::io::stdout().flush();
            }
        }
        if overwrites {
            print!("\x1b[K");
        }
        self.state().failed.take()
    }

    /// Runs, and what happened in them.
    pub fn counts(&self) -> (u64, Counts) {
        let state = self.state();
        (state.runs, state.counts)
    }
}

/// A run that does not end can't be made smaller: that would not end either.
fn hanging(seed: u64) -> Failed {
    Failed {
        seed,
        scenario: Scenario::from_seed(seed),
        failure: Failure {
            step: 0,
            place: "no place".into(),
            message: format!("it has not ended after {} s", RUN_MAX.as_secs()),
        },
    }
}

fn short(counts: &Counts) -> String {
    let Counts {
        steps,
        deaths,
        refused,
        misused,
        failed,
        ..
    } = counts;
    format!(
        "{steps} steps, {deaths} deaths, {refused} refusals, {misused} attacks refused, {failed} kernel failures"
    )
}

/// All counts in one line.
pub fn shown(counts: &Counts) -> String {
    let rows = counts.rows().map(|(name, count)| format!("{name} {count}"));
    rows.collect::<Vec<_>>().join(", ")
}
