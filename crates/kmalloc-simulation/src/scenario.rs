// SPDX-License-Identifier: BSD-2-Clause
//! A whole run as it is written down: the machine, and what happens.

use crate::operation::{OPERATION_BYTES, Operation, What};
use crate::random::Random;
use std::fmt;
use std::str::FromStr;

/// Untypeds as boot gives them: physical address, log2 of the bytes.
type Ram = &'static [(u64, u32)];

/// The machines of the runs, so small that memory of every form runs out.
pub const MACHINES: &[Ram] = &[
    // One large page, chunks, pages: 2.5 MiB.
    &[(0x120_0000, 21), (0x140_0000, 19), (0x148_2000, 13)],
    // Two large pages and little else.
    &[(0x100_0000, 22), (0x140_0000, 16), (0x141_2000, 13)],
    // Four of them, a chunk, pages.
    &[(0x100_0000, 23), (0x180_0000, 16), (0x181_2000, 13)],
    // Chunks alone: 1.5 MiB, room for few.
    &[(0x110_0000, 20), (0x120_0000, 19)],
];

/// Operations in a run that a seed makes.
const LENGTH: u64 = 1500;

/// What a run is a function of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Which of [`MACHINES`].
    pub machine: u8,
    /// Whether the server's work is done only when an operation says so; else at once.
    pub lazy: bool,
    /// Whether the kernel has scheduling contexts.
    pub mcs: bool,
    /// What happens.
    pub operations: Vec<Operation>,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn from_seed(seed: u64) -> Scenario {
        let mut random = Random(seed);
        let machine = [0, 0, 0, 1, 1, 2, 3, 3][random.below(8) as usize];
        let (lazy, mcs) = (random.one_in(3), random.one_in(4));
        let length = LENGTH / 2 + random.below(LENGTH);
        let operations = (0..length).map(|_| Operation::random(&mut random));
        Scenario {
            machine,
            lazy,
            mcs,
            operations: operations.collect(),
        }
    }

    /// The scenario that any bytes are: one for the machine, then eight for each operation; what is left over is nothing.
    pub fn from_bytes(bytes: &[u8]) -> Scenario {
        let (head, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let (operations, _) = rest.as_chunks::<OPERATION_BYTES>();
        Scenario {
            machine: head & 3,
            lazy: head & 4 != 0,
            mcs: head & 8 != 0,
            operations: operations
                .iter()
                .map(|bytes| Operation::from_bytes(*bytes))
                .collect(),
        }
    }

    /// Bytes that [`Scenario::from_bytes`] makes it of.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = self.machine & 3 | u8::from(self.lazy) << 2 | u8::from(self.mcs) << 3;
        let operations = self.operations.iter();
        let mut bytes = vec![head];
        bytes.extend(operations.flat_map(|operation| operation.to_bytes()));
        bytes
    }

    /// What boot gives.
    pub fn ram(&self) -> Ram {
        MACHINES[usize::from(self.machine) % MACHINES.len()]
    }
}

/// One line for the machine, one for each operation: what, who, choice, amount.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |flag, word| if flag { word } else { "" };
        let (lazy, mcs) = (word(self.lazy, " lazy"), word(self.mcs, " mcs"));
        writeln!(f, "machine {}{lazy}{mcs}", self.machine)?;
        for operation in &self.operations {
            let Operation {
                what,
                who,
                choice,
                amount,
            } = operation;
            writeln!(f, "{} {who} {choice} {amount}", what.name())?;
        }
        Ok(())
    }
}

/// A line that is none of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Its number, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParseError { line, text } = self;
        write!(
            f,
            "line {line}, `{text}`, is neither `machine NUMBER [lazy] [mcs]` nor `OPERATION WHO CHOICE AMOUNT`"
        )
    }
}

impl std::error::Error for ParseError {}

/// What [`Scenario`] displays; empty lines, and what stands behind a `#`, are passed over.
impl FromStr for Scenario {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Scenario, ParseError> {
        let mut scenario = Scenario {
            machine: 0,
            lazy: false,
            mcs: false,
            operations: Vec::new(),
        };
        for (index, whole) in text.lines().enumerate() {
            let line = whole.split('#').next().unwrap_or_default();
            let words = line.split_whitespace().collect::<Vec<_>>();
            if words.is_empty() {
                continue;
            }
            let read = scenario.read(&words);
            read.ok_or_else(|| ParseError {
                line: index + 1,
                text: whole.trim().to_string(),
            })?;
        }
        Ok(scenario)
    }
}

impl Scenario {
    /// Reads one line; `None` where it is none.
    fn read(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["machine", machine, flags @ ..] => {
                self.machine = machine.parse().ok()?;
                for flag in flags {
                    match *flag {
                        "lazy" => self.lazy = true,
                        "mcs" => self.mcs = true,
                        _ => return None,
                    }
                }
                usize::from(self.machine).lt(&MACHINES.len()).then_some(())
            }
            [name, who, choice, amount] => {
                let what = What::ALL.iter().find(|what| what.name() == *name)?;
                self.operations.push(Operation {
                    what: *what,
                    who: who.parse().ok()?,
                    choice: choice.parse().ok()?,
                    amount: amount.parse().ok()?,
                });
                Some(())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
