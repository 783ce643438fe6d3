// SPDX-License-Identifier: BSD-2-Clause
//! What is in memory, page by page. A page that nobody has written to since it was zeroed takes no room.

use std::collections::BTreeMap;

const PAGE_SIZE: u64 = 4096;

/// Who wrote to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The server, for the client that the page is to be mapped in.
    Image,
    /// The server, for itself.
    Ledger,
    /// A client, by the identity of its address space.
    Space(u64),
    /// One of the clients that the page is shared between.
    Shared,
}

#[derive(Clone, Debug)]
enum Content {
    /// The same word all over.
    Filled(u64),
    Bytes(Box<[u8; PAGE_SIZE as usize]>),
}

#[derive(Clone, Debug)]
struct Written {
    writer: Writer,
    content: Content,
}

/// Contents by physical address.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    written: BTreeMap<u64, Written>,
}

impl Memory {
    /// Zeroes every page that begins in `length` bytes. What is behind them in the last one is zero already, where it is
    /// the end of what was used of an untyped.
    pub(crate) fn zero(&mut self, address: u64, length: u64) {
        let end = address + length;
        while let Some(page) = self
            .written
            .range(address..end)
            .next()
            .map(|(page, _)| *page)
        {
            self.written.remove(&page);
        }
    }

    pub(crate) fn is_zero(&self, page: u64) -> bool {
        match self.written.get(&page).map(|written| &written.content) {
            None | Some(Content::Filled(0)) => true,
            Some(Content::Filled(_)) => false,
            Some(Content::Bytes(bytes)) => bytes.iter().all(|byte| *byte == 0),
        }
    }

    /// Makes `2^size_bits` bytes the memory of `reader`.
    ///
    /// # Panics
    /// When they hold what somebody else wrote.
    pub(crate) fn hand_over(&mut self, address: u64, size_bits: u32, reader: Writer) {
        for (page, written) in self.written.range_mut(address..address + (1 << size_bits)) {
            assert!(
                written.writer == reader || written.writer == Writer::Image,
                "page {page:#x} with bytes of {:?} is mapped for {reader:?}",
                written.writer
            );
            written.writer = reader;
        }
    }

    /// Copies a page, whoever wrote it.
    pub(crate) fn copy(&mut self, from: u64, to: u64) {
        match self.written.get(&from).cloned() {
            Some(written) => self.written.insert(to, written),
            None => self.written.remove(&to),
        };
    }

    /// Fills a page with one word.
    pub(crate) fn fill(&mut self, page: u64, writer: Writer, word: u64) {
        let content = Content::Filled(word);
        self.written.insert(page, Written { writer, content });
    }

    /// Writes inside of one page.
    pub(crate) fn write(&mut self, address: u64, writer: Writer, data: &[u8]) {
        let (page, offset) = (address / PAGE_SIZE * PAGE_SIZE, address % PAGE_SIZE);
        let written = self.written.entry(page).or_insert(Written {
            writer,
            content: Content::Filled(0),
        });
        written.writer = writer;
        if let Content::Filled(word) = written.content {
            let mut bytes = Box::new([0; PAGE_SIZE as usize]);
            for place in bytes.chunks_exact_mut(8) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            written.content = Content::Bytes(bytes);
        }
        if let Content::Bytes(bytes) = &mut written.content {
            bytes[offset as usize..][..data.len()].copy_from_slice(data);
        }
    }

    /// Reads inside of one page.
    pub(crate) fn read(&self, address: u64, buffer: &mut [u8]) {
        let (page, offset) = (address / PAGE_SIZE * PAGE_SIZE, address % PAGE_SIZE);
        match self.written.get(&page).map(|written| &written.content) {
            None => buffer.fill(0),
            Some(Content::Bytes(bytes)) => {
                buffer.copy_from_slice(&bytes[offset as usize..][..buffer.len()]);
            }
            Some(Content::Filled(word)) => {
                let word = word.to_le_bytes();
                for (index, byte) in buffer.iter_mut().enumerate() {
                    *byte = word[(offset as usize + index) % 8];
                }
            }
        }
    }
}
