// SPDX-License-Identifier: BSD-2-Clause
//! What the maker of a dataspace does with it, and what becomes of it when nobody has it any more.

use crate::Server;
use crate::client::Life;
use crate::dataspace::{
    DATASPACES_MAX, DATASPACES_OF_CLIENT_MAX, Dataspace, INDEX_BITS, RECIPIENTS_MAX, Recipient,
};
use crate::kernel::{ClientIndex, Kernel};
use crate::memory::{PageInfo, Role, bytes};
use crate::physical::Page;
use crate::region::region_pages;
use kmalloc_bucket::ledger::NONE;
use kmalloc_protocol::{Error, Reply, Response};

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
        self.charge(client, 1, 1)?;
        let page = match self.supply_page() {
            Ok(page) => page,
            Err(error) => {
                self.refund(client, 1, 1);
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
        self.refund(maker, 1, 1);
        if clean {
            self.physical.give_clean_page(page);
        } else {
            self.physical.give_page(page);
            self.wake_cleaner();
        }
        true
    }

    /// Whether a client is alive, or about to be.
    pub(crate) fn may_share(&self, client: ClientIndex) -> bool {
        let life = self.clients.get(client.index()).map(|account| account.life);
        matches!(life, Some(Life::Alive | Life::Building))
    }

    /// Whether a handle is one of a client that is alive, or about to be.
    fn is_there(&self, handle: u64) -> bool {
        self.client_of(handle)
            .is_ok_and(|client| self.may_share(client))
    }

    /// The place of a dataspace that its maker holds. One whose maker has ended is nobody's to attach from then on, even
    /// where nothing has been taken back yet.
    pub(crate) fn find_dataspace(&self, token: u64) -> Result<u32, Error> {
        let index = (token & ((1 << INDEX_BITS) - 1)) as u32;
        match self.dataspaces.get(index) {
            Some(found)
                if found.held
                    && found.serial == token >> INDEX_BITS
                    && self.may_share(found.maker) =>
            {
                Ok(index)
            }
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
        if !self.is_there(handle) {
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
                .find(|recipient| !self.is_there(recipient.handle))
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

    /// Takes a dataspace without pages out of the table. With the last one, there is no reason for a maker that has ended
    /// to stay.
    fn forget_dataspace(&mut self, index: u32) {
        let Some(maker) = self.dataspaces.get(index).map(|it| it.maker) else {
            return;
        };
        self.dataspaces.close(index);
        if let Some(account) = self.clients.get_mut(maker.index()) {
            account.dataspace_count -= 1;
            if account.life == Life::Lingering && account.dataspace_count == 0 {
                self.enqueue(maker);
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
