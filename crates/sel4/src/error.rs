// SPDX-License-Identifier: BSD-2-Clause

use core::{fmt, result};

use crate::Word;
use crate::sys::constants;

/// What an invocation gives.
pub type Result<T> = result::Result<T, Error>;

/// Why the kernel refused an invocation.
#[derive(Debug, Clone, Copy, Eq, PartialEq)]
pub enum Error {
    /// An argument has a value that it must not have.
    InvalidArgument,
    /// A capability is missing or of the wrong type.
    InvalidCapability,
    /// The object can't do this, or not now.
    IllegalOperation,
    /// An argument is out of range.
    RangeError,
    /// An address is not aligned.
    AlignmentError,
    /// A slot or paging structure on the way is missing.
    FailedLookup,
    /// The message is too short.
    TruncatedMessage,
    /// The destination is occupied.
    DeleteFirst,
    /// The object is still in use.
    RevokeFirst,
    /// The untyped is too small.
    NotEnoughMemory,
}

impl Error {
    /// The kernel's number of the error.
    pub const fn into_sys(self) -> u32 {
        let number = match self {
            Self::InvalidArgument => constants::seL4_InvalidArgument,
            Self::InvalidCapability => constants::seL4_InvalidCapability,
            Self::IllegalOperation => constants::seL4_IllegalOperation,
            Self::RangeError => constants::seL4_RangeError,
            Self::AlignmentError => constants::seL4_AlignmentError,
            Self::FailedLookup => constants::seL4_FailedLookup,
            Self::TruncatedMessage => constants::seL4_TruncatedMessage,
            Self::DeleteFirst => constants::seL4_DeleteFirst,
            Self::RevokeFirst => constants::seL4_RevokeFirst,
            Self::NotEnoughMemory => constants::seL4_NotEnoughMemory,
        };
        number as u32
    }

    /// The error with the kernel's number; `None` for the number that says that there is none.
    ///
    /// # Panics
    ///
    /// If the kernel has no such error.
    pub fn from_sys(number: u32) -> Option<Self> {
        (number != constants::seL4_NoError as u32).then(|| Self::from_label(number.into()))
    }

    /// The error with which the kernel labelled its answer.
    ///
    /// # Panics
    ///
    /// If the kernel has no such error.
    #[cold]
    pub(crate) fn from_label(label: Word) -> Self {
        match label as i64 {
            constants::seL4_InvalidArgument => Self::InvalidArgument,
            constants::seL4_InvalidCapability => Self::InvalidCapability,
            constants::seL4_IllegalOperation => Self::IllegalOperation,
            constants::seL4_RangeError => Self::RangeError,
            constants::seL4_AlignmentError => Self::AlignmentError,
            constants::seL4_FailedLookup => Self::FailedLookup,
            constants::seL4_TruncatedMessage => Self::TruncatedMessage,
            constants::seL4_DeleteFirst => Self::DeleteFirst,
            constants::seL4_RevokeFirst => Self::RevokeFirst,
            constants::seL4_NotEnoughMemory => Self::NotEnoughMemory,
            unknown => panic!("seL4_Error {unknown} is not known"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "seL4_Error: {self:?}")
    }
}

impl core::error::Error for Error {}
