// SPDX-License-Identifier: BSD-2-Clause
//! Every `u64` of a message begins at a whole word, so that it travels in a register of its own. These serialise a `u64`
//! behind as many zero bytes as that takes; when they come in, they must be zero.

use core::fmt;
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserializer, Serializer};

/// A `u64` behind `ZEROS` zero bytes.
struct Padded<const ZEROS: usize>;

impl<const ZEROS: usize> Padded<ZEROS> {
    /// All that it takes in a message.
    const BYTES: usize = ZEROS + 8;

    fn serialize<S: Serializer>(value: u64, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(Self::BYTES)?;
        for _ in 0..ZEROS {
            tuple.serialize_element(&0u8)?;
        }
        for byte in value.to_le_bytes() {
            tuple.serialize_element(&byte)?;
        }
        tuple.end()
    }
}

impl<'de, const ZEROS: usize> Visitor<'de> for Padded<ZEROS> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ZEROS} zero bytes and a u64")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<u64, A::Error> {
        let mut next = |index| {
            bytes
                .next_element::<u8>()?
                .ok_or_else(|| A::Error::invalid_length(index, &"more bytes"))
        };
        let mut padding = 0;
        for index in 0..ZEROS {
            padding |= next(index)?;
        }
        let mut value = [0; 8];
        for (index, byte) in value.iter_mut().enumerate() {
            *byte = next(ZEROS.saturating_add(index))?;
        }
        if padding != 0 {
            return Err(A::Error::custom("padding that is not zero"));
        }
        Ok(u64::from_le_bytes(value))
    }
}

/// A module for serde's `with`.
macro_rules! after {
    ($name:ident, $zeros:literal) => {
        pub(crate) mod $name {
            use super::{Deserializer, Padded, Serializer};

            pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
                Padded::<$zeros>::serialize(*value, serializer)
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<u64, D::Error> {
                deserializer.deserialize_tuple(Padded::<$zeros>::BYTES, Padded::<$zeros>)
            }
        }
    };
}

/// `u32`s of fixed width, one behind the other.
pub(crate) mod counts {
    use super::{Deserializer, Error, SeqAccess, SerializeTuple, Serializer, Visitor, fmt};

    struct Counts<const COUNT: usize>;

    impl<const COUNT: usize> Counts<COUNT> {
        /// All that they take in a message.
        const BYTES: usize = 4 * COUNT;
    }

    impl<'de, const COUNT: usize> Visitor<'de> for Counts<COUNT> {
        type Value = [u32; COUNT];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{COUNT} u32")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<[u32; COUNT], A::Error> {
            let mut counts = [0; COUNT];
            for (index, count) in counts.iter_mut().enumerate() {
                let mut value = [0; 4];
                for byte in &mut value {
                    *byte = bytes
                        .next_element()?
                        .ok_or_else(|| A::Error::invalid_length(index, &"more bytes"))?;
                }
                *count = u32::from_le_bytes(value);
            }
            Ok(counts)
        }
    }

    pub fn serialize<S: Serializer, const COUNT: usize>(
        counts: &[u32; COUNT],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(Counts::<COUNT>::BYTES)?;
        for byte in counts.iter().flat_map(|count| count.to_le_bytes()) {
            tuple.serialize_element(&byte)?;
        }
        tuple.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const COUNT: usize>(
        deserializer: D,
    ) -> Result<[u32; COUNT], D::Error> {
        deserializer.deserialize_tuple(Counts::<COUNT>::BYTES, Counts::<COUNT>)
    }
}

after!(after3, 3);
after!(after4, 4);
after!(after6, 6);
after!(after7, 7);
