// SPDX-License-Identifier: BSD-2-Clause

use core::ops::{BitAnd, BitOr};

use crate::Word;
use crate::sys::{constants, size};

/// How a mapping is cached.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct VmAttributes(Word);

impl VmAttributes {
    /// No attribute.
    pub const NONE: Self = Self(0);
    /// Cached, written back.
    pub const DEFAULT: Self = Self::of(constants::seL4_X86_Default_VMAttributes);
    /// Not cached.
    pub const CACHE_DISABLED: Self = Self::of(constants::seL4_X86_CacheDisabled);

    const fn of(constant: i64) -> Self {
        Self(size(constant) as Word)
    }

    /// The attributes with this number.
    pub const fn from_inner(inner: Word) -> Self {
        Self(inner)
    }

    /// The number.
    pub const fn into_inner(self) -> Word {
        self.0
    }

    /// Whether any attribute of `other` is among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Default for VmAttributes {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl BitOr for VmAttributes {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for VmAttributes {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
