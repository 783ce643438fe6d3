// SPDX-License-Identifier: BSD-2-Clause
//! Names of requests and errors by their numbers, for people. They are read off the types, so there is no list of them.

use crate::message::{BYTES_MAX, decode_request, decode_response};
use core::fmt::{self, Debug, Display, Write};

/// Bytes of the longest name that is shown whole.
const NAME_BYTES_MAX: usize = 32;

/// The request with this number in a message. Shown by its name, and by the number where no request has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestName(pub u8);

/// The error with this [`number`](crate::Error::number). Shown by its name, and by the number where no error has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorName(pub u32);

impl Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With all fields 0; how many words it has is found by trying.
        let mut bytes = [0; 64];
        bytes[0] = self.0;
        match (8..=bytes.len())
            .step_by(8)
            .find_map(|length| decode_request(bytes.get(..length)?).ok())
        {
            Some(request) => f.pad(Head::of(&request).as_str()),
            None => Display::fmt(&self.0, f),
        }
    }
}

impl Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; BYTES_MAX];
        bytes[0] = 1;
        for wire in 0..=u8::MAX {
            bytes[1] = wire;
            match decode_response(&bytes) {
                Some(Err(error)) if error.number() == self.0 => {
                    return f.pad(Head::of(&error).as_str());
                }
                Some(_) => {}
                None => break,
            }
        }
        Display::fmt(&self.0, f)
    }
}

/// The first word of how a value is shown for debugging, which is its variant's name.
struct Head {
    bytes: [u8; NAME_BYTES_MAX],
    length: usize,
}

impl Head {
    fn of(value: &impl Debug) -> Head {
        let mut head = Head {
            bytes: [0; NAME_BYTES_MAX],
            length: 0,
        };
        // It is refused at the end of the word, and of nothing else.
        let _ = write!(head, "{value:?}");
        head
    }

    fn as_str(&self) -> &str {
        let name = self.bytes.get(..self.length).unwrap_or_default();
        core::str::from_utf8(name).unwrap_or_default()
    }
}

impl Write for Head {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match self.bytes.get_mut(self.length) {
                Some(place) if byte.is_ascii_alphanumeric() => *place = byte,
                _ => return Err(fmt::Error),
            }
            self.length = self.length.saturating_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn requests_and_errors_have_their_names() {
        assert_eq!(RequestName(0).to_string(), "Kmalloc");
        assert_eq!(RequestName(8).to_string(), "Stats");
        assert_eq!(RequestName(255).to_string(), "255");
        assert_eq!(ErrorName(7).to_string(), "OverQuota");
        assert_eq!(ErrorName(9999).to_string(), "9999");
    }

    #[test]
    fn names_fill_a_column() {
        assert_eq!(std::format!("{:<8}|", RequestName(4)), "Kfree   |");
        assert_eq!(std::format!("{:>4}|", RequestName(255)), " 255|");
    }
}
