// SPDX-License-Identifier: BSD-2-Clause
//! The scanner's part about accounts: what is set aside is there, and each capability is charged to somebody.

use super::shared::{Shared, clients_by_space};
use fake_kernel::{FakeKernel, FrameUse, Kind};
use kmalloc_server::Server;
use kmalloc_server::client::CLIENTS_MAX;
use kmalloc_server::kernel::{ClientIndex, Slot};
use kmalloc_server::physical::{CHUNK_PAGES, Chunk, ChunkForm, Page};
use std::collections::BTreeMap;

fn places() -> impl Iterator<Item = ClientIndex> {
    (0..CLIENTS_MAX as u16).map(ClientIndex)
}

/// What clients have reserved and not taken is one sum, and can be taken.
pub fn scan_reservations(server: &Server<FakeKernel>) {
    let set_aside = places().map(|place| {
        let account = server.client(place).expect("a place in the registry");
        account
            .reserved_pages
            .saturating_sub(account.committed_pages)
    });
    let set_aside = set_aside.sum::<usize>();
    assert_eq!(server.set_aside(), set_aside);
    let usable = server.physical().usable_pages();
    assert!(
        set_aside <= usable,
        "{set_aside} pages set aside, {usable} there"
    );
}

/// There are as many slots charged as there are capabilities that are not free memory's, and each client is charged for
/// those at least that are its own beyond doubt.
pub fn scan_slots(server: &Server<FakeKernel>, shared: &Shared<'_>) {
    let mut own: BTreeMap<ClientIndex, usize> = BTreeMap::new();
    for dataspace in shared.values() {
        *own.entry(dataspace.maker).or_default() += 1;
    }
    let clients = clients_by_space(server);
    for (root, space) in server.kernel().spaces() {
        let things = space.pages().count() + space.larges().count() + space.tables().count();
        *own.entry(clients[&root]).or_default() += things;
    }
    let mut charged = 0;
    for place in places() {
        let slots = server.client(place).expect("a place").slots;
        let own = own.get(&place).copied().unwrap_or(0);
        assert!(
            slots.committed >= own,
            "{place:?} has {own} things: {slots:?}"
        );
        assert!(slots.committed <= slots.peak && slots.peak <= slots.limit);
        charged += slots.committed;
    }
    assert_eq!(
        charged,
        count_slots(server, shared),
        "each capability is charged to somebody"
    );
}

/// Capabilities that are somebody's, as the kernel has them.
fn count_slots(server: &Server<FakeKernel>, shared: &Shared<'_>) -> usize {
    let (kernel, physical) = (server.kernel(), server.physical());
    let mut count = kernel.copies().count();
    for page in (0..physical.page_capacity() as u32).map(Page) {
        let is_somebody_s = match kernel.capability(Slot::Page(page)).map(|page| &page.kind) {
            Some(Kind::Frame { usage, .. }) => {
                *usage != FrameUse::Unmapped
                    || shared.contains_key(&page)
                    || !physical.is_free(page)
            }
            // Tables are counted with their chunks.
            _ => false,
        };
        count += usize::from(is_somebody_s);
    }
    for large in 0..physical.large_capacity() as u32 {
        let frame = Slot::LargeFrame(kmalloc_server::physical::Large(large));
        count += usize::from(kernel.capability(frame).is_some());
    }
    for chunk in (0..(physical.page_capacity() / CHUNK_PAGES) as u32).map(Chunk) {
        if physical.chunk_form(chunk) == ChunkForm::Objects
            && let Some(Kind::Untyped { children, .. }) = kernel
                .capability(Slot::Chunk(chunk))
                .map(|untyped| &untyped.kind)
        {
            count += 1 + children.len();
        }
    }
    count
}
