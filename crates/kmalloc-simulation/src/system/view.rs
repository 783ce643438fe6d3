// SPDX-License-Identifier: BSD-2-Clause
//! Memory as clients see it.

use super::{PAGE, System};
use kmalloc_protocol::window::Window;
use kmalloc_server::kernel::{ClientIndex, Mapping, Table};
use kmalloc_server::physical::{Large, LargeForm, Page};

impl System {
    fn space(&self, client: ClientIndex) -> Page {
        Page(self.server.client(client).expect("a client").vspace)
    }

    /// Writes as the client.
    pub fn write(&mut self, client: ClientIndex, address: u64, data: &[u8]) {
        let space = self.space(client);
        self.server
            .kernel_mut()
            .write(space, address as usize, data)
            .unwrap_or_else(|fault| panic!("{client:?} writes {} bytes: {fault:x?}", data.len()));
    }

    /// Reads as the client.
    pub fn read<const N: usize>(&self, client: ClientIndex, address: u64) -> [u8; N] {
        let mut data = [0; N];
        self.server
            .kernel()
            .read(self.space(client), address as usize, &mut data)
            .unwrap_or_else(|fault| panic!("{client:?} reads {N} bytes: {fault:x?}"));
        data
    }

    /// Reads a word as the client.
    pub fn read_word(&self, client: ClientIndex, address: u64) -> u64 {
        u64::from_le_bytes(self.read(client, address))
    }

    /// Where an address of the client's lies in physical memory, and how it is mapped.
    pub fn translate(&self, client: ClientIndex, address: u64) -> Option<(u64, Mapping)> {
        self.server
            .kernel()
            .translate(self.space(client), address as usize)
    }

    /// Whether the client can touch an address at all.
    pub fn is_mapped(&self, client: ClientIndex, address: u64) -> bool {
        self.translate(client, address).is_some()
    }

    /// Segments of the windows that a page table or a frame of 2 MiB is mapped in.
    pub fn mapped_segments(&self) -> usize {
        let in_window = |address: usize| Window::of(address).is_some();
        self.server
            .kernel()
            .spaces()
            .map(|(_, space)| {
                let tables = space
                    .tables()
                    .filter(|(level, address, _)| *level == Table::PageTable && in_window(*address))
                    .count();
                tables + space.larges().count()
            })
            .sum()
    }

    /// Large pages that are whole and free.
    pub fn whole_larges(&self) -> usize {
        let physical = self.server.physical();
        (0..physical.large_capacity() as u32)
            .filter(|large| physical.large_form(Large(*large)) == LargeForm::Whole)
            .count()
    }

    /// Fills whole pages with a word, as the client.
    pub fn fill(&mut self, client: ClientIndex, address: u64, bytes: u64, word: u64) {
        let space = self.space(client);
        let pages = (bytes / PAGE) as usize;
        self.server
            .kernel_mut()
            .fill(space, address as usize, pages, word)
            .unwrap_or_else(|fault| panic!("{client:?} fills {pages} pages: {fault:x?}"));
    }

    /// Whether whole pages are mapped and zero to the client.
    pub fn is_zero(&self, client: ClientIndex, address: u64, bytes: u64) -> bool {
        self.server
            .kernel()
            .is_zero(
                self.space(client),
                address as usize,
                (bytes / PAGE) as usize,
            )
            .unwrap_or_else(|fault| panic!("{client:?} looks for zeros: {fault:x?}"))
    }
}

/// Whether whole pages hold a word all over, to the client.
pub fn filled(system: &System, client: ClientIndex, address: u64, bytes: u64, word: u64) -> bool {
    (address..address + bytes)
        .step_by(PAGE as usize)
        .all(|page| {
            system.read_word(client, page) == word
                && system.read_word(client, page + PAGE - 8) == word
        })
}
