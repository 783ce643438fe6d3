// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use kmalloc_server::kernel::{ClientObject, Kernel, Mapping, Object, Refused, Table};
use kmalloc_server::physical::{Chunk, Large, Physical};

const BASE: u64 = 0x100_0000;
const HERE: usize = 0x10_0000_0000;

/// 4 MiB, a chunk and two pages.
fn booted() -> (FakeKernel, Physical) {
    FakeKernel::boot(&[(BASE, 22), (BASE + (4 << 20), 16), (BASE + (6 << 20), 13)])
}

/// A kernel with chunk 0 free, chunk 1 in frames (pages 16 to 31), and an address space in page 32 whose tables reach
/// over [`HERE`].
fn with_space() -> (FakeKernel, Page) {
    let (mut kernel, _) = booted();
    let large = Slot::Large(Large(0));
    let chunks = kernel.retype(large, Object::Untyped(16), Slot::Chunk(Chunk(0)), 32);
    assert_eq!(chunks, Ok(()));
    let frames = kernel.retype(
        Slot::Chunk(Chunk(1)),
        Object::Frame,
        Slot::Page(Page(16)),
        16,
    );
    assert_eq!(frames, Ok(()));
    let levels = [
        Table::VSpace,
        Table::Pdpt,
        Table::PageDirectory,
        Table::PageTable,
    ];
    for (page, level) in (32..).map(Page).zip(levels) {
        let chunk = Slot::Chunk(Chunk(2));
        let made = kernel.retype(chunk, Object::Table(level), Slot::Page(page), 1);
        assert_eq!(made, Ok(()));
        let hooked = match level {
            Table::VSpace => kernel.assign_asid(page),
            _ => kernel.map_table(page, level, Page(32), HERE),
        };
        assert_eq!(hooked, Ok(()));
    }
    (kernel, Page(32))
}

fn map(kernel: &mut FakeKernel, page: u32, space: Page, address: usize) -> Result<(), Refused> {
    kernel.map_page(Slot::Page(Page(page)), space, address, Mapping::MEMORY)
}

fn refused(code: u32) -> Result<(), Refused> {
    Err(Refused { code })
}

#[test]
fn boot_cuts_memory_into_larges_chunks_and_frames() {
    let (kernel, physical) = booted();
    assert_eq!(physical.free_pages(), 1024 + 16 + 2);
    assert_eq!(physical.ready_pages(), 2);
    assert!(kernel.capability(Slot::Large(Large(1))).is_some());
    assert!(kernel.capability(Slot::Large(Large(2))).is_none());
    assert!(kernel.capability(Slot::Chunk(Chunk(64))).is_some());
    assert!(kernel.capability(Slot::Page(Page(3 * 512 + 1))).is_some());
}

#[test]
fn an_untyped_is_used_up_from_its_start_and_begins_anew_without_children() {
    let (mut kernel, _) = with_space();
    let chunk = Slot::Chunk(Chunk(0));
    let client = ClientIndex(3);
    let which = ClientObject::Tcb(ThreadIndex::FIRST);
    let tcb = Slot::Client(client, which);
    let tcb_object = Object::Client(which);
    assert_eq!(kernel.retype(chunk, tcb_object, tcb, 1), Ok(()));
    // Aligned to its size: the first page has no room for a table any more.
    let table = Object::Table(Table::PageTable);
    assert_eq!(kernel.retype(chunk, table, Slot::Page(Page(1)), 15), Ok(()));
    let full = kernel.retype(chunk, table, Slot::Page(Page(0)), 1);
    assert_eq!(full, refused(code::NOT_ENOUGH_MEMORY));
    // Room comes back with the last child only.
    assert_eq!(kernel.delete(Slot::Page(Page(15))), Ok(()));
    let full = kernel.retype(chunk, table, Slot::Page(Page(15)), 1);
    assert_eq!(full, refused(code::NOT_ENOUGH_MEMORY));
    assert_eq!(kernel.revoke(chunk), Ok(()));
    assert_eq!(kernel.capability(tcb), None);
    let frames = kernel.retype(chunk, Object::Frame, Slot::Page(Page(0)), 16);
    assert_eq!(frames, Ok(()));
    assert_eq!(kernel.refusals().len(), 2);
}

#[test]
fn retype_refuses_occupied_slots_too_many_objects_and_what_is_no_untyped() {
    let (mut kernel, _) = with_space();
    let page = Slot::Page(Page(16));
    let chunk = Slot::Chunk(Chunk(3));
    let many = kernel.retype(chunk, Object::Frame, page, RETYPE_MAX + 1);
    assert_eq!(many, refused(code::RANGE_ERROR));
    let occupied = kernel.retype(chunk, Object::Frame, page, 1);
    assert_eq!(occupied, refused(code::DELETE_FIRST));
    let empty = Slot::Page(Page(48));
    let frame = kernel.retype(page, Object::Frame, empty, 1);
    assert_eq!(frame, refused(code::ILLEGAL_OPERATION));
    let nothing = kernel.retype(empty, Object::Frame, empty, 1);
    assert_eq!(nothing, refused(code::INVALID_CAPABILITY));
}

#[test]
fn retype_zeroes_what_was_written_before() {
    let (mut kernel, space) = with_space();
    map(&mut kernel, 16, space, HERE).unwrap();
    kernel.write(space, HERE + 8, b"secret").unwrap();
    assert!(!kernel.is_zero_page(Page(16)));
    assert_eq!(kernel.revoke(Slot::Chunk(Chunk(1))), Ok(()));
    assert!(kernel.read(space, HERE, &mut [0]).is_err());
    assert!(
        !kernel.is_zero_page(Page(16)),
        "revoke does not zero, retype does"
    );
    let frames = kernel.retype(
        Slot::Chunk(Chunk(1)),
        Object::Frame,
        Slot::Page(Page(16)),
        16,
    );
    assert_eq!(frames, Ok(()));
    assert!(kernel.is_zero_page(Page(16)));
}

#[test]
fn a_client_sees_its_memory_through_its_tables() {
    let (mut kernel, space) = with_space();
    map(&mut kernel, 17, space, HERE).unwrap();
    map(&mut kernel, 16, space, HERE + 4096).unwrap();
    let text = [7; 5000];
    kernel.write(space, HERE + 100, &text).unwrap();
    let mut back = [0; 5000];
    kernel.read(space, HERE + 100, &mut back).unwrap();
    assert_eq!(text, back);
    let fault = kernel.write(space, HERE + 4000, &text);
    let address = HERE + 8192;
    assert_eq!(fault, Err(Fault { address }));
    kernel.unmap_page(Slot::Page(Page(17))).unwrap();
    assert!(kernel.read(space, HERE + 100, &mut back).is_err());
    assert_eq!(kernel.is_zero(space, HERE + 4096, 1), Ok(false));
}

#[test]
fn a_page_needs_its_tables_its_alignment_and_a_free_capability() {
    let (mut kernel, space) = with_space();
    for far in [1 << 21, 1 << 30, 1 << 39] {
        let lookup = map(&mut kernel, 16, space, HERE + far);
        assert_eq!(lookup, refused(code::FAILED_LOOKUP));
    }
    let aligned = map(&mut kernel, 16, space, HERE + 8);
    assert_eq!(aligned, refused(code::ALIGNMENT_ERROR));
    assert_eq!(map(&mut kernel, 16, space, HERE), Ok(()));
    let twice = map(&mut kernel, 16, space, HERE + 4096);
    assert_eq!(twice, refused(code::INVALID_CAPABILITY));
    let table = kernel.map_table(Page(35), Table::PageTable, space, HERE + (1 << 21));
    assert_eq!(table, refused(code::INVALID_CAPABILITY), "it is in use");
}

#[test]
fn the_nth_fallible_call_fails_once() {
    let (mut kernel, space) = with_space();
    kernel.fail_at(2, 10);
    assert_eq!(map(&mut kernel, 16, space, HERE), Ok(()));
    assert_eq!(
        map(&mut kernel, 17, space, HERE + 4096),
        refused(code::NOT_ENOUGH_MEMORY)
    );
    assert_eq!(map(&mut kernel, 17, space, HERE + 4096), Ok(()));
    assert_eq!(kernel.stop_failing(), Some("map_page"));
    assert!(kernel.refusals().is_empty());
}

#[test]
fn a_ledger_grows_by_zeroed_frames_and_leaves_them_dirty() {
    let (mut kernel, _) = with_space();
    kernel.push_ledger(5, Page(16)).unwrap();
    kernel.push_ledger(5, Page(17)).unwrap();
    assert_eq!(kernel.ledger(5).len(), 128);
    assert_eq!(kernel.ledger(6).len(), 0);
    kernel.pop_ledger(5, Page(17)).unwrap();
    assert_eq!(kernel.ledger(5).len(), 64);
    assert!(!kernel.is_zero_page(Page(17)));
    kernel.scrub(Page(17)).unwrap();
    assert!(kernel.is_zero_page(Page(17)));
}

/// Runs `act` on a kernel with an address space and a page mapped [`HERE`] that was written to; it must panic.
fn must_panic(act: fn(&mut FakeKernel, Page)) {
    let (mut kernel, space) = with_space();
    map(&mut kernel, 16, space, HERE).unwrap();
    kernel.write(space, HERE, &[1]).unwrap();
    act(&mut kernel, space);
}

#[test]
#[should_panic(expected = "is mapped over what is at")]
fn mapping_over_a_page_panics() {
    must_panic(|kernel, space| map(kernel, 17, space, HERE).unwrap());
}

#[test]
#[should_panic(expected = "goes while frames are mapped through it")]
fn taking_a_table_from_under_a_page_panics() {
    must_panic(|kernel, _| kernel.unmap_page_table(Page(35)).unwrap());
}

#[test]
#[should_panic(expected = "goes while frames are mapped")]
fn destroying_an_address_space_under_its_pages_panics() {
    must_panic(|kernel, _| kernel.revoke(Slot::Chunk(Chunk(2))).unwrap());
}

#[test]
#[should_panic(expected = "goes while the frame is mapped by it")]
fn a_copy_is_unmapped_before_it_is_deleted() {
    let (mut kernel, space) = with_space();
    let copy = Slot::Copy(0);
    assert_eq!(kernel.copy(Slot::Page(Page(16)), copy), Ok(()));
    let mapped = kernel.map_page(copy, space, HERE, Mapping::MEMORY);
    assert_eq!(mapped, Ok(()));
    let _ = kernel.delete(copy);
}

#[test]
#[should_panic(expected = "is no unmapped frame")]
fn scrubbing_a_mapped_page_panics() {
    must_panic(|kernel, _| kernel.scrub(Page(16)).unwrap());
}

#[test]
#[should_panic(expected = "while objects made of it are alive")]
fn deleting_an_untyped_with_children_panics() {
    must_panic(|kernel, _| kernel.delete(Slot::Chunk(Chunk(1))).unwrap());
}

#[test]
#[should_panic(expected = "is mapped for")]
fn showing_bytes_of_one_client_to_another_panics() {
    must_panic(|kernel, _| {
        let chunk = Slot::Chunk(Chunk(3));
        for (page, level) in [
            (48, Table::VSpace),
            (49, Table::Pdpt),
            (50, Table::PageDirectory),
            (51, Table::PageTable),
        ] {
            let slot = Slot::Page(Page(page));
            kernel.retype(chunk, Object::Table(level), slot, 1).unwrap();
            match level {
                Table::VSpace => kernel.assign_asid(Page(48)).unwrap(),
                _ => kernel.map_table(Page(page), level, Page(48), HERE).unwrap(),
            }
        }
        kernel.unmap_page(Slot::Page(Page(16))).unwrap();
        map(kernel, 16, Page(48), HERE).unwrap();
    });
}

#[test]
fn copies_of_a_frame_are_mapped_each_for_itself_and_share_what_is_in_it() {
    let (mut kernel, space) = with_space();
    let frame = Slot::Page(Page(16));
    for copy in [3, 4] {
        assert_eq!(kernel.copy(frame, Slot::Copy(copy)), Ok(()));
        let at = HERE + copy as usize * 4096;
        let mapped = kernel.map_page(Slot::Copy(copy), space, at, Mapping::MEMORY);
        assert_eq!(mapped, Ok(()));
    }
    assert_eq!(kernel.write(space, HERE + 3 * 4096, b"shared"), Ok(()));
    let mut read = [0; 6];
    assert_eq!(kernel.read(space, HERE + 4 * 4096, &mut read), Ok(()));
    assert_eq!(&read, b"shared");
    let occupied = kernel.copy(frame, Slot::Copy(3));
    assert_eq!(occupied, refused(code::DELETE_FIRST));
    let of_nothing = kernel.copy(Slot::Copy(6), Slot::Copy(5));
    assert_eq!(of_nothing, refused(code::FAILED_LOOKUP));
    assert_eq!(kernel.unmap_page(Slot::Copy(3)), Ok(()));
    assert_eq!(kernel.delete(Slot::Copy(3)), Ok(()));
    assert_eq!(kernel.translate(space, HERE + 3 * 4096), None);
    assert!(kernel.translate(space, HERE + 4 * 4096).is_some());
    assert_eq!(kernel.unmap_page(Slot::Copy(4)), Ok(()));
    assert_eq!(kernel.delete(Slot::Copy(4)), Ok(()));
    assert_eq!(kernel.copies().count(), 0);
    assert_eq!(kernel.scrub(Page(16)), Ok(()));
}

#[test]
#[should_panic(expected = "is no unmapped frame")]
fn a_frame_that_is_shared_is_not_scrubbed() {
    let (mut kernel, _) = with_space();
    let frame = Slot::Page(Page(16));
    assert_eq!(kernel.copy(frame, Slot::Copy(0)), Ok(()));
    let _ = kernel.scrub(Page(16));
}

#[test]
#[should_panic(expected = "goes while it is shared")]
fn a_frame_that_is_shared_is_not_revoked() {
    let (mut kernel, _) = with_space();
    let frame = Slot::Page(Page(16));
    assert_eq!(kernel.copy(frame, Slot::Copy(0)), Ok(()));
    let _ = kernel.revoke(Slot::Chunk(Chunk(1)));
}
