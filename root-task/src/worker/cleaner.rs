// SPDX-License-Identifier: BSD-2-Clause
//! The cleaner: makes dirty memory clean, and frames ahead of need, while nobody else has anything to do.
//!
//! It asks the server for an order, carries it out by invocations of its own, and reports when it asks for the next. Its
//! priority is the least that a client can have: whoever else becomes able to run takes the processor from it at once, in
//! the midst of a page as in the midst of the kernel's zeroing of 2 MiB, which the kernel goes on with later.

use super::Equipment;
use crate::kernel::{Sel4, blueprint};
use crate::windows::CLEANER_WINDOW;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_server::kernel::{Object, Slot};
use kmalloc_server::physical::{
    CHUNK_PAGES, Chunk, Cleaning, GRAIN_BITS, LARGE_CHUNKS, Large, PAGE_BITS,
};
use sel4::{CPtr, CPtrBits, CapRights, Word, cap};

/// Words of an order.
pub const ORDER_WORDS: usize = 3;

/// What the server orders, as the first word of its answer. The second is a slot; the third, for pages, says which of the
/// 16 slots from there on. Where frames or chunks are to be made, the second is the number of what they are made of.
mod what {
    use sel4::Word;

    pub const REST: Word = 0;
    pub const PAGES: Word = 1;
    pub const UNTYPED: Word = 2;
    pub const GATHER: Word = 3;
    pub const FRAMES: Word = 4;
    pub const CHUNKS: Word = 5;
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// There was none; the cleaner has rested.
    Rested = 0,
    /// It is done.
    Clean = 1,
    /// The kernel refused.
    Refused = 2,
}

impl Report {
    /// From the first word of the cleaner's call.
    pub fn from_word(word: Word) -> Report {
        match word {
            0 => Report::Rested,
            1 => Report::Clean,
            _ => Report::Refused,
        }
    }
}

/// The order for a cleaning, or to rest.
pub fn order(kernel: &Sel4, cleaning: Option<Cleaning>) -> [Word; ORDER_WORDS] {
    let slot = |slot| kernel.cptr(slot).bits();
    match cleaning {
        None => [what::REST, 0, 0],
        Some(Cleaning::Pages { chunk, mask }) => {
            let first = slot(Slot::Page(chunk.first_page()));
            [what::PAGES, first, mask.into()]
        }
        Some(Cleaning::Chunk(chunk)) => [what::UNTYPED, slot(Slot::Chunk(chunk)), 0],
        Some(Cleaning::Large(large)) => [what::UNTYPED, slot(Slot::Large(large)), 0],
        Some(Cleaning::Gather(large)) => [what::GATHER, slot(Slot::Large(large)), 0],
        Some(Cleaning::Frames(chunk)) => [what::FRAMES, chunk.0.into(), 0],
        Some(Cleaning::Chunks(large)) => [what::CHUNKS, large.0.into(), 0],
    }
}

/// What the cleaner runs.
pub extern "C" fn run(equipment: &'static Equipment) -> ! {
    equipment.enter();
    loop {
        equipment.notification.wait();
        let mut report = Report::Rested;
        loop {
            let [what, slot, mask, _] = equipment.call([report as Word, 0]);
            let result = match what {
                what::PAGES => zero_pages(slot, mask),
                what::UNTYPED => clean_untyped(equipment, slot),
                what::GATHER => gather(equipment, slot),
                what::FRAMES => make_frames(equipment, Chunk(slot as u32)),
                what::CHUNKS => make_chunks(equipment, Large(slot as u32)),
                _ => break,
            };
            report = match result {
                Ok(()) => Report::Clean,
                Err(_) => Report::Refused,
            };
        }
    }
}

/// Zeroes frames through a window that nobody else uses.
fn zero_pages(first: CPtrBits, mask: Word) -> sel4::Result<()> {
    let slots = (first..).take(CHUNK_PAGES).enumerate();
    for (_, slot) in slots.filter(|(index, _)| mask >> index & 1 == 1) {
        let frame: cap::Granule = CPtr::from_bits(slot).cast();
        frame.frame_map(
            sel4::init_thread::slot::VSPACE.cap(),
            CLEANER_WINDOW,
            CapRights::read_write(),
            sel4::VmAttributes::default(),
        )?;
        let page = core::ptr::with_exposed_provenance_mut::<[u8; PAGE_SIZE]>(CLEANER_WINDOW);
        // SAFETY: the frame was mapped there just now, writable; nothing else is ever at that address, and the frame is
        // mapped nowhere else: the server has set it apart for this order.
        unsafe { page.write_bytes(0, 1) };
        frame.frame_unmap()?;
    }
    Ok(())
}

/// Has the kernel zero what was used of an untyped: it does so before it makes something of it. What is made is the least
/// there is, so the next retype has next to nothing to zero.
fn clean_untyped(equipment: &Equipment, untyped: CPtrBits) -> sel4::Result<()> {
    let (top, layout) = (equipment.top, equipment.layout);
    let scratch = layout.number(Slot::Scratch);
    let cnode = top.absolute_cptr_for_self();
    let untyped: cap::Untyped = CPtr::from_bits(untyped).cast();
    untyped.untyped_retype(&blueprint(Object::Untyped(GRAIN_BITS)), &cnode, scratch, 1)?;
    layout.path(top, scratch).delete()
}

/// Deletes all chunks and frames of a large page, then cleans it.
#[expect(
    clippy::panic,
    reason = "no client has a part in it, and the books would be wrong"
)]
fn gather(equipment: &Equipment, untyped: CPtrBits) -> sel4::Result<()> {
    let (top, layout) = (equipment.top, equipment.layout);
    let revoked = layout.path(top, untyped as usize).revoke();
    // The kernel knows no reason to refuse this; what would be left of the large page then, nobody could say.
    if let Err(error) = revoked {
        panic!("the cleaner can't revoke a large page: {error}");
    }
    clean_untyped(equipment, untyped)
}

/// Makes the frames of a clean chunk.
fn make_frames(equipment: &Equipment, chunk: Chunk) -> sel4::Result<()> {
    let first = Slot::Page(chunk.first_page());
    make(
        equipment,
        Slot::Chunk(chunk),
        Object::Frame,
        first,
        CHUNK_PAGES,
    )
}

/// Makes the chunks of a clean large page.
fn make_chunks(equipment: &Equipment, large: Large) -> sel4::Result<()> {
    let object = Object::Untyped(PAGE_BITS + CHUNK_PAGES.ilog2());
    let first = Slot::Chunk(large.first_chunk());
    make(equipment, Slot::Large(large), object, first, LARGE_CHUNKS)
}

fn make(
    equipment: &Equipment,
    from: Slot,
    object: Object,
    first: Slot,
    count: usize,
) -> sel4::Result<()> {
    let (top, layout) = (equipment.top, equipment.layout);
    let untyped: cap::Untyped = layout.cptr(from).cast();
    let (cnode, first) = (top.absolute_cptr_for_self(), layout.number(first));
    untyped.untyped_retype(&blueprint(object), &cnode, first, count)
}
