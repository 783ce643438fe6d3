// SPDX-License-Identifier: BSD-2-Clause
//! Failures: those that a test plans, and those that the rules demand.

use kmalloc_server::kernel::Refused;

/// seL4's error numbers.
pub mod code {
    /// An argument has a value that is not allowed.
    pub const INVALID_ARGUMENT: u32 = 1;
    /// The capability is not of the kind, or not in the state, that the call is for.
    pub const INVALID_CAPABILITY: u32 = 2;
    /// A number is outside its range.
    pub const RANGE_ERROR: u32 = 4;
    /// An address is not aligned.
    pub const ALIGNMENT_ERROR: u32 = 5;
    /// A table is missing on the way.
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
    failed: Option<&'static str>,
}

impl FailurePlan {
    pub(crate) fn arm(&mut self, nth: u64, code: u32) {
        self.at = Some((self.calls + nth, code));
        self.failed = None;
    }

    pub(crate) fn disarm(&mut self) -> Option<&'static str> {
        self.at = None;
        self.failed.take()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// Counts a fallible call; an error where it is the one.
    pub(crate) fn step(&mut self, call: &'static str) -> Result<(), Refused> {
        self.calls += 1;
        match self.at {
            Some((at, code)) if at == self.calls => {
                self.failed = Some(call);
                Err(Refused { code })
            }
            _ => Ok(()),
        }
    }
}
