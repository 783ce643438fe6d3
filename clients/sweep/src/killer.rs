// SPDX-License-Identifier: BSD-2-Clause
//! The one who kills: a program above all others' priority, with an alarm.
//!
//! The alarm's interrupt takes the processor from the victim between two of its instructions, and gives it to the server, then to
//! this program; the victim, which has the lowest priority, runs no more. Where instructions are counted, all of that takes
//! the same time whatever the victim was doing, so from when this program woke it is known which of its instructions was the
//! victim's next. The server says so as well, when it tells of the end.

use crate::operations::Operation;
use crate::{gate, wait};
use core::ops::RangeInclusive;
use kmalloc::child::Child;
use kmalloc::{Cause, Ended, Error, Stats, println, process, served, statistics};

/// Bytes that each victim gets.
const SHARE: u64 = 1400 << 10;
/// Alarms are set to multiples of this, so that how late each of them is needs to be measured once.
const DELAY_US: u64 = 16;
const DELAYS: usize = 256;
/// Ticks that a victim needs to be waiting when it is told to wait.
const LEAD: u64 = 20_000;
/// Ticks to a round number of which this program waits before it sets an alarm, since the server counts microseconds.
const ROUND: u64 = 1_000;

/// Where a victim was when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It had not begun.
    Before,
    /// Here, its next instruction.
    At(u64),
    /// It had done everything, and may have ended by itself.
    After,
}

/// A kill.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// Where.
    pub place: Place,
    /// After how many requests of the operation.
    pub calls: u64,
    /// Whether this program woke when it meant to. Where it did, the victim made as many instructions of the operation as it
    /// was meant to; where the server was at work for the victim meanwhile, it did not.
    pub exact: bool,
}

/// What must be as it was after each kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Books {
    limit: u64,
    committed: u64,
    slots: u64,
    free: u64,
}

/// The one who kills.
pub struct Killer {
    books: Books,
    /// Ticks from setting an alarm to waking, by its delay; 0 where it is not known.
    waits: [u64; DELAYS],
    /// Kills so far.
    pub kills: u32,
}

fn books() -> Result<Books, Error> {
    let Stats {
        limit,
        committed,
        slots,
        ..
    } = served::stats()?;
    let free = statistics::memory()?.free;
    Ok(Books {
        limit,
        committed,
        slots,
        free,
    })
}

impl Killer {
    /// A killer who has not killed.
    pub fn new() -> Result<Killer, Error> {
        // What is made only once is made now.
        process::set_alarm(1_000)?;
        kmalloc::event::wait_for(kmalloc::Events::ALARM)?;
        Ok(Killer {
            books: books()?,
            waits: [0; DELAYS],
            kills: 0,
        })
    }

    /// Kills a victim that does this, so that `at` ticks pass between the operation's begin and this program's waking: a
    /// constant more than the instructions that the victim makes.
    pub fn kill(&mut self, operation: &Operation, at: u64) -> Result<Kill, Error> {
        let index = delay_for(at);
        let Some(&wait) = self.waits.get(index) else {
            return Err(Error::BadSize { size: at });
        };
        if wait > 0 {
            return self
                .shoot(operation, index, wait - at, wait)
                .map(|(kill, _)| kill);
        }
        // It waits for something that doesn't come before the alarm.
        let (_, wait) = self.shoot(operation, index, u64::MAX / 2, 0)?;
        self.waits[index] = wait;
        self.kill(operation, at)
    }

    /// Has it measured anew how late alarms are for kills at `at`: the server's microseconds shift against the ticks.
    pub fn measure_again(&mut self, at: u64) {
        if let Some(wait) = self.waits.get_mut(delay_for(at)) {
            *wait = 0;
        }
    }

    /// Starts a victim that begins `go` ticks after the alarm is set, and kills it when that rings, after `wait` ticks if all
    /// is well; and how many ticks it was.
    fn shoot(
        &mut self,
        operation: &Operation,
        delay: usize,
        go: u64,
        wait: u64,
    ) -> Result<(Kill, u64), Error> {
        let child = Child::start("victim", &[operation.name], Some(SHARE))?;
        let [calls, waits_from, waits_to, still] = gate::receive();
        gate::forget_signals();
        let start = (wait::ticks() / ROUND + 2) * ROUND;
        wait::until(start);
        process::set_alarm(DELAY_US * delay as u64)?;
        gate::answer_and_wait(start + go);
        let waited = wait::ticks() - start;
        child.kill()?;
        let ended = child.wait()?;
        self.kills += 1;
        self.check_books()?;
        let place = place_of(&ended, waits_from..=waits_to, still)?;
        let kill = Kill {
            place,
            calls: ended.calls - calls,
            exact: waited == wait,
        };
        Ok((kill, waited))
    }

    /// Kills a victim whose first request waits behind the one to kill it, so that it is never served.
    pub fn kill_queued(&mut self, operation: &Operation) -> Result<Ended, Error> {
        let child = Child::start("eager", &[operation.name], Some(SHARE))?;
        let [calls, ..] = gate::receive();
        child.kill()?;
        let ended = child.wait()?;
        self.kills += 1;
        self.check_books()?;
        if ended.calls != calls {
            println!("# its request was served: {ended:?}");
            return Err(Error::NotPermitted);
        }
        Ok(ended)
    }

    /// Whether everything is back, with this program and with the machine.
    fn check_books(&self) -> Result<(), Error> {
        let now = books()?;
        if now != self.books {
            println!("# books before: {:?}\n# books after: {now:?}", self.books);
            return Err(Error::NotPermitted);
        }
        Ok(())
    }
}

/// The alarm for kills at `at`.
fn delay_for(at: u64) -> usize {
    ((LEAD + at) / (DELAY_US * 1000) + 1) as usize
}

/// Where a victim ended that says where it waits and where it stands still.
fn place_of(ended: &Ended, waits: RangeInclusive<u64>, still: u64) -> Result<Place, Error> {
    let at = ended.instruction;
    match ended.cause {
        Cause::Killed if waits.contains(&at) => Ok(Place::Before),
        Cause::Killed if (still..=still + 2).contains(&at) => Ok(Place::After),
        Cause::Killed => Ok(Place::At(at)),
        // What it was doing ends it.
        Cause::Exit if ended.value == 7 => Ok(Place::After),
        Cause::VmFault => Ok(Place::After),
        _ => {
            println!("# a victim ended otherwise: {ended:?}");
            Err(Error::NotPermitted)
        }
    }
}
