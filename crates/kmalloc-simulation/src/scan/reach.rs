// SPDX-License-Identifier: BSD-2-Clause
//! The scanner's part about devices behind an IOMMU: each reaches the DMA memory of whoever has it, and nothing else.

use super::shared::clients_by_space;
use fake_kernel::{FakeKernel, FrameUse, Kind};
use kmalloc_protocol::window::Window;
use kmalloc_server::Server;
use kmalloc_server::client::Life;
use kmalloc_server::kernel::{ClientIndex, Slot};
use kmalloc_server::physical::{ChunkForm, Page};
use std::collections::{BTreeMap, BTreeSet};

/// Checks what every function reaches; how many copies of frames that takes.
pub fn scan_reach(server: &Server<FakeKernel>) -> usize {
    let kernel = server.kernel();
    if kernel.io_spaces().next().is_none() {
        return 0;
    }
    let memory = dma_memory(server);
    let mut copies = 0;
    for (number, space) in kernel.io_spaces() {
        let owner = server.owner_of(number);
        let own = owner.and_then(|owner| memory.get(&owner));
        let mut reached = BTreeSet::new();
        for (address, copy) in space.pages() {
            let copy = kernel.capability(Slot::Copy(copy)).expect("a copy");
            let Some(Slot::Page(page)) = copy.original else {
                panic!("function {number} reaches {copy:?}");
            };
            assert_eq!(copy.address, address, "memory is where it is");
            let is_own = own.is_some_and(|own| own.contains(&page));
            assert!(is_own, "function {number} of {owner:?} reaches {page:?}");
            reached.insert(page);
            copies += 1;
        }
        let life = owner
            .and_then(|owner| server.client(owner))
            .map(|it| it.life);
        if life == Some(Life::Alive) {
            let all = own.map_or(0, BTreeSet::len);
            assert_eq!(reached.len(), all, "function {number} reaches all of it");
        }
        for (_, table) in space.tables() {
            assert!(owner.is_some(), "{table:?} is left with function {number}");
            let form = server.physical().chunk_form(table.chunk());
            assert_eq!(form, ChunkForm::Objects);
        }
    }
    copies
}

/// The pages of DMA memory of each client, as its address space has them.
fn dma_memory(server: &Server<FakeKernel>) -> BTreeMap<ClientIndex, BTreeSet<Page>> {
    let kernel = server.kernel();
    let clients = clients_by_space(server);
    let mut memory: BTreeMap<ClientIndex, BTreeSet<Page>> = BTreeMap::new();
    for (root, space) in kernel.spaces() {
        let own = memory.entry(clients[&root]).or_default();
        for (address, slot) in space.pages() {
            if let (Some(Window::Dma), Slot::Page(page)) = (Window::of(address), slot) {
                let frame = kernel.capability(slot).map(|frame| &frame.kind);
                let Some(Kind::Frame {
                    usage: FrameUse::Client { .. },
                    ..
                }) = frame
                else {
                    panic!("{slot:?} at {address:#x} is {frame:?}");
                };
                own.insert(page);
            }
        }
    }
    memory
}
