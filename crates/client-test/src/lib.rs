// SPDX-License-Identifier: BSD-2-Clause
//! Named tests inside a client, reported as TAP for the host tool to count.
//!
//! After each test the server must still answer, and the client must hold what it held before.
#![no_std]

use core::fmt::Debug;
use kmalloc::served;

/// What a check found wrong; it has been printed already.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// What was checked.
    pub what: &'static str,
    /// Where.
    pub line: u32,
}

/// The result of a test.
pub type Outcome = Result<(), Failed>;

/// A named test.
pub type Test = (&'static str, fn() -> Outcome);

/// Goes on if `$condition` holds, else ends the test.
#[macro_export]
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return Err($crate::Failed {
                what: stringify!($condition),
                line: line!(),
            });
        }
    };
}

/// Goes on if both are equal, else prints them and ends the test.
#[macro_export]
macro_rules! check_eq {
    ($left:expr, $right:expr) => {
        $crate::compare(&$left, &$right, stringify!($left == $right), line!())?
    };
}

/// The value of a success; an error is printed and ends the test.
#[macro_export]
macro_rules! ok {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err($crate::refused(&error, stringify!($result), line!())),
        }
    };
}

/// Compares for [`check_eq!`].
#[doc(hidden)]
pub fn compare<L: PartialEq<R> + Debug, R: Debug>(
    left: &L,
    right: &R,
    what: &'static str,
    line: u32,
) -> Outcome {
    if left == right {
        return Ok(());
    }
    kmalloc::println!("# left:  {left:?}\n# right: {right:?}");
    Err(Failed { what, line })
}

/// Reports an error for [`ok!`].
#[doc(hidden)]
pub fn refused(error: &dyn Debug, what: &'static str, line: u32) -> Failed {
    kmalloc::println!("# error: {error:?}");
    Failed { what, line }
}

/// Runs the tests in order; how many failed.
pub fn run(tests: &[Test]) -> u8 {
    kmalloc::println!("1..{}", tests.len());
    let mut failed = 0;
    for (index, (name, test)) in tests.iter().enumerate() {
        let number = index + 1;
        match run_one(*test) {
            Ok(()) => kmalloc::println!("ok {number} - {name}"),
            Err(Failed { what, line }) => {
                kmalloc::println!("not ok {number} - {name}: line {line}: {what}");
                failed += 1;
            }
        }
    }
    failed
}

fn run_one(test: fn() -> Outcome) -> Outcome {
    let before = ok!(served::stats());
    test()?;
    let after = ok!(served::stats());
    check_eq!(after.blocks, before.blocks);
    check_eq!(after.block_bytes, before.block_bytes);
    check_eq!(after.dma_bytes, before.dma_bytes);
    check!(after.committed <= after.limit);
    Ok(())
}

/// Prints what the program has cost the server so far.
pub fn print_figures() {
    match served::stats() {
        Ok(stats) => kmalloc::println!(
            "# {} calls of the server, at most {} KiB of {} KiB",
            stats.calls,
            stats.committed_peak / 1024,
            stats.limit / 1024
        ),
        Err(error) => kmalloc::println!("# no figures: {error:?}"),
    }
}
