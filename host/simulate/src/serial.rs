// SPDX-License-Identifier: BSD-2-Clause
//! What the root task writes to the serial port, one record a line.
use std::collections::BTreeMap;

use kmalloc_manifest::Outcome;
use serde::Serialize;

#[cfg(test)]
mod tests;

/// A line of the serial output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// `name| text`: a line that a client printed.
    Client(&'a str, &'a str),
    /// `# text`: the server's log.
    Log(&'a str),
    /// `@boot …`.
    Boot(Boot),
    /// `@client …`.
    Ended(Ended),
    /// `@ends …`.
    Counted(Counted),
    /// `@stopped …`: the failure of this client stops the system.
    Stopped(String),
    /// `@books …`.
    Books(Books),
    /// `@end …`: nothing comes after it.
    End(End),
    /// A record that this tool has no use for.
    Unknown(&'a str),
    /// A record of a known kind that lacks a field or has a wrong one; which one.
    Malformed(String),
    /// Any other line: a debug kernel prints some.
    Other(&'a str),
}

/// What the server found at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// The kernel's version.
    pub kernel: String,
    /// The kernel's variant.
    pub variant: String,
    /// Bytes of memory that the kernel gave.
    pub memory: u64,
    /// Untypeds that they came in.
    pub untypeds: u64,
}

/// How a client ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The client.
    pub name: String,
    /// Its program.
    pub program: String,
    /// What happened to it.
    pub outcome: Outcome,
    /// Calls that it made.
    pub calls: u64,
    /// Most bytes that it had at any time.
    pub peak: u64,
    /// Bytes of blocks that it had not freed.
    pub held: u64,
}

/// How often a client ended of which not each end is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The client.
    pub name: String,
    /// Ends by exit, with whatever status.
    pub exits: u64,
    /// Ends by a fault.
    pub faults: u64,
    /// Ends by being killed.
    pub kills: u64,
    /// Starts that failed.
    pub not_started: u64,
}

impl Counted {
    /// All ends.
    pub const fn count(&self) -> u64 {
        self.exits + self.faults + self.kills + self.not_started
    }
}

/// Where all bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Bytes that can be given out.
    pub free: u64,
    /// Bytes that clients have.
    pub committed: u64,
    /// Bytes that the server has for itself.
    pub server: u64,
    /// What boot gave.
    pub total: u64,
    /// Whether the server found its books right.
    pub balanced: bool,
}

/// The end sentinel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The server's own verdict.
    pub passed: bool,
}

/// Reads a line, without its line end.
pub fn parse(line: &str) -> Record<'_> {
    if let Some(record) = line.strip_prefix('@') {
        return parse_record(record);
    }
    if let Some(text) = line.strip_prefix('#') {
        return Record::Log(text.strip_prefix(' ').unwrap_or(text));
    }
    match line.split_once('|') {
        Some((name, text)) if kmalloc_manifest::is_name(name) => {
            Record::Client(name, text.strip_prefix(' ').unwrap_or(text))
        }
        _ => Record::Other(line),
    }
}

fn parse_record(record: &str) -> Record<'_> {
    let (kind, fields) = record.split_once(' ').unwrap_or((record, ""));
    let fields = Fields::of(fields);
    let parsed = match kind {
        "boot" => boot(&fields).map(Record::Boot),
        "client" => ended(&fields).map(Record::Ended),
        "ends" => counted(&fields).map(Record::Counted),
        "stopped" => fields.text("by").map(|by| Record::Stopped(by.into())),
        "books" => books(&fields).map(Record::Books),
        "end" => fields
            .flag("passed")
            .map(|passed| Record::End(End { passed })),
        _ => return Record::Unknown(record),
    };
    parsed.unwrap_or_else(|field| Record::Malformed(format!("@{kind} without a right `{field}`")))
}

/// The fields of a record; its errors are the names of fields.
struct Fields<'a> {
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            values: text
                .split_whitespace()
                .filter_map(|word| word.split_once('='))
                .collect(),
        }
    }

    fn text(&self, field: &'static str) -> Result<&'a str, &'static str> {
        self.values.get(field).copied().ok_or(field)
    }

    fn parse<T: std::str::FromStr>(&self, field: &'static str) -> Result<T, &'static str> {
        self.text(field)?.parse().map_err(|_| field)
    }

    fn flag(&self, field: &'static str) -> Result<bool, &'static str> {
        self.parse(field)
    }
}

fn boot(fields: &Fields) -> Result<Boot, &'static str> {
    Ok(Boot {
        kernel: fields.text("kernel")?.into(),
        variant: fields.text("variant")?.into(),
        memory: fields.parse("memory")?,
        untypeds: fields.parse("untypeds")?,
    })
}

fn ended(fields: &Fields) -> Result<Ended, &'static str> {
    Ok(Ended {
        name: fields.text("name")?.into(),
        program: fields.text("program")?.into(),
        outcome: fields.parse("result")?,
        calls: fields.parse("calls")?,
        peak: fields.parse("peak")?,
        held: fields.parse("held")?,
    })
}

fn counted(fields: &Fields) -> Result<Counted, &'static str> {
    Ok(Counted {
        name: fields.text("name")?.into(),
        exits: fields.parse("exits")?,
        faults: fields.parse("faults")?,
        kills: fields.parse("kills")?,
        not_started: fields.parse("not_started")?,
    })
}

fn books(fields: &Fields) -> Result<Books, &'static str> {
    Ok(Books {
        free: fields.parse("free")?,
        committed: fields.parse("committed")?,
        server: fields.parse("server")?,
        total: fields.parse("total")?,
        balanced: fields.flag("balanced")?,
    })
}
