// SPDX-License-Identifier: BSD-2-Clause
//! From the first instruction of an operation to the last.

use crate::killer::{Kill, Killer, Place};
use crate::operations::Operation;
use kmalloc::Error;

/// Most points that are told apart in an operation.
const POINTS_MAX: usize = 1024;
/// Ticks before which no operation begins, and by which the first has begun.
const EARLY: u64 = 1_000;
const LATE: u64 = 120_000;
/// The longest step over what makes no difference.
const STEP_MAX: u64 = 1 << 16;

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Swept {
    /// Different instructions that the victim was killed at, by their addresses and the requests that it had made.
    pub points: usize,
    /// Different instructions by their addresses alone.
    pub addresses: usize,
    /// Ticks from its first instruction to its end, the server's and the kernel's among them.
    pub ticks: u64,
    /// Requests that it makes.
    pub requests: u64,
}

/// Times that a kill is repeated whose alarm came at another time than it was known to.
const AGAIN_MAX: usize = 3;

/// Different numbers.
struct Set {
    slots: [u64; POINTS_MAX],
    count: usize,
}

impl Set {
    const fn new() -> Set {
        Set {
            slots: [0; POINTS_MAX],
            count: 0,
        }
    }

    /// Adds one that is not 0, while there is room.
    fn add(&mut self, number: u64) {
        let mut slot = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> 20;
        for _ in 0..POINTS_MAX {
            slot = (slot + 1) % POINTS_MAX;
            match self.slots[slot] {
                0 => {
                    self.slots[slot] = number;
                    self.count += 1;
                    return;
                }
                taken if taken == number => return,
                _ => {}
            }
        }
    }
}

/// An operation that is swept.
pub struct Sweep<'a> {
    killer: &'a mut Killer,
    operation: &'a Operation,
    points: Set,
    addresses: Set,
}

impl<'a> Sweep<'a> {
    /// Nothing has been done yet.
    pub fn new(killer: &'a mut Killer, operation: &'a Operation) -> Sweep<'a> {
        Sweep {
            killer,
            operation,
            points: Set::new(),
            addresses: Set::new(),
        }
    }

    /// Kills at `at`; a few times over where the alarm comes at another time than it is known to.
    fn kill(&mut self, at: u64) -> Result<Kill, Error> {
        let mut kill = self.kill_once(at)?;
        for _ in 0..AGAIN_MAX {
            if kill.exact {
                break;
            }
            self.killer.measure_again(at);
            kill = self.kill_once(at)?;
        }
        Ok(kill)
    }

    fn kill_once(&mut self, at: u64) -> Result<Kill, Error> {
        let kill = self.killer.kill(self.operation, at)?;
        if let Place::At(address) = kill.place {
            self.points.add(address << 16 | kill.calls);
            self.addresses.add(address);
        }
        Ok(kill)
    }

    /// When the operation begins: the first tick at which the victim no longer waits.
    fn begin(&mut self, guess: u64) -> Result<u64, Error> {
        let (mut before, mut begun) = (EARLY, LATE);
        for _ in 0..2 {
            if guess > 0 {
                let is_before = self.kill(guess - 1)?.place == Place::Before;
                let has_begun = self.kill(guess)?.place != Place::Before;
                if is_before && has_begun {
                    return Ok(guess);
                }
                self.killer.measure_again(guess);
            }
        }
        while begun - before > 1 {
            let middle = before + (begun - before) / 2;
            if self.kill(middle)?.place == Place::Before {
                before = middle;
            } else {
                begun = middle;
            }
        }
        Ok(begun)
    }

    /// Kills at every `stride`th instruction; where the victim waits for the server, only as often as is needed to find the next
    /// one. `begin` is when the operation before this one began, or 0.
    pub fn run(mut self, stride: u64, begin: &mut u64) -> Result<Swept, Error> {
        *begin = self.begin(*begin)?;
        let key = |kill: &Kill| (kill.place, kill.calls);
        let mut at = *begin;
        let mut last = self.kill(at)?;
        let mut step = stride;
        while last.place != Place::After {
            let mut next = self.kill(at + step)?;
            if key(&next) == key(&last) {
                at += step;
                step = (2 * step).min(STEP_MAX);
                continue;
            }
            // The first that is different.
            let (mut same, mut other) = (at, at + step);
            while step > stride && other - same > 1 {
                let middle = same + (other - same) / 2;
                let kill = self.kill(middle)?;
                if key(&kill) == key(&last) {
                    same = middle;
                } else {
                    (other, next) = (middle, kill);
                }
            }
            (at, last, step) = (other, next, stride);
        }
        Ok(Swept {
            points: self.points.count,
            addresses: self.addresses.count,
            ticks: at - *begin,
            requests: last.calls,
        })
    }
}
