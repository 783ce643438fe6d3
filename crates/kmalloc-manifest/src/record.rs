// SPDX-License-Identifier: BSD-2-Clause
use serde::{Deserialize, Serialize};

use crate::Expectation;

/// What holds for the whole system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Free bytes below which memory counts as short; `None` leaves it to the server.
    pub pressure_mark_bytes: Option<u64>,
}

/// A program that clients run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program<'a> {
    /// Its name, unique among the programs; see [`is_name`](crate::is_name).
    pub name: &'a str,
    /// The whole ELF file: ELF64, x86-64, static, checked by the host tool. Not aligned in memory.
    pub elf: &'a [u8],
}

/// A client: one run of a program in an address space of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client<'a> {
    /// Its name, unique among the clients; see [`is_name`](crate::is_name).
    pub name: &'a str,
    /// Index of its program among [`System::programs`](crate::System::programs).
    pub program: u32,
    /// What the program finds as its arguments.
    pub arguments: Texts<'a>,
    /// Priority of its thread, 1 to [`PRIORITY_MAX`](crate::PRIORITY_MAX).
    pub priority: u8,
    /// How much time each of its threads has; `None`: it takes turns with the others of its priority.
    pub budget: Option<Budget>,
    /// Most bytes of memory that may be charged to it at any time.
    pub memory_limit_bytes: u64,
    /// Bytes of that which are set aside for it from its start; at most all of them.
    pub memory_reserved_bytes: u64,
    /// Most capabilities that the server may hold for it; `None`: what its memory limit asks for.
    pub slot_limit: Option<u32>,
    /// Whether the root task starts it after boot; if not, only another client can.
    pub start: bool,
    /// Whether it serves the others: when they have all ended, its notification tells it to end too.
    pub service: bool,
    /// The endpoint between clients that it receives on, by number.
    pub serves: Option<u8>,
    /// The endpoint between clients that it calls, by number.
    pub calls: Option<u8>,
    /// The PCI functions that it may have.
    pub devices: Devices<'a>,
    /// Whether the server may move its pages to make room for contiguous memory.
    pub movable: bool,
    /// How it should end.
    pub expect: Expectation,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// How often it is started again at the most.
    pub restarts_max: u16,
    /// Names of clients that it may start; those wait with `start` false.
    pub starts: Texts<'a>,
    /// Names of clients that it may end, besides its own children.
    pub kills: Texts<'a>,
    /// How many children it may have at once.
    pub children_max: u16,
    /// Whether each of its ends is reported, or only how many there were.
    pub report: Report,
    /// Bytes that the client finds mapped read-only when it starts (a trace, say); may be empty. Not aligned.
    pub data: &'a [u8],
}

/// What happens when a client fails: by a fault, by being killed, or with another exit status than 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// Nothing: it stays dead.
    #[default]
    Leave,
    /// It is started again, a while later.
    Restart,
    /// All others are ended, and the system with them.
    Stop,
}

/// How ends of a client are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// A record for each.
    #[default]
    Each,
    /// One record at the end of the system, with their numbers.
    Count,
}

/// Time for a thread, on kernels with scheduling contexts; others pay no attention to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Microseconds that it may run in each period.
    pub budget_us: u32,
    /// Microseconds of a period.
    pub period_us: u32,
}

impl Budget {
    /// Whether a thread could run: there is some time, and no more than all.
    pub fn is_possible(&self) -> bool {
        (1..=self.period_us).contains(&self.budget_us)
    }
}

/// A list of kinds of PCI functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices<'a>(&'a [u8]);

impl<'a> Devices<'a> {
    /// The list that `packed` holds: for each vendor and device, in two bytes each, the lower one first. `None` if the last
    /// one is cut off.
    pub fn new(packed: &'a [u8]) -> Option<Self> {
        let devices = Self(packed);
        devices.is_whole().then_some(devices)
    }

    /// Vendors and devices.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16)> + Clone + use<'a> {
        self.0.chunks_exact(4).filter_map(|packed| {
            let [a, b, c, d] = *packed else { return None };
            Some((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
        })
    }

    /// A decoded list has been through no constructor.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.len().is_multiple_of(4)
    }
}

/// A list of texts, each ended by a NUL byte as C programs want them; no text contains one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts<'a>(&'a str);

impl<'a> Texts<'a> {
    /// The list that `terminated` holds: the texts one after another, each with a NUL after it. `None` if the last
    /// one has none.
    pub fn new(terminated: &'a str) -> Option<Self> {
        let texts = Self(terminated);
        texts.is_terminated().then_some(texts)
    }

    /// The texts in order, without their NUL.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.0.split_terminator('\0')
    }

    /// All texts as they lie in memory, each with its NUL.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0.as_bytes()
    }

    /// A decoded list has been through no constructor.
    pub(crate) fn is_terminated(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('\0')
    }
}
