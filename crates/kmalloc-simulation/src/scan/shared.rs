// SPDX-License-Identifier: BSD-2-Clause
//! The scanner's part about dataspaces and the copies by which they are mapped.

use fake_kernel::{FakeKernel, FrameUse, Kind};
use kmalloc_server::Server;
use kmalloc_server::client::{CLIENTS_MAX, Life};
use kmalloc_server::dataspace::Dataspace;
use kmalloc_server::kernel::{ClientIndex, Slot};
use kmalloc_server::physical::Page;
use std::collections::BTreeMap;

/// The pages of dataspaces, and whose they are: an unmapped frame is one of theirs, or free.
pub type Shared<'a> = BTreeMap<Page, &'a Dataspace>;

/// Every dataspace: its frames are its own, and mapped by copies of their capabilities alone, for those who may.
pub fn scan_dataspaces(server: &Server<FakeKernel>) -> Shared<'_> {
    let kernel = server.kernel();
    let clients = clients_by_space(server);
    // Some dead client may be about to free a dataspace.
    let mut places = (0..CLIENTS_MAX as u16).map(ClientIndex);
    let is_ending = places.any(|place| {
        let account = server.client(place);
        account.is_some_and(|account| account.life == Life::Ending)
    });
    let mut shared = BTreeMap::new();
    for dataspace in server.dataspaces() {
        let pages = server.pages_of(dataspace).collect::<Vec<_>>();
        assert_eq!(pages.len(), dataspace.pages as usize);
        let mut copies = 0;
        for page in pages {
            let Some(Kind::Frame {
                usage: FrameUse::Unmapped,
                copies: more,
                ..
            }) = kernel.capability(Slot::Page(page)).map(|page| &page.kind)
            else {
                panic!("{page:?} of {dataspace:?} is no unmapped frame");
            };
            assert!(
                !server.physical().is_free(page),
                "{page:?} is shared and free"
            );
            copies += more;
            let other = shared.insert(page, dataspace);
            assert!(other.is_none(), "{page:?} is part of two dataspaces");
        }
        assert_eq!(copies, dataspace.copies as usize, "{dataspace:?}");
        assert!(
            dataspace.held || copies > 0 || is_ending,
            "{dataspace:?} is nobody's and there"
        );
    }
    for (number, copy) in kernel.copies() {
        if let Kind::Frame {
            usage: FrameUse::Function { .. },
            ..
        } = copy.kind
        {
            continue;
        }
        let Some(Slot::Page(page)) = copy.original else {
            panic!("copy {number} is one of {:?}", copy.original);
        };
        let dataspace = shared.get(&page).expect("what is copied is shared");
        let Kind::Frame {
            usage: FrameUse::Client { space, how, .. },
            ..
        } = copy.kind
        else {
            panic!("copy {number} of {page:?} is {copy:?}");
        };
        let client = *clients.get(&space).expect("an address space has a client");
        let handle = server.handle_of(client);
        // One that has ended, and of which not all is taken back yet, runs no more; its place may be another's already.
        let has_ended = server.client(client).map(|it| it.life) == Some(Life::Ending);
        let may = has_ended
            || dataspace.maker == client
            || dataspace.recipients.iter().any(|recipient| {
                recipient.handle == handle && (recipient.writable || !how.writable)
            });
        assert!(may, "{client:?} has {dataspace:?} mapped: {how:?}");
    }
    shared
}

/// Those who have an address space, by its root. One that has ended may have given its root back already: what is there
/// now is of who was born last.
pub fn clients_by_space(server: &Server<FakeKernel>) -> BTreeMap<Page, ClientIndex> {
    let places = (0..CLIENTS_MAX as u16).map(ClientIndex);
    let mut clients = places
        .filter_map(|index| {
            let account = server.client(index)?;
            let has_space = matches!(account.life, Life::Building | Life::Alive | Life::Ending);
            has_space.then_some((account.serial, Page(account.vspace), index))
        })
        .collect::<Vec<_>>();
    clients.sort_by_key(|(serial, ..)| *serial);
    let by_root = clients.into_iter().map(|(_, root, client)| (root, client));
    by_root.collect()
}
