// SPDX-License-Identifier: BSD-2-Clause
//! What must be where, and what it must hold.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;

/// A block in use.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Where it is.
    pub address: NonNull<u8>,
    /// Bytes asked for.
    pub size: usize,
    /// Its alignment, if it came through the interface of global allocators.
    pub align: Option<usize>,
    /// What is written all over it.
    pattern: u8,
}

impl Block {
    /// Its layout, if it came through the interface of global allocators.
    pub fn layout(&self) -> Option<Layout> {
        let layout = Layout::from_size_align(self.size, self.align?);
        Some(layout.expect("it was one before"))
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the block is in use, has that size, and all of it was written to or is fresh memory of a source.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.size) }
    }

    /// Compared by pages: a loop over bytes would be most of the time, with what a fuzzer adds to it.
    fn holds(&self, byte: u8) -> bool {
        let page = [byte; 4096];
        let mut pieces = self.bytes().chunks(page.len());
        pieces.all(|piece| piece == &page[..piece.len()])
    }
}

/// All blocks in use, by address.
#[derive(Debug, Default)]
pub struct Shadow {
    blocks: BTreeMap<usize, Block>,
    patterns: u8,
}

impl Shadow {
    /// A new block; it overlaps none, and is zero if it has to be.
    pub fn add(&mut self, address: NonNull<u8>, size: usize, align: Option<usize>, zero: bool) {
        let block = Block {
            address,
            size,
            align,
            pattern: 0,
        };
        assert!(!zero || block.holds(0), "{block:?} is not zero");
        self.insert(block);
    }

    /// A block of another size, and maybe elsewhere, that was `old`: it holds what that did.
    pub fn add_resized(&mut self, address: NonNull<u8>, size: usize, old: &Block) {
        let kept = Block {
            address,
            size: size.min(old.size),
            ..*old
        };
        assert!(kept.holds(old.pattern), "{kept:?} has lost something");
        self.insert(Block { size, ..kept });
    }

    fn insert(&mut self, block: Block) {
        self.patterns = self.patterns.wrapping_add(1).max(1);
        let block = Block {
            pattern: self.patterns,
            ..block
        };
        self.check_apart(&block);
        // SAFETY: the block is in use and has that size.
        unsafe { block.address.write_bytes(block.pattern, block.size) };
        self.blocks.insert(block.address.addr().get(), block);
    }

    /// A block of no bytes has one all the same.
    fn check_apart(&self, block: &Block) {
        let (start, end) = (
            block.address.addr().get(),
            block.address.addr().get() + block.size.max(1),
        );
        if let Some((at, other)) = self.blocks.range(..end).next_back() {
            assert!(
                at + other.size.max(1) <= start,
                "{block:?} lies on {other:?}"
            );
        }
    }

    /// Some block, which leaves the map; it holds what it must.
    pub fn take(&mut self, which: usize) -> Option<Block> {
        let index = which.checked_rem(self.blocks.len())?;
        let address = *self.blocks.keys().nth(index)?;
        let block = self.blocks.remove(&address)?;
        assert!(block.holds(block.pattern), "{block:?} has been written to");
        Some(block)
    }

    /// A block that was taken and is still in use, as it was.
    pub fn put_back(&mut self, block: Block) {
        assert!(block.holds(block.pattern), "{block:?} has been written to");
        self.check_apart(&block);
        self.blocks.insert(block.address.addr().get(), block);
    }
}
