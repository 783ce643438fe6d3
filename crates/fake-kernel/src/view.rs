// SPDX-License-Identifier: BSD-2-Clause
//! Memory as a client sees it, through its own page tables.

use crate::FakeKernel;
use crate::memory::Writer;
use kmalloc_server::kernel::{Mapping, Slot};
use kmalloc_server::physical::Page;

/// A client touched what it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub address: usize,
}

impl FakeKernel {
    /// Where `address` of an address space lies in physical memory, and how it is mapped there.
    pub fn translate(&self, space: Page, address: usize) -> Option<(u64, Mapping)> {
        let (mapped, offset) = self.spaces.get(&space)?.at(address)?;
        Some((mapped.place + offset as u64, mapped.how))
    }

    /// Reads as the client.
    pub fn read(&self, space: Page, address: usize, buffer: &mut [u8]) -> Result<(), Fault> {
        let mut at = address;
        let mut rest = buffer;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at_mut(rest.len().min(4096 - at % 4096));
            let (place, _) = self.translate(space, at).ok_or(Fault { address: at })?;
            self.memory.read(place, piece);
            at += piece.len();
            rest = behind;
        }
        Ok(())
    }

    /// Writes as the client.
    pub fn write(&mut self, space: Page, address: usize, data: &[u8]) -> Result<(), Fault> {
        let mut at = address;
        let mut rest = data;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(4096 - at % 4096));
            let (place, writer) = self.writable(space, at)?;
            self.memory.write(place, writer, piece);
            at += piece.len();
            rest = behind;
        }
        Ok(())
    }

    /// Fills `count` pages from `address` on with one word, as the client.
    pub fn fill(
        &mut self,
        space: Page,
        address: usize,
        count: usize,
        word: u64,
    ) -> Result<(), Fault> {
        for page in 0..count {
            let (place, writer) = self.writable(space, address + page * 4096)?;
            self.memory.fill(place, writer, word);
        }
        Ok(())
    }

    /// Whether all of `count` pages from `address` on are zero to the client.
    pub fn is_zero(&self, space: Page, address: usize, count: usize) -> Result<bool, Fault> {
        for page in 0..count {
            let at = address + page * 4096;
            let (place, _) = self.translate(space, at).ok_or(Fault { address: at })?;
            if !self.memory.is_zero(place) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn writable(&self, space: Page, address: usize) -> Result<(u64, Writer), Fault> {
        let fault = Fault { address };
        let tables = self.spaces.get(&space).ok_or(fault)?;
        match self.translate(space, address) {
            Some((place, how)) if how.writable => {
                let is_shared = tables
                    .at(address)
                    .is_some_and(|(mapped, _)| matches!(mapped.slot, Slot::Copy(_)));
                let writer = if is_shared {
                    Writer::Shared
                } else {
                    Writer::Space(tables.identity)
                };
                Ok((place, writer))
            }
            _ => Err(fault),
        }
    }
}
