// SPDX-License-Identifier: BSD-2-Clause
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Which of the kernel's faults ended a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// It invoked a capability that it doesn't have (written `cap`).
    Capability,
    /// It made a system call that the kernel doesn't have (`syscall`).
    UnknownSyscall,
    /// A processor exception, a division by zero, say (`exception`).
    UserException,
    /// It touched an address that isn't mapped, or not for that (`vm`).
    VirtualMemory,
    /// It used up its time (`timeout`; only kernels with scheduling contexts). In place of an address there are the
    /// microseconds that its thread ran.
    Timeout,
    /// A message on its fault endpoint that no kernel sends (`unknown`): it forged one.
    Unknown,
}

/// How a client ended. Its text is the `result` of the client's record in the serial output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It left by itself: `exit:STATUS`.
    Exit(i32),
    /// The kernel stopped it: `fault:KIND:ADDRESS:IP`, both in hexadecimal.
    Fault {
        /// Which fault.
        kind: FaultKind,
        /// The address that it touched; for other faults than those of memory, what the kernel reports in its place.
        address: u64,
        /// Where its instruction pointer stood.
        instruction: u64,
    },
    /// Another client had it killed: `killed`.
    Killed,
    /// It could not be started: `not-started:NUMBER`, the number of the server's error.
    NotStarted(u32),
    /// It was there when the system ended: `alive`.
    Alive,
}

/// How a client should end: `exit:STATUS`, `fault`, `fault:KIND`, `fault:KIND:ADDRESS`, `killed`,
/// `not-started:NUMBER` or `alive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expectation {
    /// With this status.
    Exit(i32),
    /// By a fault; `None` leaves kind or address open.
    Fault {
        /// Which fault.
        kind: Option<FaultKind>,
        /// At which address.
        address: Option<u64>,
    },
    /// By another client.
    Killed,
    /// It can't be started, with this number of an error.
    NotStarted(u32),
    /// Not at all.
    Alive,
}

/// The text names no way to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownOutcome;

impl Expectation {
    /// Whether `outcome` is what was expected. Of a longer address than 32 bits, the low ones will do: there is a kernel
    /// that reports no others.
    pub fn matches(&self, outcome: &Outcome) -> bool {
        match (*self, *outcome) {
            (Self::Exit(expected), Outcome::Exit(status)) => expected == status,
            (
                Self::Fault { kind, address },
                Outcome::Fault {
                    kind: found,
                    address: at,
                    ..
                },
            ) => {
                let is_there = |address: u64| address == at || address & u64::from(u32::MAX) == at;
                kind.is_none_or(|kind| kind == found) && address.is_none_or(is_there)
            }
            (Self::NotStarted(expected), Outcome::NotStarted(number)) => expected == number,
            (Self::Killed, Outcome::Killed) | (Self::Alive, Outcome::Alive) => true,
            _ => false,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Capability => "cap",
            Self::UnknownSyscall => "syscall",
            Self::UserException => "exception",
            Self::VirtualMemory => "vm",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
        })
    }
}

impl FromStr for FaultKind {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        match text {
            "cap" => Ok(Self::Capability),
            "syscall" => Ok(Self::UnknownSyscall),
            "exception" => Ok(Self::UserException),
            "vm" => Ok(Self::VirtualMemory),
            "timeout" => Ok(Self::Timeout),
            "unknown" => Ok(Self::Unknown),
            _ => Err(UnknownOutcome),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(formatter, "exit:{status}"),
            Self::Fault {
                kind,
                address,
                instruction,
            } => {
                write!(formatter, "fault:{kind}:{address:#x}:{instruction:#x}")
            }
            Self::Killed => formatter.write_str("killed"),
            Self::NotStarted(number) => write!(formatter, "not-started:{number}"),
            Self::Alive => formatter.write_str("alive"),
        }
    }
}

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        let mut parts = text.split(':');
        let outcome = match parts.next() {
            Some("exit") => Self::Exit(status(parts.next())?),
            Some("fault") => Self::Fault {
                kind: parts.next().ok_or(UnknownOutcome)?.parse()?,
                address: hexadecimal(parts.next().ok_or(UnknownOutcome)?)?,
                instruction: hexadecimal(parts.next().ok_or(UnknownOutcome)?)?,
            },
            Some("killed") => Self::Killed,
            Some("not-started") => Self::NotStarted(number(parts.next())?),
            Some("alive") => Self::Alive,
            _ => return Err(UnknownOutcome),
        };
        parts.next().map_or(Ok(outcome), |_| Err(UnknownOutcome))
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(formatter, "exit:{status}"),
            Self::Fault { kind, address } => {
                formatter.write_str("fault")?;
                kind.map_or(Ok(()), |kind| write!(formatter, ":{kind}"))?;
                address.map_or(Ok(()), |address| write!(formatter, ":{address:#x}"))
            }
            Self::Killed => formatter.write_str("killed"),
            Self::NotStarted(number) => write!(formatter, "not-started:{number}"),
            Self::Alive => formatter.write_str("alive"),
        }
    }
}

impl FromStr for Expectation {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        let mut parts = text.split(':');
        let expectation = match parts.next() {
            Some("exit") => Self::Exit(status(parts.next())?),
            Some("fault") => Self::Fault {
                kind: parts.next().map(str::parse).transpose()?,
                address: parts.next().map(hexadecimal).transpose()?,
            },
            Some("killed") => Self::Killed,
            Some("not-started") => Self::NotStarted(number(parts.next())?),
            Some("alive") => Self::Alive,
            _ => return Err(UnknownOutcome),
        };
        parts
            .next()
            .map_or(Ok(expectation), |_| Err(UnknownOutcome))
    }
}

impl fmt::Display for UnknownOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "not one of exit:STATUS, fault:KIND:ADDRESS, killed, not-started:NUMBER, alive \
             (KIND is cap, syscall, exception, vm, timeout or unknown; ADDRESS is hexadecimal with 0x)",
        )
    }
}

impl core::error::Error for UnknownOutcome {}

fn status(text: Option<&str>) -> Result<i32, UnknownOutcome> {
    text.and_then(|text| text.parse().ok())
        .ok_or(UnknownOutcome)
}

fn number(text: Option<&str>) -> Result<u32, UnknownOutcome> {
    text.and_then(|text| text.parse().ok())
        .ok_or(UnknownOutcome)
}

fn hexadecimal(text: &str) -> Result<u64, UnknownOutcome> {
    let digits = text.strip_prefix("0x").ok_or(UnknownOutcome)?;
    u64::from_str_radix(digits, 16).map_err(|_| UnknownOutcome)
}
