// SPDX-License-Identifier: BSD-2-Clause
//! The whole server with many clients, honest, buggy and hostile, on a model of the kernel that fails now and then.
//!
//! A [`Scenario`] is a list of [`Operation`]s, made from a seed or from any bytes. A [`Run`] carries it out against a
//! trivial [`model`] of what each client must have, and after each operation [`scan()`] derives from the kernel's state alone
//! who has what, and compares that with the server's books. What a run does depends on its scenario alone. When one fails,
//! [`shrink()`] makes its scenario smaller while it fails at the same place, and the rest can be written down and read
//! back.
//!
//! Failures are panics, so that each check says what it has seen; [`check()`] catches them.
#![forbid(unsafe_code)]

mod campaign;
mod check;
pub mod model;
mod operation;
mod random;
mod run;
mod scan;
mod scenario;
mod serving;
mod shrink;
pub mod system;

pub use campaign::{Campaign, Failed};
pub use check::{Failure, check, check_with, narrate};
pub use operation::{Operation, What};
pub use random::Random;
pub use run::{Counts, Run};
pub use scan::scan;
pub use scenario::{MACHINES, ParseError, Scenario};
pub use serving::{note_allocation, serving};
pub use shrink::shrink;
