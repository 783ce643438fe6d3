// SPDX-License-Identifier: BSD-2-Clause
//! From the untypeds of boot to the books of physical memory.

use crate::boot::{BootError, CHUNK_BITS, FAN_OUT_MAX, FRAME_BITS, LARGE_BITS};
use crate::kernel::Sel4;
use crate::untypeds::Piece;
use kmalloc_server::kernel::{Object, Slot};
use kmalloc_server::physical::{Chunk, Large, Page, Physical};

/// Hands an untyped over to the books, cut into large pages, chunks or frames. The kernel zeroes all of it here, so
/// that no client ever waits for that.
pub fn add_piece(
    kernel: &mut Sel4,
    physical: &mut Physical,
    piece: Piece,
) -> Result<(), BootError> {
    let Some(page) = physical.page_at(piece.address) else {
        return Ok(());
    };
    let (object, unit_bits) = match piece.size_bits {
        LARGE_BITS.. => (Object::Untyped(LARGE_BITS as u32), LARGE_BITS),
        CHUNK_BITS.. => (Object::Untyped(CHUNK_BITS as u32), CHUNK_BITS),
        _ => (Object::Frame, FRAME_BITS),
    };
    let units = 1usize << (piece.size_bits - unit_bits);
    let first = page.index() >> (unit_bits - FRAME_BITS);
    let mut done = 0;
    while done < units {
        let unit = (first + done) as u32;
        let batch = (units - done).min(FAN_OUT_MAX);
        let slot = match unit_bits {
            LARGE_BITS => Slot::Large(Large(unit)),
            CHUNK_BITS => Slot::Chunk(Chunk(unit)),
            _ => Slot::Page(Page(unit)),
        };
        kernel
            .retype_from(piece.cap, object, slot, batch)
            .map_err(|refused| BootError::Refused(refused.code))?;
        for unit in unit..unit + batch as u32 {
            match unit_bits {
                LARGE_BITS => physical.add_large(Large(unit)),
                CHUNK_BITS => physical.add_chunk(Chunk(unit)),
                _ => physical.add_page(Page(unit)),
            }
        }
        done += batch;
    }
    Ok(())
}
