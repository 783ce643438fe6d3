// SPDX-License-Identifier: BSD-2-Clause
//! Seeded random sequences of kernel operations, which run on the model of the kernel (`fake-kernel`) and on seL4 itself, so
//! that one can be held against the other.
//!
//! Both sides run this very code: the host over the model, a root task of its own over the server's implementation of
//! [`Kernel`] on seL4. A sequence is decided by its seed and by the results so far, so it is the same on both sides until the
//! first result that differs; what comes after that says nothing.
//!
//! What the operations work on is an [arena] of eight mebibytes and the slots for everything that can be made of them.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod arena;
mod belief;
mod generator;
mod invent;
mod operation;
mod outcome;
mod pick;
mod random;
mod recipes;

pub use generator::{Generator, Theme};
pub use operation::Operation;
pub use outcome::{Outcome, decode, encode};

use kmalloc_server::kernel::{Kernel, Refused, Slot};
use kmalloc_server::physical::{Large, Page};

/// Seeds of the default tests: from 0 on.
pub const SEEDS_DEFAULT: u64 = 800;
/// Seeds of the long tests.
pub const SEEDS_LONG: u64 = 20_000;

/// Objects that one retype makes at the most, unless the kernel's `RETYPE_FAN_OUT_LIMIT` is another.
pub const RETYPE_MAX: usize = 256;

/// A release of the kernel, as far as releases differ in what the operations give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// 5.0.0.
    Five,
    /// 13.0.0 to 16.0.0.
    Thirteen,
    /// The same, MCS.
    ThirteenMcs,
}

impl Release {
    /// All of them.
    pub const ALL: [Release; 3] = [Release::Five, Release::Thirteen, Release::ThirteenMcs];

    /// What the root task that runs the sequences calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Release::Five => "5",
            Release::Thirteen => "13",
            Release::ThirteenMcs => "13-mcs",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Release> {
        Release::ALL
            .into_iter()
            .find(|release| release.name() == name)
    }
}

/// What a thread does at an address, a multiple of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads a word.
    Read,
    /// It writes this word.
    Write(u64),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// The word that is there now.
    Word(u64),
    /// A fault.
    Fault {
        /// Where: the low half of the address, since 5.0.0 says no more.
        address: u32,
        /// Why, as the processor has it: bit 0 for a page that is there, bit 1 for a write.
        reason: u8,
    },
}

/// A kernel that sequences run on: what the server asks of it, and what it takes to see what came of that. Looking changes
/// nothing. Slots and pages are the kernel's own here, not those of a sequence.
pub trait Subject {
    /// The kernel.
    type Kernel: Kernel;

    /// The kernel.
    fn kernel(&mut self) -> &mut Self::Kernel;
    /// The first large page of the arena.
    fn first_large(&self) -> Large;
    /// Where a frame begins, in bytes from the arena's own first.
    fn frame_address(&mut self, frame: Slot) -> Result<u64, Refused>;
    /// [`digest`] of what is in a frame of 4 KiB.
    fn digest(&mut self, frame: Slot) -> Result<u64, Refused>;
    /// Has a thread of an address space touch it.
    fn touch(&mut self, space: Page, address: usize, access: Access) -> Result<Touched, Refused>;
}

/// A number for the contents of a page, 0 for one of zeros.
pub fn digest(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0, |sum, word| {
        (sum.rotate_left(7) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// Runs the sequence of a seed; `tell` sees each step.
pub fn run<S: Subject>(
    generator: &mut Generator,
    subject: &mut S,
    seed: u64,
    mut tell: impl FnMut(usize, &Operation, Outcome),
) {
    generator.begin(seed);
    let mut step = 0;
    while let Some(operation) = generator.next_operation() {
        let outcome = operation.perform(subject);
        generator.learn(&operation, outcome);
        tell(step, &operation, outcome);
        step += 1;
    }
}

#[cfg(test)]
mod tests;
