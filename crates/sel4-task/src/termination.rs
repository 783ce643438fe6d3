// SPDX-License-Identifier: BSD-2-Clause

use core::fmt;

/// What a main function may give back.
pub trait Termination {
    /// The status to exit with.
    fn report(self) -> u8;
}

impl Termination for () {
    fn report(self) -> u8 {
        0
    }
}

impl Termination for u8 {
    fn report(self) -> u8 {
        self
    }
}

impl<T: Termination, E: fmt::Debug> Termination for Result<T, E> {
    fn report(self) -> u8 {
        match self {
            Ok(value) => value.report(),
            Err(error) => {
                crate::print(format_args!("error: {error:?}\n"));
                1
            }
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
    fn report(self) -> u8 {
        self
    }
}
