// SPDX-License-Identifier: BSD-2-Clause
use serde::{Deserialize, Serialize};

use crate::{
    CLIENTS_MAX, Client, ENDPOINTS_MAX, Error, PRIORITY_MAX, PROGRAMS_MAX, Program, Settings,
    is_name,
};

#[cfg(test)]
mod tests;

pub(crate) const MAGIC: [u8; 4] = *b"KMSY";
/// Goes up with every change of a record.
pub(crate) const VERSION: u16 = 4;

#[derive(Serialize, Deserialize)]
pub(crate) struct Header {
    pub magic: [u8; 4],
    pub version: u16,
    pub programs: u32,
    pub clients: u32,
    pub settings: Settings,
}

/// A checked system archive. The records stay where they are and are decoded anew by each walk over them.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    settings: Settings,
    programs: Programs<'a>,
    clients: Clients<'a>,
}

/// Walks over the programs of a [`System`], in the manifest's order.
#[derive(Clone, Copy, Debug)]
pub struct Programs<'a> {
    records: &'a [u8],
    left: u32,
}

/// Walks over the clients of a [`System`], in the manifest's order.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    records: &'a [u8],
    left: u32,
}

impl<'a> System<'a> {
    /// Reads and checks the whole archive, in time linear in its number of records: that no two names are equal is
    /// checked only when an archive is made.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, by index of the record. An archive that was cut off anywhere is refused.
    pub fn decode(archive: &'a [u8]) -> Result<Self, Error> {
        let (header, records) =
            postcard::take_from_bytes::<Header>(archive).map_err(|_| Error::NotAnArchive)?;
        if header.magic != MAGIC {
            return Err(Error::NotAnArchive);
        }
        if header.version != VERSION {
            return Err(Error::Version {
                found: header.version,
            });
        }
        if header.programs > PROGRAMS_MAX || header.clients > CLIENTS_MAX {
            return Err(Error::TooMany);
        }
        let programs = Programs {
            records,
            left: header.programs,
        };
        let clients = Clients {
            records: check_programs(programs)?,
            left: header.clients,
        };
        if !check_clients(clients, header.programs)?.is_empty() {
            return Err(Error::TrailingBytes);
        }
        Ok(Self {
            settings: header.settings,
            programs,
            clients,
        })
    }

    /// What holds for the whole system.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The programs, in the manifest's order.
    pub fn programs(&self) -> Programs<'a> {
        self.programs
    }

    /// The clients, in the manifest's order.
    pub fn clients(&self) -> Clients<'a> {
        self.clients
    }

    /// The program at `index`, as in [`Client::program`]. Walks over those before it.
    pub fn program(&self, index: u32) -> Option<Program<'a>> {
        self.programs().nth(index as usize)
    }
}

impl<'a> Iterator for Programs<'a> {
    type Item = Program<'a>;

    fn next(&mut self) -> Option<Program<'a>> {
        take(&mut self.records, &mut self.left)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl<'a> Iterator for Clients<'a> {
    type Item = Client<'a>;

    fn next(&mut self) -> Option<Client<'a>> {
        take(&mut self.records, &mut self.left)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Programs<'_> {}
impl ExactSizeIterator for Clients<'_> {}

/// The next of `left` records. In a checked archive `None` only comes after the last one.
fn take<'a, Record: Deserialize<'a>>(records: &mut &'a [u8], left: &mut u32) -> Option<Record> {
    *left = left.checked_sub(1)?;
    let (record, rest) = postcard::take_from_bytes(records).ok()?;
    *records = rest;
    Some(record)
}

/// What follows the last program.
fn check_programs(mut programs: Programs<'_>) -> Result<&[u8], Error> {
    for index in 0..programs.left {
        let program = programs.next().ok_or(Error::Program(index))?;
        if !is_name(program.name) {
            return Err(Error::ProgramName(index));
        }
    }
    Ok(programs.records)
}

/// What follows the last client.
fn check_clients(mut clients: Clients<'_>, program_count: u32) -> Result<&[u8], Error> {
    for index in 0..clients.left {
        let client = clients.next().ok_or(Error::Client(index))?;
        if !is_name(client.name) {
            return Err(Error::ClientName(index));
        }
        let texts = [client.arguments, client.starts, client.kills];
        if !texts.iter().all(|texts| texts.is_terminated()) || !client.devices.is_whole() {
            return Err(Error::Client(index));
        }
        if client.program >= program_count {
            return Err(Error::ClientProgram(index));
        }
        let endpoints = [client.serves, client.calls];
        if endpoints
            .into_iter()
            .flatten()
            .any(|endpoint| endpoint >= ENDPOINTS_MAX)
        {
            return Err(Error::Client(index));
        }
        if client.memory_reserved_bytes > client.memory_limit_bytes {
            return Err(Error::ClientReservation(index));
        }
        if !(1..=PRIORITY_MAX).contains(&client.priority) {
            return Err(Error::ClientPriority(index));
        }
        if client.budget.is_some_and(|budget| !budget.is_possible()) {
            return Err(Error::ClientBudget(index));
        }
    }
    Ok(clients.records)
}
