// SPDX-License-Identifier: BSD-2-Clause
//! The untypeds of boot, before the server has its books: splitting off what the server itself needs.

use alloc::vec::Vec;

/// An untyped without children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it is.
    pub cap: sel4::cap::Untyped,
    /// Its first physical address.
    pub address: u64,
    /// log2 of its bytes.
    pub size_bits: usize,
}

/// Untypeds to take from, and the empty slots to split them into.
pub struct Untypeds {
    pieces: Vec<Piece>,
    empty: core::ops::Range<usize>,
}

/// Why boot can't take memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeError {
    /// No untyped is large enough.
    NoMemory,
    /// The kernel's CNode is full.
    NoSlot,
    /// The kernel refused.
    Kernel(sel4::Error),
}

impl Untypeds {
    /// `pieces` to take from; `empty` are slots of the kernel's CNode.
    pub fn new(pieces: Vec<Piece>, empty: core::ops::Range<usize>) -> Untypeds {
        Untypeds { pieces, empty }
    }

    /// An empty slot of the kernel's CNode.
    pub fn take_slot(&mut self) -> Result<usize, TakeError> {
        self.empty.next().ok_or(TakeError::NoSlot)
    }

    /// No slot from this one on has been taken.
    pub fn next_slot(&self) -> usize {
        self.empty.start
    }

    /// An untyped of just 2^`size_bits` bytes: the smallest piece that is large enough, halved as often as needed.
    pub fn take(&mut self, size_bits: usize) -> Result<Piece, TakeError> {
        let fits = |piece: &&Piece| piece.size_bits >= size_bits;
        let smallest = self
            .pieces
            .iter()
            .filter(fits)
            .min_by_key(|piece| (piece.size_bits, piece.address));
        let mut piece = *smallest.ok_or(TakeError::NoMemory)?;
        self.pieces.retain(|other| *other != piece);
        while piece.size_bits > size_bits {
            let half_bits = piece.size_bits - 1;
            let (first, second) = (self.take_slot()?, self.take_slot()?);
            debug_assert_eq!(first + 1, second);
            let blueprint = sel4::ObjectBlueprint::Untyped {
                size_bits: half_bits,
            };
            let cnode = sel4::init_thread::slot::CNODE
                .cap()
                .absolute_cptr_for_self();
            piece
                .cap
                .untyped_retype(&blueprint, &cnode, first, 2)
                .map_err(TakeError::Kernel)?;
            let half = |slot: usize, address: u64| Piece {
                cap: sel4::CPtr::from_bits(slot as sel4::CPtrBits).cast(),
                address,
                size_bits: half_bits,
            };
            self.pieces.push(half(first, piece.address));
            // High addresses for the server: low ones are for devices with small masks.
            piece = half(second, piece.address + (1 << half_bits));
        }
        Ok(piece)
    }

    /// What is left.
    pub fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }
}
