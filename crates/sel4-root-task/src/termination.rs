// SPDX-License-Identifier: BSD-2-Clause

use core::fmt;

/// What a main function may give back: only why it failed, for a root task has nobody to come back to.
pub trait Termination {
    /// Why it failed.
    type Error: fmt::Debug;

    /// Why it failed.
    fn report(self) -> Self::Error;
}

/// A type without values.
#[derive(Debug, Copy, Clone, PartialOrd, Ord, PartialEq, Eq, Hash)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Termination for Never {
    type Error = Never;

    fn report(self) -> Never {
        self
    }
}

impl<E: fmt::Debug> Termination for Result<Never, E> {
    type Error = E;

    fn report(self) -> E {
        match self {
            Err(error) => error,
        }
    }
}

/// What a function gives back, as a type: the way to name `!` in a place where stable Rust has no `!`.
pub trait Function {
    /// What it gives back.
    type Output;
}

impl<T> Function for fn() -> T {
    type Output = T;
}

impl Termination for <fn() -> ! as Function>::Output {
    type Error = Never;

    fn report(self) -> Never {
        self
    }
}
