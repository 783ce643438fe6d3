// SPDX-License-Identifier: BSD-2-Clause
//! What came of an operation, and how it is written: a small letter for the error (`a`: none), and behind it the value in
//! hexadecimal, large letters, where it is not 0. Most take one byte.

use core::fmt;
use kmalloc_server::kernel::Refused;

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The kernel's error number, 0 for none, [`Outcome::FAULT`] for a thread that has faulted.
    pub code: u32,
    /// What was read, where something was; the reason and the place of a fault.
    pub value: u64,
}

impl Outcome {
    /// The code of a fault; the kernel has none as high.
    pub const FAULT: u32 = 20;
    /// The highest code that can be written.
    const CODE_MAX: u32 = 25;

    /// What an operation gave that gives something.
    pub fn of(result: Result<u64, Refused>) -> Outcome {
        match result {
            Ok(value) => Outcome { code: 0, value },
            Err(Refused { code }) => Outcome { code, value: 0 },
        }
    }

    /// Whether the kernel did it.
    pub fn is_done(self) -> bool {
        self.code == 0
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.value) {
            (0, 0) => write!(f, "done"),
            (0, value) => write!(f, "done, {value:#x}"),
            (Outcome::FAULT, value) => {
                let (reason, address) = (value >> 32, value as u32);
                write!(f, "a fault at ..{address:08x} for reason {reason}")
            }
            (code, _) => write!(f, "error {code}"),
        }
    }
}

/// Writes an outcome.
pub fn encode(outcome: Outcome, text: &mut impl fmt::Write) -> fmt::Result {
    let code = outcome.code.min(Outcome::CODE_MAX) as u8;
    text.write_char((b'a' + code) as char)?;
    match outcome.value {
        0 => Ok(()),
        value => write!(text, "{value:X}"),
    }
}

/// Reads the outcome at the beginning of a text; what follows it is given back too. `None`: there is none.
pub fn decode(text: &str) -> Option<(Outcome, &str)> {
    let first = *text.as_bytes().first()?;
    if !first.is_ascii_lowercase() {
        return None;
    }
    let rest = &text[1..];
    let digits = rest
        .find(|character: char| !character.is_ascii_digit() && !character.is_ascii_uppercase())
        .unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(digits);
    let value = match digits {
        "" => 0,
        digits => u64::from_str_radix(digits, 16).ok()?,
    };
    let code = u32::from(first - b'a');
    Some((Outcome { code, value }, rest))
}
