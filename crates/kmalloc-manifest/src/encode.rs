// SPDX-License-Identifier: BSD-2-Clause
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::system::{Header, MAGIC, VERSION};
use crate::{Client, Error, Program, Settings, System};

/// The archive of a system.
///
/// # Errors
///
/// What [`System::decode`] would refuse the archive for, and names that are there twice.
pub fn encode(
    settings: Settings,
    programs: &[Program<'_>],
    clients: &[Client<'_>],
) -> Result<Vec<u8>, Error> {
    if let Some(index) = first_repeated(programs.iter().map(|program| program.name)) {
        return Err(Error::ProgramName(index));
    }
    if let Some(index) = first_repeated(clients.iter().map(|client| client.name)) {
        return Err(Error::ClientName(index));
    }
    let count = |length: usize| u32::try_from(length).map_err(|_| Error::TooMany);
    let header = Header {
        magic: MAGIC,
        version: VERSION,
        programs: count(programs.len())?,
        clients: count(clients.len())?,
        settings,
    };
    let mut archive = postcard::to_extend(&header, Vec::new()).map_err(|_| Error::TooMany)?;
    for (index, program) in (0..).zip(programs) {
        archive = postcard::to_extend(program, archive).map_err(|_| Error::Program(index))?;
    }
    for (index, client) in (0..).zip(clients) {
        archive = postcard::to_extend(client, archive).map_err(|_| Error::Client(index))?;
    }
    System::decode(&archive)?;
    Ok(archive)
}

fn first_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<u32> {
    let mut seen = BTreeSet::new();
    (0..)
        .zip(names)
        .find_map(|(index, name)| (!seen.insert(name)).then_some(index))
}
