// SPDX-License-Identifier: BSD-2-Clause
//! Amounts of memory as people write them.
use std::str::FromStr;

/// An amount of memory in bytes; written as a number, with K, M or G (or KiB, MiB, GiB) for powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// The text is no amount of memory.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of memory; write 65536, 64K, 64KiB, 512M or 4G")]
pub struct NotASize;

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim_start() {
            "" | "B" => 0,
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            _ => return Err(NotASize),
        };
        let number: u64 = number.parse().map_err(|_| NotASize)?;
        number.checked_mul(1 << shift).map(Self).ok_or(NotASize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("64K", 65536),
            ("64 KiB", 65536),
            ("512M", 512 << 20),
            ("1MiB", 1 << 20),
            ("8GiB", 8 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn rubbish_is_refused() {
        for text in [
            "",
            "M",
            "-1",
            "1.5G",
            "1MB",
            "1T",
            "1m",
            "99999999999999999999",
            "18014398509481984K",
        ] {
            assert_eq!(text.parse::<Size>(), Err(NotASize), "{text}");
        }
    }
}
