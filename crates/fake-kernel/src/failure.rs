// SPDX-License-Identifier: BSD-2-Clause
//! Failures: those that a test plans, and those that the rules demand.

use kmalloc_server::kernel::Refused;

/// seL4's error numbers.
pub mod code {
    /// An argument has a value that is not allowed.
    pub const INVALID_ARGUMENT: u32 = 1;
    /// There is no capability, or it is not in the state that the call is for.
    pub const INVALID_CAPABILITY: u32 = 2;
    /// The capability is of a kind that knows no such call.
    pub const ILLEGAL_OPERATION: u32 = 3;
    /// A number is outside its range.
    pub const RANGE_ERROR: u32 = 4;
    /// An address is not aligned.
    pub const ALIGNMENT_ERROR: u32 = 5;
    /// A table is missing on the way, or the capability to be copied.
    pub const FAILED_LOOKUP: u32 = 6;
    /// The destination is occupied.
    pub const DELETE_FIRST: u32 = 8;
    /// The untyped is used up.
    pub const NOT_ENOUGH_MEMORY: u32 = 10;
}

/// A call that the rules refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The call.
    pub call: &'static str,
    /// seL4's error number.
    pub code: u32,
    /// What is wrong with it.
    pub reason: String,
}

/// Which call is to fail.
#[derive(Debug, Default)]
pub(crate) struct FailurePlan {
    calls: u64,
    /// The number of the call that fails, and with what.
    at: Option<(u64, u32)>,
    /// What decides by itself which calls fail, and with what they do.
    seeded: Option<(Dice, u32)>,
    failed: Option<&'static str>,
}

/// Which calls take time.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    plan: Option<(Dice, u64)>,
}

impl Delays {
    pub(crate) fn arm(&mut self, seed: u64, one_in: u32, max_us: u64) {
        self.plan = (max_us > 0).then(|| (Dice::new(seed, one_in), max_us));
    }

    /// The microseconds that the next call takes.
    pub(crate) fn step(&mut self) -> u64 {
        match &mut self.plan {
            Some((dice, max_us)) => dice.throw().map_or(0, |word| 1 + word % *max_us),
            None => 0,
        }
    }
}

/// Something that happens now and then, by a seed.
#[derive(Debug)]
struct Dice {
    state: u64,
    one_in: u64,
}

impl Dice {
    fn new(seed: u64, one_in: u32) -> Dice {
        let one_in = u64::from(one_in.max(1));
        // Xorshift must not begin at 0.
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Dice { state, one_in }
    }

    /// Some word, when it happens.
    fn throw(&mut self) -> Option<u64> {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let word = self.state >> 8;
        word.is_multiple_of(self.one_in).then(|| word / self.one_in)
    }
}

impl FailurePlan {
    pub(crate) fn arm(&mut self, nth: u64, code: u32) {
        self.at = Some((self.calls + nth, code));
        self.failed = None;
    }

    pub(crate) fn arm_seeded(&mut self, seed: u64, one_in: u32, code: u32) {
        self.seeded = Some((Dice::new(seed, one_in), code));
        self.failed = None;
    }

    pub(crate) fn disarm(&mut self) -> Option<&'static str> {
        self.at = None;
        self.seeded = None;
        self.failed.take()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// Counts a fallible call; an error where it is the one.
    pub(crate) fn step(&mut self, call: &'static str) -> Result<(), Refused> {
        self.calls += 1;
        let planned = self.at.filter(|(at, _)| *at == self.calls);
        let thrown = match &mut self.seeded {
            Some((dice, code)) => dice.throw().map(|_| *code),
            None => None,
        };
        match planned.map(|(_, code)| code).or(thrown) {
            Some(code) => {
                self.failed = Some(call);
                Err(Refused { code })
            }
            None => Ok(()),
        }
    }
}
