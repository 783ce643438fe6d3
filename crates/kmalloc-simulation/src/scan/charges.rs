// SPDX-License-Identifier: BSD-2-Clause
//! The scanner's part about charges: what each client has is what it is charged for.
//!
//! Nearly everything says whose it is. Two things do not always: a chunk of tables that were never hooked in, or are no
//! more; and the ledger of a segment over which several of the dead have tables left. These are somebody's whom they
//! make the charges right of.

use super::shared::clients_by_space;
use fake_kernel::{FakeKernel, Kind};
use kmalloc_protocol::window::Window;
use kmalloc_server::Server;
use kmalloc_server::client::{CLIENTS_MAX, Life};
use kmalloc_server::kernel::{ClientIndex, Slot};
use kmalloc_server::physical::{CHUNK_PAGES, Chunk, ChunkForm, Page};
use std::collections::BTreeMap;

fn life(server: &Server<FakeKernel>, client: ClientIndex) -> Option<Life> {
    server.client(client).map(|account| account.life)
}

/// Who has a table or a large frame in which segment.
#[derive(Default)]
pub struct Segments {
    claims: BTreeMap<u32, Vec<ClientIndex>>,
}

impl Segments {
    /// A client has one over an address. A segment of the windows belongs to one client that is alive, in whichever
    /// window; tables of those that have ended may outlast their segments.
    pub fn claim(&mut self, server: &Server<FakeKernel>, address: usize, client: ClientIndex) {
        let Some(window) = Window::of(address) else {
            return;
        };
        let segment = ((address - window.base()) >> 21) as u32;
        let claims = self.claims.entry(segment).or_default();
        claims.push(client);
        let alive = claims.iter();
        let alive = alive.filter(|claim| life(server, **claim) == Some(Life::Alive));
        assert!(alive.count() <= 1, "segment {segment} is mapped twice");
    }

    /// Those one of whom a segment is. What was in it may have gone back before its ledger, of one that has ended.
    ///
    /// # Panics
    /// When it is nobody's.
    pub fn owners(&self, server: &Server<FakeKernel>, segment: u32) -> Vec<ClientIndex> {
        let is = |client: &ClientIndex, wanted| life(server, *client) == Some(wanted);
        let claims = self.claims.get(&segment).cloned().unwrap_or_default();
        if let Some(owner) = claims.iter().find(|claim| is(claim, Life::Alive)) {
            return vec![*owner];
        }
        let places = (0..CLIENTS_MAX as u16).map(ClientIndex);
        let ending = places.filter(|client| is(client, Life::Ending));
        let owners = match claims.is_empty() {
            true => ending.collect(),
            false => claims,
        };
        assert!(
            !owners.is_empty(),
            "segment {segment} has a ledger and no table"
        );
        owners
    }
}

/// Pages by client.
#[derive(Default)]
pub struct Charges {
    sure: BTreeMap<ClientIndex, usize>,
    /// Frames of ledgers, each of them of one of several clients.
    ledgers: Vec<(Vec<ClientIndex>, usize)>,
    /// Chunks that do not say whose they are.
    chunks: usize,
}

impl Charges {
    /// A client has so many pages more.
    pub fn add(&mut self, client: ClientIndex, pages: usize) {
        *self.sure.entry(client).or_default() += pages;
    }

    /// Pages that a client has beyond doubt.
    pub fn of(&self, client: ClientIndex) -> usize {
        self.sure.get(&client).copied().unwrap_or(0)
    }

    /// One of these clients has so many pages of a ledger.
    pub fn add_ledger(&mut self, owners: Vec<ClientIndex>, frames: usize) {
        match *owners {
            [owner] => self.add(owner, frames),
            _ => self.ledgers.push((owners, frames)),
        }
    }

    /// The chunks of kernel objects. A chunk tells whose it is by a thread in it or a table that was ever hooked in.
    pub fn add_chunks(&mut self, server: &Server<FakeKernel>) {
        let (kernel, physical) = (server.kernel(), server.physical());
        let tables = owners_of_tables(server);
        for chunk in (0..(physical.page_capacity() / CHUNK_PAGES) as u32).map(Chunk) {
            if physical.chunk_form(chunk) != ChunkForm::Objects {
                continue;
            }
            let chunk_kind = kernel.capability(Slot::Chunk(chunk)).map(|it| &it.kind);
            let Some(Kind::Untyped { children, .. }) = chunk_kind else {
                panic!("{chunk:?} is no untyped");
            };
            let mut owners = children.iter().filter_map(|child| match child {
                Slot::Client(client, _) => Some(*client),
                Slot::Page(page) => tables.get(page).copied(),
                _ => None,
            });
            match owners.next() {
                Some(owner) => {
                    let other = owners.find(|other| *other != owner);
                    assert_eq!(other, None, "{chunk:?} has objects of {owner:?} too");
                    self.add(owner, CHUNK_PAGES);
                }
                None => self.chunks += 1,
            }
        }
    }

    /// Every client is charged for exactly what it has. `held` frames are mapped nowhere and not free: start pages of
    /// clients that are being built.
    ///
    /// # Panics
    /// When one is not, or something is nobody's.
    pub fn check(&mut self, server: &Server<FakeKernel>, held: usize) {
        let ledgers = std::mem::take(&mut self.ledgers);
        if !ledgers.is_empty() && self.find_owners(server, held, &ledgers) {
            return;
        }
        for (owners, frames) in ledgers {
            self.add(owners[0], frames);
        }
        let (mut chunks, mut pages) = (0, 0);
        for (client, charge) in &self.sure {
            let more = missing(server, *client, *charge);
            let (more_chunks, more_pages) = more.unwrap_or_else(|| wrong(server, *client, *charge));
            chunks += more_chunks;
            pages += more_pages;
        }
        assert_eq!(
            chunks, self.chunks,
            "chunks of objects that nobody is charged for, or that are not there"
        );
        assert_eq!(
            pages, held,
            "frames that nobody has mapped and nobody is charged for"
        );
    }

    /// Whether everything is right when the ledgers are one or another's.
    fn find_owners(
        &mut self,
        server: &Server<FakeKernel>,
        held: usize,
        ledgers: &[(Vec<ClientIndex>, usize)],
    ) -> bool {
        let Some(((owners, frames), others)) = ledgers.split_first() else {
            let mut sums = (0, 0);
            for (client, charge) in &self.sure {
                let Some((chunks, pages)) = missing(server, *client, *charge) else {
                    return false;
                };
                sums = (sums.0 + chunks, sums.1 + pages);
            }
            return sums == (self.chunks, held);
        };
        owners.iter().any(|owner| {
            self.add(*owner, *frames);
            let found = self.find_owners(server, held, others);
            self.sure.entry(*owner).and_modify(|pages| *pages -= frames);
            found
        })
    }
}

/// Chunks, and a start page, that a client is charged for beyond what it has; `None` where it can be neither.
fn missing(
    server: &Server<FakeKernel>,
    client: ClientIndex,
    charge: usize,
) -> Option<(usize, usize)> {
    let account = server.client(client)?;
    let missing = account.committed_pages.checked_sub(charge)?;
    match missing % CHUNK_PAGES {
        0 => Some((missing / CHUNK_PAGES, 0)),
        1 if matches!(account.life, Life::Building | Life::Ending) => {
            Some((missing / CHUNK_PAGES, 1))
        }
        _ => None,
    }
}

fn wrong(server: &Server<FakeKernel>, client: ClientIndex, charge: usize) -> ! {
    let committed = server.client(client).map(|account| account.committed_pages);
    panic!(
        "{client:?} is charged right? It has {charge} pages, or chunks more, and is charged for {committed:?}"
    );
}

/// Whose tables stand in which pages. Where a table stood once says nothing: the root of that address space may be
/// another's by now.
fn owners_of_tables(server: &Server<FakeKernel>) -> BTreeMap<Page, ClientIndex> {
    let clients = clients_by_space(server);
    let mut owners = BTreeMap::new();
    for (root, space) in server.kernel().spaces() {
        if let Some(client) = clients.get(&root) {
            owners.insert(root, *client);
            owners.extend(space.tables().map(|(_, _, table)| (table, *client)));
        }
    }
    owners
}
