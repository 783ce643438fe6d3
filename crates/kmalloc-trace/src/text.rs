// SPDX-License-Identifier: BSD-2-Clause
//! One line of the text form. What only several lines together can have wrong is checked by `compile`.
use core::fmt;

use crate::BLOCK_BYTES_MAX;

#[cfg(test)]
mod tests;

/// An operation as a line of text names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// `a ID SIZE`.
    Allocate {
        /// Name of the block.
        id: u64,
        /// Bytes, 1 to [`BLOCK_BYTES_MAX`].
        size: u64,
    },
    /// `z ID NMEMB SIZE`.
    AllocateZeroed {
        /// Name of the block.
        id: u64,
        /// Number of elements, at least 1.
        count: u64,
        /// Bytes of one element; the product is at most [`BLOCK_BYTES_MAX`].
        size: u64,
    },
    /// `r ID SIZE`.
    Resize {
        /// Name of the block.
        id: u64,
        /// Bytes, 1 to [`BLOCK_BYTES_MAX`].
        size: u64,
    },
    /// `f ID`.
    Free {
        /// Name of the block.
        id: u64,
    },
}

/// What is wrong with a line by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// The line begins with something else than `a`, `z`, `r` or `f`.
    UnknownOperation,
    /// A number is missing; the form that the operation has.
    Missing(&'static str),
    /// Something follows the last number; the form that the operation has.
    Surplus(&'static str),
    /// A field is no decimal number of 64 bits.
    NotANumber,
    /// The size, or NMEMB × SIZE, is above [`BLOCK_BYTES_MAX`] or overflows.
    TooLarge,
}

/// Reads one line, without its line end. `None` for an empty line or one that is only a comment.
///
/// # Errors
///
/// What is wrong with the line.
pub fn parse_line(line: &str) -> Result<Option<Line>, LineError> {
    let content = line.split('#').next().unwrap_or_default();
    let mut words = content.split_ascii_whitespace();
    let Some(operation) = words.next() else {
        return Ok(None);
    };
    let form = match operation {
        "a" => "a ID SIZE",
        "z" => "z ID NMEMB SIZE",
        "r" => "r ID SIZE",
        "f" => "f ID",
        _ => return Err(LineError::UnknownOperation),
    };
    let mut number = || number(words.next().ok_or(LineError::Missing(form))?);
    let id = number()?;
    let line = match operation {
        "a" => Line::Allocate {
            id,
            size: block_size(1, number()?)?,
        },
        "r" => Line::Resize {
            id,
            size: block_size(1, number()?)?,
        },
        "z" => {
            let (count, size) = (number()?, number()?);
            block_size(count, size)?;
            Line::AllocateZeroed { id, count, size }
        }
        _ => Line::Free { id },
    };
    match words.next() {
        None => Ok(Some(line)),
        Some(_) => Err(LineError::Surplus(form)),
    }
}

/// Digits only: `u64::from_str` would take a sign too.
fn number(word: &str) -> Result<u64, LineError> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| word.parse().ok())
        .flatten()
        .ok_or(LineError::NotANumber)
}

fn block_size(count: u64, size: u64) -> Result<u64, LineError> {
    match count.checked_mul(size) {
        Some(bytes) if bytes <= BLOCK_BYTES_MAX => Ok(bytes),
        _ => Err(LineError::TooLarge),
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOperation => {
                formatter.write_str("unknown operation; a line begins with a, z, r or f")
            }
            Self::Missing(form) => write!(formatter, "a number is missing; the form is `{form}`"),
            Self::Surplus(form) => write!(formatter, "too many words; the form is `{form}`"),
            Self::NotANumber => formatter.write_str("not a decimal number of 64 bits"),
            Self::TooLarge => {
                write!(
                    formatter,
                    "size overflow: more than {BLOCK_BYTES_MAX} bytes in one block"
                )
            }
        }
    }
}

impl core::error::Error for LineError {}
