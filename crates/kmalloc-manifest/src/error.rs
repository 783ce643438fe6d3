// SPDX-License-Identifier: BSD-2-Clause
use core::fmt;

/// Why an archive was refused. Indices count from 0, in the order of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes don't begin as an archive does.
    NotAnArchive,
    /// The archive was written in another version of the format.
    Version {
        /// The version that the archive states.
        found: u16,
    },
    /// More programs or clients than [`PROGRAMS_MAX`](crate::PROGRAMS_MAX) or [`CLIENTS_MAX`](crate::CLIENTS_MAX).
    TooMany,
    /// The record of this program is cut off or malformed.
    Program(u32),
    /// The record of this client is cut off or malformed.
    Client(u32),
    /// The name of this program is no name, or another program has it already.
    ProgramName(u32),
    /// The name of this client is no name, or another client has it already.
    ClientName(u32),
    /// This client runs a program that the archive doesn't have.
    ClientProgram(u32),
    /// The priority of this client is 0 or above [`PRIORITY_MAX`](crate::PRIORITY_MAX).
    ClientPriority(u32),
    /// The budget of this client is 0 or longer than its period.
    ClientBudget(u32),
    /// More memory is reserved for this client than it may have.
    ClientReservation(u32),
    /// Bytes follow the last record.
    TrailingBytes,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnArchive => write!(formatter, "not a system archive"),
            Self::Version { found } => write!(
                formatter,
                "the archive has format {found}, this program reads format {}",
                crate::system::VERSION
            ),
            Self::TooMany => write!(
                formatter,
                "more programs or clients than an archive may have"
            ),
            Self::Program(index) => write!(formatter, "program {index} is cut off or malformed"),
            Self::Client(index) => write!(formatter, "client {index} is cut off or malformed"),
            Self::ProgramName(index) => {
                write!(formatter, "program {index} has a bad or repeated name")
            }
            Self::ClientName(index) => {
                write!(formatter, "client {index} has a bad or repeated name")
            }
            Self::ClientProgram(index) => {
                write!(formatter, "client {index} runs a program that is not there")
            }
            Self::ClientPriority(index) => {
                write!(formatter, "client {index} has a priority out of range")
            }
            Self::ClientBudget(index) => {
                write!(
                    formatter,
                    "client {index} has a budget of no time, or of more than its period"
                )
            }
            Self::ClientReservation(index) => {
                write!(
                    formatter,
                    "client {index} reserves more memory than its limit"
                )
            }
            Self::TrailingBytes => write!(formatter, "bytes follow the last client"),
        }
    }
}

impl core::error::Error for Error {}
