// SPDX-License-Identifier: BSD-2-Clause
//! What sequences work on: four large pages in a row, and the slots for what is made of them.
//!
//! In a sequence the large pages have the numbers 0 to 3, wherever they are in the memory of a machine; [`absolute`] gives
//! the slot that is meant there. A slot need not hold what its number stands for in the server's books: to the kernel all
//! slots are alike.

use core::ops::Range;
use kmalloc_server::kernel::{ClientIndex, ClientObject, Slot, ThreadIndex};
use kmalloc_server::physical::{Chunk, LARGE_CHUNKS, LARGE_PAGES, Large, Page};

/// Large pages.
pub const LARGES: usize = 4;
/// Chunks of all of them.
pub const CHUNKS: usize = LARGES * LARGE_CHUNKS;
/// Pages of all of them.
pub const PAGES: usize = LARGES * LARGE_PAGES;
/// Places in the registry of clients.
pub const CLIENTS: usize = 2;
/// Objects of a client that are made: first those that every kernel has, then those of MCS kernels.
pub const OBJECTS: [ClientObject; 7] = [
    ClientObject::CNode,
    ClientObject::Tcb(ThreadIndex(0)),
    ClientObject::Tcb(ThreadIndex(1)),
    ClientObject::Notification,
    ClientObject::Parking,
    ClientObject::SchedContext(ThreadIndex(0)),
    ClientObject::Reply,
];
/// How many of them every kernel has.
pub const OBJECTS_EVERYWHERE: usize = 5;
/// Slots for copies: the first ones, and the last ones of the CNode.
pub const COPIES: [Range<usize>; 2] = [0..16, ROW_SLOTS - 8..ROW_SLOTS];
/// Slots for copies on a machine of up to 128 MiB. The CNode ends with them.
pub const ROW_SLOTS: usize = 1 << 12;

const LARGE_FRAMES_AT: usize = LARGES;
const CHUNKS_AT: usize = LARGE_FRAMES_AT + LARGES;
const PAGES_AT: usize = CHUNKS_AT + CHUNKS;
const CLIENTS_AT: usize = PAGES_AT + PAGES;
const FIRST_COPIES_AT: usize = CLIENTS_AT + CLIENTS * OBJECTS.len();
const LAST_COPIES_AT: usize = FIRST_COPIES_AT + (COPIES[0].end - COPIES[0].start);
/// All slots.
pub const SLOTS: usize = LAST_COPIES_AT + (COPIES[1].end - COPIES[1].start);

/// Numbers of the slots of pages.
pub const PAGE_NUMBERS: Range<usize> = PAGES_AT..CLIENTS_AT;
/// Numbers of the slots of clients.
pub const CLIENT_NUMBERS: Range<usize> = CLIENTS_AT..FIRST_COPIES_AT;

/// The slot with this number, which is below [`SLOTS`].
pub fn slot(number: usize) -> Slot {
    match number {
        ..LARGE_FRAMES_AT => Slot::Large(Large(number as u32)),
        LARGE_FRAMES_AT..CHUNKS_AT => Slot::LargeFrame(Large((number - LARGE_FRAMES_AT) as u32)),
        CHUNKS_AT..PAGES_AT => Slot::Chunk(Chunk((number - CHUNKS_AT) as u32)),
        PAGES_AT..CLIENTS_AT => Slot::Page(Page((number - PAGES_AT) as u32)),
        CLIENTS_AT..FIRST_COPIES_AT => {
            let number = number - CLIENTS_AT;
            let client = ClientIndex((number / OBJECTS.len()) as u16);
            Slot::Client(client, OBJECTS[number % OBJECTS.len()])
        }
        FIRST_COPIES_AT..LAST_COPIES_AT => {
            Slot::Copy((number - FIRST_COPIES_AT + COPIES[0].start) as u32)
        }
        _ => Slot::Copy((number - LAST_COPIES_AT + COPIES[1].start) as u32),
    }
}

/// The number of a slot; `None` for those outside of the arena.
pub fn number(slot: Slot) -> Option<usize> {
    let within =
        |number: usize, count: usize, first: usize| (number < count).then(|| first + number);
    match slot {
        Slot::Large(large) => within(large.index(), LARGES, 0),
        Slot::LargeFrame(large) => within(large.index(), LARGES, LARGE_FRAMES_AT),
        Slot::Chunk(chunk) => within(chunk.index(), CHUNKS, CHUNKS_AT),
        Slot::Page(page) => within(page.index(), PAGES, PAGES_AT),
        Slot::Client(client, which) => {
            let object = OBJECTS.iter().position(|object| *object == which)?;
            within(client.index(), CLIENTS, 0)
                .map(|client| CLIENTS_AT + client * OBJECTS.len() + object)
        }
        Slot::Copy(copy) => {
            let copy = copy as usize;
            let [first, last] = COPIES;
            if first.contains(&copy) {
                Some(FIRST_COPIES_AT + copy - first.start)
            } else if last.contains(&copy) {
                Some(LAST_COPIES_AT + copy - last.start)
            } else {
                None
            }
        }
        Slot::Scratch | Slot::Device(_) => None,
    }
}

/// The slot behind another, in the order in which a retype fills them; `None` for those that stand alone.
pub fn behind(slot: Slot, distance: usize) -> Option<Slot> {
    let distance = distance as u32;
    match slot {
        Slot::Page(page) => Some(Slot::Page(Page(page.0 + distance))),
        Slot::Chunk(chunk) => Some(Slot::Chunk(Chunk(chunk.0 + distance))),
        Slot::Copy(copy) => Some(Slot::Copy(copy + distance)),
        other => (distance == 0).then_some(other),
    }
}

/// The slot that one of a sequence is on a machine whose arena begins with the large page `first`.
pub fn absolute(slot: Slot, first: Large) -> Slot {
    match slot {
        Slot::Large(large) => Slot::Large(Large(large.0 + first.0)),
        Slot::LargeFrame(large) => Slot::LargeFrame(Large(large.0 + first.0)),
        Slot::Chunk(chunk) => Slot::Chunk(Chunk(chunk.0 + first.0 * LARGE_CHUNKS as u32)),
        Slot::Page(page) => Slot::Page(absolute_page(page, first)),
        other => other,
    }
}

/// The page that one of a sequence is there.
pub fn absolute_page(page: Page, first: Large) -> Page {
    Page(page.0 + first.0 * LARGE_PAGES as u32)
}
