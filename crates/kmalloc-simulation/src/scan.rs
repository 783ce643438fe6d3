// SPDX-License-Identifier: BSD-2-Clause
//! The scanner: derives from the kernel's state alone who has what, and compares it with the server's books.

use self::accounts::{scan_reservations, scan_slots};
use self::charges::{Charges, Segments};
use self::reach::scan_reach;
use self::shared::{Shared, clients_by_space, scan_dataspaces};
use fake_kernel::{Capability, FakeKernel, FrameUse, Kind, RESET_GRANULE};
use kmalloc_protocol::window::Window;
use kmalloc_server::Server;
use kmalloc_server::client::{CLIENTS_MAX, Life};
use kmalloc_server::kernel::{ClientIndex, Slot, Table};
use kmalloc_server::physical::{
    CHUNK_PAGES, Chunk, ChunkForm, Cleaning, LARGE_PAGES, Large, LargeForm, Page, Physical,
};
use std::ops::Range;

mod accounts;
mod charges;
mod reach;
mod shared;

/// Checks every invariant that must hold between two requests.
///
/// # Panics
/// When one does not.
pub fn scan(server: &Server<FakeKernel>) {
    let kernel = server.kernel();
    let physical = server.physical();
    assert_eq!(
        kernel.refusals(),
        &[],
        "the server asked for what the kernel has to refuse"
    );
    let books = server.books();
    assert!(books.balance(), "{books:?}");
    let shared = scan_dataspaces(server);
    let free = scan_pages(kernel, physical, &shared);
    assert_eq!(
        free.pages,
        physical.free_pages(),
        "free pages are counted right"
    );
    assert_eq!(
        free.frames,
        physical.ready_pages() + physical.dirty_pages(),
        "each free frame is either known to be zero or not"
    );
    let cleaning = physical.cleaning().map_or(0, Cleaning::page_count);
    assert_eq!(
        free.usable + free.dirty_larges + cleaning,
        free.pages,
        "what is free and can't be had is dirty or being cleaned"
    );
    assert_eq!(free.usable, physical.usable_pages());
    scan_untypeds(kernel, physical);
    scan_clients(server, &shared, free.held);
    scan_reservations(server);
    scan_slots(server, &shared);
}

/// What of memory is free.
#[derive(Default)]
struct Free {
    pages: usize,
    /// In dirty large pages.
    dirty_larges: usize,
    /// What a call could take.
    usable: usize,
    /// Frames, without those being cleaned.
    frames: usize,
    /// Frames that are mapped nowhere and not free: start pages of clients that are being built.
    held: usize,
}

/// Every page: no frame is free and in use, none is neither.
fn scan_pages(kernel: &FakeKernel, physical: &Physical, shared: &Shared<'_>) -> Free {
    let mut free = Free::default();
    for page in (0..physical.page_capacity() as u32).map(Page) {
        let expected = match kernel.capability(Slot::Page(page)).map(|page| &page.kind) {
            Some(Kind::Frame { usage, .. }) => {
                let is_shared = shared.contains_key(&page);
                if *usage == FrameUse::Unmapped && !is_shared && !physical.is_free(page) {
                    free.held += 1;
                } else if *usage == FrameUse::Unmapped && !is_shared {
                    free.frames += usize::from(!is_being_cleaned(physical, page));
                    assert!(
                        !physical.is_ready(page) || kernel.is_zero_page(page),
                        "{page:?} counts as zero and is not"
                    );
                }
                *usage == FrameUse::Unmapped && !is_shared && physical.is_free(page)
            }
            Some(_) => false,
            None => match physical.chunk_form(page.chunk()) {
                ChunkForm::Whole => true,
                ChunkForm::InLarge => physical.large_form(page.chunk().large()) == LargeForm::Whole,
                ChunkForm::Frames => panic!("{page:?} is to be a frame"),
                ChunkForm::Absent | ChunkForm::Objects => false,
            },
        };
        assert_eq!(
            physical.is_free(page),
            expected,
            "{page:?} is {:?}, its chunk {:?}",
            kernel.capability(Slot::Page(page)),
            physical.chunk_form(page.chunk())
        );
        let large = page.chunk().large();
        let is_dirty_large = physical.large_form(large) == LargeForm::Whole
            && !physical.is_clean_large(large)
            && !is_being_cleaned(physical, page);
        free.dirty_larges += usize::from(is_dirty_large);
        free.usable +=
            usize::from(expected && !is_dirty_large && !is_being_cleaned(physical, page));
        free.pages += usize::from(expected);
    }
    free
}

fn is_being_cleaned(physical: &Physical, page: Page) -> bool {
    physical
        .cleaning()
        .is_some_and(|cleaning| cleaning.contains(page))
}

/// What counts as clean was used as far as one granule at the most, and is zero.
fn check_clean(kernel: &FakeKernel, untyped: Slot, pages: Range<usize>) {
    let Some(Kind::Untyped { watermark, .. }) =
        kernel.capability(untyped).map(|untyped| &untyped.kind)
    else {
        panic!("{untyped:?} is clean and not there");
    };
    assert!(
        *watermark <= RESET_GRANULE,
        "{untyped:?} is clean and was used as far as {watermark}"
    );
    for page in pages {
        assert!(
            kernel.is_zero_page(Page(page as u32)),
            "{untyped:?} is clean and not zero"
        );
    }
}

/// Every untyped: it is held in the form that the books say.
fn scan_untypeds(kernel: &FakeKernel, physical: &Physical) {
    for chunk in (0..(physical.page_capacity() / CHUNK_PAGES) as u32).map(Chunk) {
        let children = children(kernel.capability(Slot::Chunk(chunk)));
        let form = physical.chunk_form(chunk);
        let expected = match form {
            ChunkForm::Absent | ChunkForm::InLarge => children.is_none(),
            ChunkForm::Whole => children == Some(0),
            ChunkForm::Frames => children == Some(CHUNK_PAGES),
            ChunkForm::Objects => children.is_some(),
        };
        assert!(expected, "{chunk:?} is {form:?} and has {children:?}");
        if physical.is_clean_chunk(chunk) {
            check_clean(kernel, Slot::Chunk(chunk), chunk.pages());
        }
    }
    for large in (0..physical.large_capacity() as u32).map(Large) {
        let children = children(kernel.capability(Slot::Large(large)));
        let is_frame = kernel.capability(Slot::LargeFrame(large)).is_some();
        let expected = match physical.large_form(large) {
            LargeForm::Absent => children.is_none(),
            LargeForm::Whole => children == Some(0),
            LargeForm::Split => children == Some(LARGE_PAGES / CHUNK_PAGES) && !is_frame,
            LargeForm::Frame => children == Some(1) && is_frame,
        };
        assert!(expected, "{large:?}: {:?}", physical.large_form(large));
        if physical.is_clean_large(large) {
            check_clean(kernel, Slot::Large(large), large.pages());
        }
    }
}

fn children(untyped: Option<&Capability>) -> Option<usize> {
    match &untyped?.kind {
        Kind::Untyped { children, .. } => Some(children.len()),
        other => panic!("an untyped is {other:?}"),
    }
}

/// Every client: it is charged for exactly what it has.
fn scan_clients(server: &Server<FakeKernel>, shared: &Shared<'_>, held: usize) {
    let kernel = server.kernel();
    let physical = server.physical();
    let mut charges = Charges::default();
    for dataspace in shared.values() {
        charges.add(dataspace.maker, 1);
    }
    let clients = clients_by_space(server);
    for index in (0..CLIENTS_MAX as u16).map(ClientIndex) {
        let account = server.client(index).expect("a place in the registry");
        match account.life {
            Life::Alive => {
                let running = kernel.threads(index).count();
                assert!(running >= 1, "{index:?} runs");
                assert_eq!(running, usize::from(account.threads), "{index:?} runs");
            }
            Life::Building | Life::Ending => {
                // It may have no address space yet.
                charges.add(index, 0);
                let running = kernel.threads(index).next();
                assert_eq!(running, None, "{index:?} does not run");
            }
            Life::Lingering => {
                let left = charges.of(index);
                assert!(
                    left > 0 || server.has_work(),
                    "{index:?} has no reason to stay"
                );
                assert_eq!(account.committed_pages, left, "{index:?} has nothing else");
                let running = kernel.threads(index).next();
                assert_eq!(running, None, "{index:?} does not run");
            }
            Life::Vacant | Life::Dead => {
                assert_eq!(account.committed_pages, 0, "{index:?} has nothing");
                let running = kernel.threads(index).next();
                assert_eq!(running, None, "{index:?} does not run");
            }
        }
    }
    let mut segments = Segments::default();
    let (mut mapped, mut attached) = (0, 0);
    for (root, space) in kernel.spaces() {
        let client = *clients.get(&root).expect("an address space has a client");
        let mut charge = 0;
        for (address, slot) in space.pages() {
            check_frame(kernel, slot, root, address);
            let is_shared = Window::of(address) == Some(Window::Shared);
            match slot {
                Slot::Page(page) => {
                    assert!(!physical.is_free(page), "{page:?} is mapped and free");
                    assert!(!is_shared, "{page:?} at {address:#x} is shared with nobody");
                    charge += 1;
                    mapped += 1;
                }
                Slot::Copy(_) => {
                    assert!(is_shared, "{slot:?} at {address:#x}");
                    attached += 1;
                }
                other => panic!("{other:?} is mapped as a page"),
            }
        }
        for (address, large) in space.larges() {
            check_frame(kernel, Slot::LargeFrame(large), root, address);
            assert_eq!(physical.large_form(large), LargeForm::Frame);
            segments.claim(server, address, client);
            charge += LARGE_PAGES;
        }
        for (address, frame) in space.devices() {
            check_frame(kernel, Slot::Device(frame), root, address);
        }
        for (level, address, table) in space.tables() {
            assert_eq!(physical.chunk_form(table.chunk()), ChunkForm::Objects);
            if level == Table::PageTable {
                segments.claim(server, address, client);
            }
        }
        charges.add(client, charge);
    }
    assert_eq!(mapped, count_mapped(kernel, physical), "no mapping is lost");
    let reached = scan_reach(server);
    assert_eq!(
        attached + reached,
        kernel.copies().count(),
        "no copy is lost"
    );
    for (segment, frames) in kernel.ledgers() {
        charges.add_ledger(segments.owners(server, segment), frames.len());
    }
    charges.add_chunks(server);
    charges.check(server, held);
}

/// The frame's own capability says the same as the table.
fn check_frame(kernel: &FakeKernel, slot: Slot, root: Page, at: usize) {
    let frame = kernel.capability(slot).expect("a mapped frame is there");
    let Kind::Frame {
        usage: FrameUse::Client { space, address, .. },
        ..
    } = frame.kind
    else {
        panic!("{slot:?} at {at:#x} is {frame:?}");
    };
    assert_eq!((space, address), (root, at), "{slot:?} is mapped once");
}

fn count_mapped(kernel: &FakeKernel, physical: &Physical) -> usize {
    (0..physical.page_capacity() as u32)
        .filter(|page| {
            kernel
                .capability(Slot::Page(Page(*page)))
                .is_some_and(|page| {
                    matches!(
                        page.kind,
                        Kind::Frame {
                            usage: FrameUse::Client { .. },
                            ..
                        }
                    )
                })
        })
        .count()
}
