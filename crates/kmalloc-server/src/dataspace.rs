// SPDX-License-Identifier: BSD-2-Clause
//! Dataspaces: whole pages that several clients can have mapped. This is the maker's side; see `attach` for the other.
//!
//! The frames stay charged to the maker until the last one lets go, even where the maker has died: its place in the
//! registry is kept for as long. What the server keeps of a dataspace is one place in a table of fixed size.
//!
//! A dataspace is on one list of one client at the most: while its maker holds it, on the maker's; when nobody holds it or
//! has it attached, on that of the dead client that gives its pages back, page by page.

use crate::Server;
use crate::bits::BitSet;
use crate::client::Life;
use crate::kernel::{ClientIndex, Kernel};
use crate::memory::{PageInfo, Role, bytes};
use crate::physical::Page;
use crate::region::region_pages;
use alloc::vec;
use alloc::vec::Vec;
use kmalloc_bucket::ledger::NONE;
use kmalloc_protocol::{Error, Reply, Response};

/// Dataspaces that there can be at once.
pub const DATASPACES_MAX: usize = 1024;
/// Dataspaces that one client can have made and that are still there, so that no client takes them all.
pub const DATASPACES_OF_CLIENT_MAX: u16 = 64;
/// Clients that a dataspace can be shared with.
pub const RECIPIENTS_MAX: usize = 8;

const INDEX_BITS: u32 = DATASPACES_MAX.ilog2();

/// A client that a dataspace is shared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its handle; 0 is nobody's.
    pub handle: u64,
    /// Whether it may write.
    pub writable: bool,
}

/// A dataspace.
#[derive(Clone, Copy, Debug)]
pub struct Dataspace {
    /// The number of its birth, never used twice; 0 where there is no dataspace.
    pub serial: u64,
    /// Who made it and is charged for it.
    pub maker: ClientIndex,
    /// Whether the maker has not let go of it.
    pub held: bool,
    /// Who may attach it besides the maker.
    pub recipients: [Recipient; RECIPIENTS_MAX],
    /// The first of its pages, in the order of their offsets.
    pub first: u32,
    /// How many pages it has.
    pub pages: u32,
    /// How many copies of the capabilities of its frames there are.
    pub copies: u32,
    next: u32,
    previous: u32,
}

impl Dataspace {
    const VACANT: Dataspace = Dataspace {
        serial: 0,
        maker: ClientIndex(u16::MAX),
        held: false,
        recipients: [Recipient {
            handle: 0,
            writable: false,
        }; RECIPIENTS_MAX],
        first: NONE,
        pages: 0,
        copies: 0,
        next: NONE,
        previous: NONE,
    };
}

/// All dataspaces.
#[derive(Debug)]
pub(crate) struct Dataspaces {
    places: Vec<Dataspace>,
    vacant: BitSet,
    /// The number of the last one's birth.
    serial: u64,
}

impl Dataspaces {
    pub(crate) fn new() -> Dataspaces {
        let mut vacant = BitSet::new(DATASPACES_MAX);
        vacant.insert_range(0..DATASPACES_MAX);
        Dataspaces {
            places: vec![Dataspace::VACANT; DATASPACES_MAX],
            vacant,
            serial: 0,
        }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Dataspace> {
        self.places.get(index as usize)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Dataspace> {
        self.places.get_mut(index as usize)
    }

    /// Those that there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Dataspace> {
        self.places.iter().filter(|place| place.serial != 0)
    }

    /// A new one without pages, at the head of its maker's list, which begins at `head`; `None` where the table is full.
    fn open(&mut self, maker: ClientIndex, head: &mut u32) -> Option<u32> {
        let index = self.vacant.first()? as u32;
        self.vacant.remove(index as usize);
        self.serial += 1;
        let serial = self.serial;
        *self.get_mut(index)? = Dataspace {
            serial,
            maker,
            held: true,
            ..Dataspace::VACANT
        };
        self.link(index, head);
        Some(index)
    }

    fn close(&mut self, index: u32) {
        if let Some(place) = self.get_mut(index) {
            *place = Dataspace::VACANT;
            self.vacant.insert(index as usize);
        }
    }

    fn link(&mut self, index: u32, head: &mut u32) {
        let next = core::mem::replace(head, index);
        if let Some(old_head) = self.get_mut(next) {
            old_head.previous = index;
        }
        if let Some(place) = self.get_mut(index) {
            (place.next, place.previous) = (next, NONE);
        }
    }

    fn unlink(&mut self, index: u32, head: &mut u32) {
        let Some(place) = self.get_mut(index) else {
            return;
        };
        let (previous, next) = (place.previous, place.next);
        (place.next, place.previous) = (NONE, NONE);
        match self.get_mut(previous) {
            Some(before) => before.next = next,
            None => *head = next,
        }
        if let Some(after) = self.get_mut(next) {
            after.previous = previous;
        }
    }
}

/// Whether a client that says `writable` wants to write.
pub(crate) fn check_access(writable: u8) -> Result<bool, Error> {
    match writable {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::BadFlags {
            unknown: u32::from(other) & !1,
        }),
    }
}

impl<K: Kernel> Server<K> {
    /// The dataspaces that there are.
    pub fn dataspaces(&self) -> impl Iterator<Item = &Dataspace> {
        self.dataspaces.iter()
    }

    /// The frames of a dataspace, in the order of their offsets.
    pub fn pages_of(&self, dataspace: &Dataspace) -> impl Iterator<Item = Page> {
        let mut next = dataspace.first;
        (0..dataspace.pages).map(move |_| {
            let page = Page(next);
            next = self.info(page).next;
            page
        })
    }

    pub(crate) fn make_dataspace(&mut self, client: ClientIndex, size: u64) -> Response {
        let pages = region_pages(size)?;
        self.check_supply(client, pages)?;
        let index = self.open_dataspace(client)?;
        for _ in 0..pages {
            if let Err(error) = self.add_dataspace_page(client, index) {
                // Nobody had them mapped.
                while self.drop_dataspace_page(index, true) {}
                self.unlink_dataspace(client, index);
                self.forget_dataspace(index);
                return Err(error);
            }
        }
        self.client_mut(client)?.counters.dataspace_pages += pages as u64;
        let serial = self.dataspaces.get(index).map_or(0, |made| made.serial);
        Ok(Reply::Dataspace {
            token: serial << INDEX_BITS | u64::from(index),
            size: bytes(pages),
        })
    }

    fn open_dataspace(&mut self, client: ClientIndex) -> Result<u32, Error> {
        let account = self
            .clients
            .get_mut(client.index())
            .ok_or(Error::NotPermitted)?;
        if account.dataspace_count >= DATASPACES_OF_CLIENT_MAX {
            let limit = u64::from(DATASPACES_OF_CLIENT_MAX);
            return Err(Error::OutOfSlots { limit });
        }
        let index = self
            .dataspaces
            .open(client, &mut account.dataspaces)
            .ok_or(Error::OutOfSlots {
                limit: DATASPACES_MAX as u64,
            })?;
        account.dataspace_count += 1;
        Ok(index)
    }

    /// Puts a fresh page before the others of a dataspace that is being made.
    fn add_dataspace_page(&mut self, client: ClientIndex, index: u32) -> Result<(), Error> {
        self.charge(client, 1)?;
        let page = match self.supply_page() {
            Ok(page) => page,
            Err(error) => {
                self.refund(client, 1);
                return Err(error);
            }
        };
        let Some(dataspace) = self.dataspaces.get_mut(index) else {
            return Ok(());
        };
        let next = core::mem::replace(&mut dataspace.first, page.0);
        dataspace.pages += 1;
        self.set_info(
            page,
            PageInfo {
                next,
                previous: NONE,
                place: index,
                owner: client.0,
                role: Role::Shared,
            },
        );
        Ok(())
    }

    /// Frees the first page of a dataspace that nobody has mapped; false where it has none.
    fn drop_dataspace_page(&mut self, index: u32, clean: bool) -> bool {
        let Some(dataspace) = self.dataspaces.get(index) else {
            return false;
        };
        let (page, maker) = (Page(dataspace.first), dataspace.maker);
        if page.0 == NONE {
            return false;
        }
        let next = self.info(page).next;
        if let Some(dataspace) = self.dataspaces.get_mut(index) {
            dataspace.first = next;
            dataspace.pages -= 1;
        }
        self.set_info(page, PageInfo::FREE);
        self.refund(maker, 1);
        if clean {
            self.physical.give_clean_page(page);
        } else {
            self.physical.give_page(page);
        }
        true
    }

    /// The place of a dataspace that its maker holds.
    pub(crate) fn find_dataspace(&self, token: u64) -> Result<u32, Error> {
        let index = (token & ((1 << INDEX_BITS) - 1)) as u32;
        match self.dataspaces.get(index) {
            Some(found) if found.held && found.serial == token >> INDEX_BITS => Ok(index),
            _ => Err(Error::Stale { handle: token }),
        }
    }

    /// The place of a dataspace that this client made and holds.
    fn find_own_dataspace(&self, client: ClientIndex, token: u64) -> Result<u32, Error> {
        let index = self.find_dataspace(token)?;
        match self.dataspaces.get(index) {
            Some(found) if found.maker == client => Ok(index),
            _ => Err(Error::NotPermitted),
        }
    }

    pub(crate) fn share_dataspace(
        &mut self,
        client: ClientIndex,
        token: u64,
        handle: u64,
        writable: u8,
    ) -> Response {
        let writable = check_access(writable)?;
        let index = self.find_own_dataspace(client, token)?;
        if self.client_of(handle).is_none() {
            return Err(Error::Stale { handle });
        }
        let Some(dataspace) = self.dataspaces.get(index) else {
            return Err(Error::Stale { handle: token });
        };
        let mut recipients = dataspace.recipients;
        let is_known = |recipient: &&mut Recipient| recipient.handle == handle;
        if let Some(known) = recipients.iter_mut().find(is_known) {
            // What was given is not taken back: it may be in use.
            known.writable |= writable;
        } else {
            // The places of those who have ended are used again.
            let place = recipients
                .iter_mut()
                .find(|recipient| self.client_of(recipient.handle).is_none())
                .ok_or(Error::OutOfSlots {
                    limit: RECIPIENTS_MAX as u64,
                })?;
            *place = Recipient { handle, writable };
        }
        if let Some(dataspace) = self.dataspaces.get_mut(index) {
            dataspace.recipients = recipients;
        }
        Ok(Reply::Done)
    }

    pub(crate) fn close_dataspace(&mut self, client: ClientIndex, token: u64) -> Response {
        let index = self.find_own_dataspace(client, token)?;
        let pages = self.dataspaces.get(index).map_or(0, |it| it.pages);
        self.client_mut(client)?.counters.dataspace_pages -= u64::from(pages);
        if self.let_go(client, index) {
            self.free_dataspace(index);
        }
        Ok(Reply::Done)
    }

    /// Takes a dataspace off its maker's list and lets nobody attach it any more; whether nobody has it attached either.
    fn let_go(&mut self, maker: ClientIndex, index: u32) -> bool {
        self.unlink_dataspace(maker, index);
        let Some(dataspace) = self.dataspaces.get_mut(index) else {
            return false;
        };
        dataspace.held = false;
        dataspace.copies == 0
    }

    /// Frees a dataspace that nobody holds or has attached, all at once.
    pub(crate) fn free_dataspace(&mut self, index: u32) {
        while self.drop_dataspace_page(index, false) {}
        self.forget_dataspace(index);
    }

    /// Takes a dataspace without pages out of the table. With the last one, the place of a maker that has died is vacant.
    fn forget_dataspace(&mut self, index: u32) {
        let Some(maker) = self.dataspaces.get(index).map(|it| it.maker) else {
            return;
        };
        self.dataspaces.close(index);
        if let Some(account) = self.clients.get_mut(maker.index()) {
            account.dataspace_count -= 1;
            if account.life == Life::Ending && account.has_nothing() {
                account.vacate();
            }
        }
    }

    /// Puts a dataspace that nobody holds or has attached on the list of a dead client, to be freed with what that had.
    pub(crate) fn hand_dataspace(&mut self, client: ClientIndex, index: u32) {
        if let Some(account) = self.clients.get_mut(client.index()) {
            self.dataspaces.link(index, &mut account.dataspaces);
        }
    }

    fn unlink_dataspace(&mut self, client: ClientIndex, index: u32) {
        if let Some(account) = self.clients.get_mut(client.index()) {
            self.dataspaces.unlink(index, &mut account.dataspaces);
        }
    }

    /// One step with the first dataspace on a dead client's list: lets go of it, frees a page of it, or forgets it.
    pub(crate) fn take_back_dataspace(&mut self, client: ClientIndex, index: u32) {
        let is_held = self.dataspaces.get(index).is_some_and(|it| it.held);
        if is_held {
            if self.let_go(client, index) {
                self.hand_dataspace(client, index);
            }
        } else if !self.drop_dataspace_page(index, false) {
            self.unlink_dataspace(client, index);
            self.forget_dataspace(index);
        }
    }
}
