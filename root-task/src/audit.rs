// SPDX-License-Identifier: BSD-2-Clause
//! The last check: when all clients have ended, the kernel itself must find every untyped whole.
//!
//! Each capability that the books know of is deleted by its slot, none is revoked. Then every untyped of boot is retyped
//! into one as large as itself, which the kernel refuses as long as anything is left that was made of it: a frame, a table
//! or a thread that the books have lost.

use crate::boot::{CHUNK_BITS, FRAME_BITS, LARGE_BITS};
use crate::kernel::Sel4;
use crate::untypeds::Piece;
use kmalloc_server::kernel::{Kernel, Object, Refused, Slot};
use kmalloc_server::physical::{Chunk, ChunkForm, Cleaning, Large, LargeForm, Page, Physical};

/// How many of `pieces` are whole again.
pub fn count_whole(kernel: &mut Sel4, physical: &Physical, pieces: &[Piece]) -> usize {
    if delete_unfinished(kernel, physical).is_err() {
        return 0;
    }
    pieces
        .iter()
        .filter(|piece| is_whole(kernel, physical, piece).is_ok())
        .count()
}

/// Deletes what the cleaner may have made before it was stopped: the books learn of that when it is done. Nothing is wrong
/// with deleting what is not there.
fn delete_unfinished(kernel: &mut Sel4, physical: &Physical) -> Result<(), Refused> {
    match physical.cleaning() {
        Some(Cleaning::Frames(chunk)) => delete_frames(kernel, chunk),
        Some(Cleaning::Chunks(large)) => large
            .chunks()
            .try_for_each(|chunk| kernel.delete(Slot::Chunk(Chunk(chunk as u32)))),
        // What else it makes is in the slot that the workers' stop empties.
        _ => Ok(()),
    }
}

fn is_whole(kernel: &mut Sel4, physical: &Physical, piece: &Piece) -> Result<(), Refused> {
    let Some(first) = physical.page_at(piece.address) else {
        return Ok(());
    };
    let units = |unit_bits: usize| {
        let first = first.index() >> (unit_bits - FRAME_BITS);
        first as u32..(first + (1 << (piece.size_bits - unit_bits))) as u32
    };
    match piece.size_bits {
        LARGE_BITS.. => {
            units(LARGE_BITS).try_for_each(|large| delete_large(kernel, physical, Large(large)))
        }
        CHUNK_BITS.. => {
            units(CHUNK_BITS).try_for_each(|chunk| delete_chunk(kernel, physical, Chunk(chunk)))
        }
        _ => units(FRAME_BITS).try_for_each(|page| kernel.delete(Slot::Page(Page(page)))),
    }?;
    kernel.retype_whole(piece.cap, Object::Untyped(piece.size_bits as u32))
}

fn delete_large(kernel: &mut Sel4, physical: &Physical, large: Large) -> Result<(), Refused> {
    match physical.large_form(large) {
        LargeForm::Split => large
            .chunks()
            .try_for_each(|chunk| delete_chunk(kernel, physical, Chunk(chunk as u32)))?,
        LargeForm::Frame => kernel.delete(Slot::LargeFrame(large))?,
        LargeForm::Whole | LargeForm::Absent => {}
    }
    kernel.delete(Slot::Large(large))
}

fn delete_chunk(kernel: &mut Sel4, physical: &Physical, chunk: Chunk) -> Result<(), Refused> {
    if physical.chunk_form(chunk) == ChunkForm::Frames {
        delete_frames(kernel, chunk)?;
    }
    kernel.delete(Slot::Chunk(chunk))
}

fn delete_frames(kernel: &mut Sel4, chunk: Chunk) -> Result<(), Refused> {
    chunk
        .pages()
        .try_for_each(|page| kernel.delete(Slot::Page(Page(page as u32))))
}
