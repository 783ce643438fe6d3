// SPDX-License-Identifier: BSD-2-Clause
//! Operations that only mean something one after the other.

use crate::belief::{Held, Rank};
use crate::generator::{Generator, Theme};
use crate::operation::Operation;
use crate::{Access, arena};
use kmalloc_server::kernel::{Mapping, Object, Slot, Table};
use kmalloc_server::physical::{Chunk, LARGE_CHUNKS, Large, Page};

/// Where most things are mapped.
pub(crate) const HERE: usize = 0x10_0000_0000;
/// Pages at the end of the arena that only ledgers have.
pub(crate) const LEDGER_PAGES: usize = 16;
/// Ledgers that are used.
const SEGMENTS: usize = 3;
/// The large page that ledgers have a part of, and the chunk of it.
const LEDGER_LARGE: Large = Large(arena::LARGES as u32 - 1);
const LEDGER_CHUNK: Chunk = Chunk(arena::CHUNKS as u32 - 1);
/// The first page of ledgers.
const LEDGER_PAGE: u32 = (arena::PAGES - LEDGER_PAGES) as u32;
/// ASIDs that there are, and some more.
const SPACES: u32 = 520;

fn retype(untyped: Slot, object: Object, first: Slot, count: usize) -> Operation {
    Operation::Retype {
        untyped,
        object,
        first,
        count,
    }
}

fn page(number: u32) -> Slot {
    Slot::Page(Page(number))
}

/// A large page becomes chunks.
fn split(large: Large) -> Operation {
    let first = Slot::Chunk(Chunk(large.0 * LARGE_CHUNKS as u32));
    retype(Slot::Large(large), Object::Untyped(16), first, LARGE_CHUNKS)
}

/// What a sequence begins with: now and then nothing, so that everything is missing.
pub(crate) fn begin(generator: &mut Generator) {
    match generator.theme {
        Theme::Memory => {}
        Theme::Mapping | Theme::Sharing => {
            if generator.random.one_in(16) {
                return;
            }
            let first = space(generator);
            let large = Slot::LargeFrame(Large(1));
            generator.plan(&[
                split(Large(0)),
                retype(Slot::Chunk(Chunk(1)), Object::Frame, page(32), 12),
                retype(Slot::Large(Large(1)), Object::LargeFrame, large, 1),
                first,
            ]);
        }
        Theme::Ledgers => generator.plan(&[
            split(LEDGER_LARGE),
            retype(
                Slot::Chunk(LEDGER_CHUNK),
                Object::Frame,
                page(LEDGER_PAGE),
                LEDGER_PAGES,
            ),
        ]),
        Theme::Asids => {
            let object = Object::Table(Table::VSpace);
            generator.plan(&[
                retype(Slot::Large(Large(0)), object, page(0), 256),
                retype(Slot::Large(Large(0)), object, page(256), 256),
                retype(Slot::Large(Large(1)), object, page(512), 16),
            ]);
        }
    }
}

/// What only the ledgers may have, in sequences that use them.
pub(crate) fn is_reserved(generator: &Generator, slot: Slot) -> bool {
    generator.theme == Theme::Ledgers
        && match slot {
            Slot::Large(large) => large == LEDGER_LARGE,
            Slot::Chunk(chunk) => chunk == LEDGER_CHUNK,
            Slot::Page(page) => page.0 >= LEDGER_PAGE,
            _ => false,
        }
}

/// An address space with tables over [`HERE`], of a chunk and in slots that may be free or not. Sometimes one of its steps
/// is left out. Gives the first step, and has the others done behind it.
pub(crate) fn space(generator: &mut Generator) -> Operation {
    let which = generator.random.below(2) as u32;
    let chunk = Slot::Chunk(Chunk(which * 3));
    let at = which * 48;
    let tables = [
        (Table::VSpace, 0, 2),
        (Table::Pdpt, 2, 2),
        (Table::PageDirectory, 4, 3),
        (Table::PageTable, 7, 5),
    ];
    let left_out = generator.random.below(24);
    let mut steps = [Operation::AssignAsid(Page(at)); 10];
    for (step, (level, first, count)) in steps.iter_mut().zip(tables) {
        *step = retype(chunk, Object::Table(level), page(at + first), count);
    }
    let hook = |table: u32, level, address| Operation::MapTable {
        table: Page(at + table),
        level,
        space: Page(at),
        address,
    };
    steps[5..].copy_from_slice(&[
        hook(2, Table::Pdpt, HERE),
        hook(4, Table::PageDirectory, HERE),
        hook(7, Table::PageTable, HERE),
        hook(8, Table::PageTable, HERE + (1 << 21)),
        Operation::AssignAsid(Page(at + 1)),
    ]);
    if left_out < steps.len() {
        steps[left_out] = Operation::LedgerLength(0);
    }
    generator.plan(&steps);
    match generator.belief.held(chunk) {
        Held::Untyped => Operation::Revoke(chunk),
        _ => split(Large(0)),
    }
}

/// Memory that was written to, is gone, and comes again.
pub(crate) fn reuse(generator: &mut Generator) -> Operation {
    let chunk = Slot::Chunk(Chunk(5));
    let frames = retype(chunk, Object::Frame, page(80), 4);
    let pattern = generator.random.word();
    let write = Operation::WritePage {
        frame: Page(81),
        offset: 0,
        pattern,
    };
    let gone = if generator.random.one_in(2) {
        [81, 80, 82, 83].map(|number| Operation::Delete(page(number)))
    } else {
        [Operation::Revoke(chunk); 4]
    };
    // Shared frames that are mapped must not go like that.
    if generator.belief.shared_and_mapped().is_some() {
        return frames;
    }
    generator.plan(&[
        frames,
        write,
        Operation::Digest(page(81)),
        gone[0],
        gone[1],
        gone[2],
        gone[3],
        frames,
        Operation::Digest(page(81)),
        Operation::Digest(page(80)),
    ]);
    retype(Slot::Large(Large(0)), Object::Untyped(16), chunk, 1)
}

/// A capability that is deleted while the frame is mapped by it, and the frame has another one. What is mapped then differs
/// between releases; the page table goes before anything else can happen to the frame.
pub(crate) fn deleted_copy(generator: &mut Generator) -> Operation {
    let frame = generator.slot_with(|held| {
        matches!(
            held,
            Held::Frame {
                is_large: false,
                mapped: None,
                rank: Rank::First,
                ..
            }
        )
    });
    let root = Slot::Page(Page(0));
    let is_ready = generator.belief.held(root)
        == Held::Table {
            level: Table::VSpace,
            is_hooked: true,
        }
        && matches!(
            generator.belief.held(frame),
            Held::Frame {
                is_large: false,
                mapped: None,
                ..
            }
        );
    let copy = Slot::Copy(0);
    let at = HERE + (5 << 12);
    let touch = |access| Operation::Touch {
        space: Page(0),
        address: at,
        access,
    };
    let table = generator.belief.held(page(7));
    let hooked = Held::Table {
        level: Table::PageTable,
        is_hooked: true,
    };
    if !is_ready || table != hooked || !generator.belief.is_empty(copy) {
        return generator.map_page();
    }
    generator.plan(&[
        Operation::MapPage {
            frame: copy,
            space: Page(0),
            address: at,
            how: Mapping::MEMORY,
        },
        touch(Access::Read),
        Operation::Delete(copy),
        touch(Access::Read),
        Operation::UnmapPageTable(Page(7)),
        touch(Access::Read),
    ]);
    Operation::Copy { frame, to: copy }
}

/// Ledgers that grow and shrink.
pub(crate) fn ledgers(generator: &mut Generator) -> Operation {
    let segment = generator.random.below(SEGMENTS) as u32;
    let number = LEDGER_PAGE + generator.random.below(LEDGER_PAGES) as u32;
    let frame = Page(number);
    let is_pushed = generator.pushed.iter().any(|(_, other)| *other == frame);
    let last = generator.pushed.iter().rev().find(|(of, _)| *of == segment);
    match (generator.random.below(8), last.copied()) {
        (0..=3, _) if !is_pushed => Operation::PushLedger { segment, frame },
        (4..=5, Some((segment, frame))) => Operation::PopLedger { segment, frame },
        (6, _) if is_pushed => Operation::PushLedger { segment, frame },
        _ => Operation::LedgerLength(segment),
    }
}

/// Address spaces get ASIDs until there are none, and some give theirs back.
pub(crate) fn asids(generator: &mut Generator) -> Operation {
    if generator.next_asid < SPACES {
        generator.next_asid += 1;
        return Operation::AssignAsid(Page(generator.next_asid - 1));
    }
    let space = Page(generator.random.below(SPACES as usize) as u32);
    if generator.random.one_in(3) {
        Operation::Delete(Slot::Page(space))
    } else {
        Operation::AssignAsid(space)
    }
}
