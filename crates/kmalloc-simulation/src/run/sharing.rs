// SPDX-License-Identifier: BSD-2-Clause
//! Dataspaces in a random run: who may attach what, what is in it, and whom it is charged to, in a few lists.

use super::Run;
use crate::model::Model;
use crate::operation::What;
use crate::system::{PAGE, System, filled};
use kmalloc_protocol::{Error, Reply};
use kmalloc_server::client::Life;
use kmalloc_server::dataspace::DATASPACES_OF_CLIENT_MAX;

/// A dataspace, as it must be.
struct Shared {
    token: u64,
    /// The handle of who made it.
    maker: u64,
    pages: u64,
    held: bool,
    /// Handles of those who may attach it besides, and whether they may write.
    recipients: Vec<(u64, bool)>,
    /// Who has it attached, and where.
    attached: Vec<(u64, u64)>,
    /// What is written all over it.
    word: u64,
}

impl Shared {
    fn may_attach(&self, handle: u64, writable: bool) -> bool {
        self.maker == handle
            || self
                .recipients
                .iter()
                .any(|(other, may_write)| *other == handle && (*may_write || !writable))
    }

    fn is_gone(&self) -> bool {
        !self.held && self.attached.is_empty()
    }
}

/// All dataspaces.
#[derive(Default)]
pub struct Sharing {
    spaces: Vec<Shared>,
    /// Dataspaces that outlived their maker.
    pub outlived: u64,
}

/// What a death does to the dataspaces.
pub struct Aftermath {
    /// Bytes of its own that the dead client held.
    pub held: u64,
    /// Bytes that stay charged to it, since others have them attached.
    pub left: u64,
    /// Bytes of those who died before that come back with it.
    pub freed: u64,
}

impl Sharing {
    /// What the end of a client does.
    pub fn end(&mut self, handle: u64) -> Aftermath {
        let mut after = Aftermath {
            held: 0,
            left: 0,
            freed: 0,
        };
        for space in &mut self.spaces {
            let was_attached = space.attached.iter().any(|(who, _)| *who == handle);
            space.attached.retain(|(who, _)| *who != handle);
            let bytes = space.pages * PAGE;
            if space.maker == handle {
                after.held += if space.held { bytes } else { 0 };
                space.held = false;
                if !space.attached.is_empty() {
                    after.left += bytes;
                    self.outlived += 1;
                }
            } else if was_attached && space.is_gone() {
                after.freed += bytes;
            }
        }
        self.spaces.retain(|space| !space.is_gone());
        after
    }

    /// Pages that a client has made and holds.
    pub fn held_pages(&self, handle: u64) -> u64 {
        let own = self
            .spaces
            .iter()
            .filter(|it| it.held && it.maker == handle);
        own.map(|it| it.pages).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }

    /// Every client sees in its attachments what was written last, by whomever.
    pub fn check(&self, system: &System) {
        for space in &self.spaces {
            for (handle, address) in &space.attached {
                let client = system.server.client_of(*handle).expect("it is alive");
                let bytes = space.pages * PAGE;
                assert!(filled(system, client, *address, bytes, space.word));
            }
        }
    }
}

impl Run {
    /// Something with a dataspace.
    pub(super) fn share(&mut self, what: What, model: &Model) {
        let handle = model.handle;
        match what {
            What::MakeDataspace => self.make(model, handle),
            What::Share => self.let_another(model, handle),
            What::Attach => self.attach(model, handle),
            What::Detach => self.detach(model, handle),
            What::Close => self.close(model, handle),
            _ => self.sharing.check(&self.system),
        }
        self.counts.outlived = self.sharing.outlived;
    }

    fn make(&mut self, model: &Model, maker: u64) {
        let pages = 1 + u64::from(self.operation.amount) % 24;
        match self.system.make_dataspace(model.client, pages * PAGE) {
            Ok(token) => {
                assert!(self.sharing.spaces.iter().all(|it| it.token != token));
                self.counts.dataspaces += 1;
                self.sharing.spaces.push(Shared {
                    token,
                    maker,
                    pages,
                    held: true,
                    recipients: Vec::new(),
                    attached: Vec::new(),
                    word: 0,
                });
            }
            Err(Error::OutOfSlots { limit }) if limit == u64::from(DATASPACES_OF_CLIENT_MAX) => {
                let own = self.sharing.spaces.iter().filter(|it| it.maker == maker);
                assert_eq!(own.count() as u64, limit);
            }
            Err(error) => self.check_refusal(model, error),
        }
    }

    /// The place of a dataspace among those that there are.
    fn pick_space(&self, is_meant: impl Fn(&Shared) -> bool) -> Option<usize> {
        let spaces = self.sharing.spaces.iter().enumerate();
        let meant = spaces.filter(|(_, space)| is_meant(space));
        let places = meant.map(|(place, _)| place).collect::<Vec<_>>();
        self.choose(&places)
    }

    fn let_another(&mut self, model: &Model, handle: u64) {
        let others = self.clients.iter().flatten();
        let others = others.map(|other| other.client).collect::<Vec<_>>();
        let any = self.random.one_in(4);
        let place = self.pick_space(|space| any || space.maker == handle);
        let (Some(other), Some(place)) = (self.random.pick(&others), place) else {
            return;
        };
        let writable = self.random.one_in(2);
        let token = self.sharing.spaces[place].token;
        let response = self.system.share(model.client, token, other, writable);
        let recipient = self.system.handle(other);
        let server = &self.system.server;
        let space = &mut self.sharing.spaces[place];
        if !space.held {
            assert_eq!(response, Err(Error::Stale { handle: token }));
            return;
        }
        if space.maker != handle {
            assert_eq!(response, Err(Error::NotPermitted));
            self.counts.misused += 1;
            return;
        }
        assert_eq!(
            response,
            Ok(Reply::Done),
            "there are fewer clients than places"
        );
        let alive = |(handle, _): &(u64, bool)| {
            let client = server.client_of(*handle).ok();
            let account = client.and_then(|client| server.client(client));
            account.is_some_and(|account| account.life == Life::Alive)
        };
        space.recipients.retain(alive);
        space.recipients.push((recipient, writable));
    }

    fn attach(&mut self, model: &Model, handle: u64) {
        let any = self.random.one_in(4);
        let is_meant =
            |space: &Shared| any || (space.maker != handle && space.may_attach(handle, false));
        let Some(place) = self.pick_space(is_meant) else {
            return;
        };
        let writable = self.random.one_in(2);
        let word = self.random.next() | 1;
        let space = &self.sharing.spaces[place];
        let (token, bytes) = (space.token, space.pages * PAGE);
        let response = self.system.attach(model.client, token, writable);
        if !space.held {
            assert_eq!(response, Err(Error::Stale { handle: token }));
            return;
        }
        if !space.may_attach(handle, writable) {
            assert_eq!(response, Err(Error::NotPermitted));
            self.counts.misused += 1;
            return;
        }
        match response {
            Ok(address) => {
                assert!(filled(
                    &self.system,
                    model.client,
                    address,
                    bytes,
                    space.word
                ));
                let space = &mut self.sharing.spaces[place];
                space.attached.push((handle, address));
                if writable {
                    self.system.fill(model.client, address, bytes, word);
                    space.word = word;
                }
                self.counts.attached += 1;
            }
            Err(error) => self.check_refusal(model, error),
        }
    }

    fn detach(&mut self, model: &Model, handle: u64) {
        let is_mine = |(who, _): &(u64, u64)| *who == handle;
        let Some(place) = self.pick_space(|space| space.attached.iter().any(is_mine)) else {
            return;
        };
        let attached = &mut self.sharing.spaces[place].attached;
        let index = attached.iter().position(is_mine).expect("it is attached");
        let (_, address) = attached.remove(index);
        let response = self.system.detach(model.client, address);
        assert_eq!(response, Ok(Reply::Done));
        self.sharing.spaces.retain(|space| !space.is_gone());
    }

    fn close(&mut self, model: &Model, handle: u64) {
        let Some(place) = self.pick_space(|_| true) else {
            return;
        };
        let space = &mut self.sharing.spaces[place];
        let response = self.system.close(model.client, space.token);
        let expected = if !space.held {
            Err(Error::Stale {
                handle: space.token,
            })
        } else if space.maker != handle {
            Err(Error::NotPermitted)
        } else {
            space.held = false;
            Ok(Reply::Done)
        };
        assert_eq!(response, expected);
        self.sharing.spaces.retain(|space| !space.is_gone());
    }
}
