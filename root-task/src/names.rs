// SPDX-License-Identifier: BSD-2-Clause
//! Which manifest entry each place of the server's registry has, and how often clients of each entry have ended.

use alloc::vec;
use alloc::vec::Vec;
use kmalloc_server::client::{CLIENTS_MAX, End};
use kmalloc_server::kernel::ClientIndex;

/// A place in the registry.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The entry of the client that has it, or had it and is being taken back.
    entry: Option<usize>,
    alive: bool,
    /// How that client ended, once it has.
    end: Option<End>,
}

/// Ends of clients of one entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// By exit, with whatever status.
    pub exits: u64,
    /// By a fault.
    pub faults: u64,
    /// By being killed.
    pub kills: u64,
    /// Before they ran.
    pub not_started: u64,
}

impl Ends {
    /// All of them.
    pub const fn count(&self) -> u64 {
        self.exits + self.faults + self.kills + self.not_started
    }
}

/// Who is who.
pub struct Names {
    places: Vec<Place>,
    ends: Vec<Ends>,
    /// Clients that are alive, or about to be.
    alive: usize,
}

impl Names {
    /// Nobody yet, of so many entries.
    pub fn new(entries: usize) -> Names {
        Names {
            places: vec![Place::default(); CLIENTS_MAX],
            ends: vec![Ends::default(); entries],
            alive: 0,
        }
    }

    /// A client of an entry has begun.
    pub fn begin(&mut self, client: ClientIndex, entry: usize) {
        if let Some(place) = self.places.get_mut(client.index()) {
            *place = Place {
                entry: Some(entry),
                alive: true,
                end: None,
            };
            self.alive += 1;
        }
    }

    /// A client has ended; its entry.
    pub fn end(&mut self, client: ClientIndex, end: &End) -> Option<usize> {
        let place = self.places.get_mut(client.index())?;
        self.alive -= usize::from(core::mem::take(&mut place.alive));
        place.end = Some(*end);
        let ends = self.ends.get_mut(place.entry?)?;
        *match end {
            End::Exit { .. } => &mut ends.exits,
            End::Fault(_) => &mut ends.faults,
            End::Killed => &mut ends.kills,
            End::NotStarted(_) => &mut ends.not_started,
        } += 1;
        place.entry
    }

    /// Everything that a client had is back: its entry, and how it ended.
    pub fn gone(&mut self, client: ClientIndex) -> Option<(usize, End)> {
        let place = core::mem::take(self.places.get_mut(client.index())?);
        place.entry.zip(place.end)
    }

    /// The entry of the client in a place.
    pub fn entry(&self, client: ClientIndex) -> Option<usize> {
        self.places.get(client.index())?.entry
    }

    /// How often clients of an entry have ended.
    pub fn ends(&self, entry: usize) -> Ends {
        self.ends.get(entry).copied().unwrap_or_default()
    }

    /// How many clients are alive.
    pub fn alive(&self) -> usize {
        self.alive
    }

    /// The clients that are alive, with their entries.
    pub fn all_alive(&self) -> impl Iterator<Item = (ClientIndex, usize)> + '_ {
        let places = self.places.iter().enumerate();
        places
            .filter(|(_, place)| place.alive)
            .filter_map(|(index, place)| Some((ClientIndex(index as u16), place.entry?)))
    }
}
