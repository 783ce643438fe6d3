// SPDX-License-Identifier: BSD-2-Clause
use crate::{FakeFunction, FakeKernel, Fault, code};
use kmalloc_server::kernel::{Kernel, Mapping, Object, Refused, Slot, Table};
use kmalloc_server::machine::Machine;
use kmalloc_server::pci::FunctionAddress;
use kmalloc_server::physical::{Chunk, Page};

const BASE: u64 = 0x100_0000;
const CARD: FunctionAddress = FunctionAddress::new(0, 3, 0);
/// The card's number.
const NUMBER: u8 = 7;
const HERE: usize = 0x10_0000_0000;
/// A frame, a copy of it, and where it is.
const FRAME: Page = Page(16);
const COPY: Slot = Slot::Copy(0);
const ADDRESS: u64 = BASE + (16 << 12);
/// The tables that a function's page takes below the highest.
const TABLES: [Page; 2] = [Page(36), Page(37)];

/// A kernel on a machine with an IOMMU of three levels, a card that has an address space, frames in chunk 1, and two
/// tables and a client's address space in chunk 2. [`FRAME`] is the client's, and copied.
fn with_card() -> FakeKernel {
    let (mut kernel, _) =
        FakeKernel::boot(&[(BASE, 16), (BASE + (1 << 16), 16), (BASE + (2 << 16), 16)]);
    let frames = Slot::Chunk(Chunk(1));
    let done = kernel.retype(frames, Object::Frame, Slot::Page(FRAME), 16);
    assert_eq!(done, Ok(()));
    let levels = [
        Table::VSpace,
        Table::Pdpt,
        Table::PageDirectory,
        Table::PageTable,
    ];
    let objects = levels
        .map(Object::Table)
        .into_iter()
        .chain([Object::IoTable; 2]);
    for (page, object) in (32..).map(Page).zip(objects) {
        let done = kernel.retype(Slot::Chunk(Chunk(2)), object, Slot::Page(page), 1);
        assert_eq!(done, Ok(()));
        let hooked = match object {
            Object::Table(Table::VSpace) => kernel.assign_asid(page),
            Object::Table(level) => kernel.map_table(page, level, Page(32), HERE),
            _ => Ok(()),
        };
        assert_eq!(hooked, Ok(()));
    }
    let frame = Slot::Page(FRAME);
    assert_eq!(
        kernel.map_page(frame, Page(32), HERE, Mapping::MEMORY),
        Ok(())
    );
    assert_eq!(kernel.copy(frame, COPY), Ok(()));
    kernel.machine_mut().io_levels = 3;
    let card = FakeFunction::new(0x1234, 1, 0xfe00_0000, 0x1000, 11);
    kernel.machine_mut().functions.insert(CARD, card);
    assert_eq!(kernel.open_io_space(NUMBER, CARD), Ok(()));
    kernel
}

/// The same, and the card reaches the frame.
fn reaching() -> FakeKernel {
    let mut kernel = with_card();
    for table in TABLES {
        assert_eq!(kernel.map_io_table(table, NUMBER, ADDRESS), Ok(()));
    }
    assert_eq!(kernel.map_io_page(COPY, NUMBER, ADDRESS), Ok(()));
    kernel
}

fn refused(code: u32) -> Result<(), Refused> {
    Err(Refused { code })
}

#[test]
fn a_page_takes_its_tables_and_a_place_of_its_own() {
    let mut kernel = with_card();
    for table in TABLES {
        let early = kernel.map_io_page(COPY, NUMBER, ADDRESS);
        assert_eq!(early, refused(code::FAILED_LOOKUP));
        assert_eq!(kernel.map_io_table(table, NUMBER, ADDRESS), Ok(()));
        let again = kernel.map_io_table(table, NUMBER, ADDRESS);
        assert_eq!(again, refused(code::INVALID_CAPABILITY));
    }
    assert_eq!(kernel.map_io_page(COPY, NUMBER, ADDRESS), Ok(()));
    let twice = kernel.map_io_page(COPY, NUMBER, ADDRESS + 4096);
    assert_eq!(twice, refused(code::INVALID_CAPABILITY));
    assert_eq!(kernel.copy(Slot::Page(FRAME), Slot::Copy(1)), Ok(()));
    let occupied = kernel.map_io_page(Slot::Copy(1), NUMBER, ADDRESS);
    assert_eq!(occupied, refused(code::DELETE_FIRST));
    let nobody = kernel.map_io_page(Slot::Copy(1), NUMBER + 1, ADDRESS);
    assert_eq!(nobody, refused(code::INVALID_CAPABILITY));
}

#[test]
fn a_function_writes_where_it_reaches_and_stops_there() {
    let mut kernel = reaching();
    let end = ADDRESS + 4096;
    let fault = Fault {
        address: end as usize,
    };
    assert_eq!(kernel.device_write(CARD, end - 2, &[1, 2, 3]), Err(fault));
    let mut bytes = [0; 2];
    assert_eq!(kernel.read(Page(32), HERE + 4094, &mut bytes), Ok(()));
    assert_eq!(bytes, [1, 2]);
    assert_eq!(kernel.unmap_page(COPY), Ok(()));
    let fault = Fault {
        address: ADDRESS as usize,
    };
    assert_eq!(kernel.device_write(CARD, ADDRESS, &[1]), Err(fault));
    // From the lowest on.
    for table in TABLES.into_iter().rev() {
        assert_eq!(kernel.unmap_io_table(table), Ok(()));
    }
    assert_eq!(kernel.delete(COPY), Ok(()));
    assert_eq!(kernel.unmap_page(Slot::Page(FRAME)), Ok(()));
    assert_eq!(kernel.revoke(Slot::Chunk(Chunk(2))), Ok(()));
}

#[test]
#[should_panic(expected = "goes while a function reaches it")]
fn a_frame_is_not_unmapped_while_it_is_reached() {
    let _ = reaching().unmap_page(Slot::Page(FRAME));
}

#[test]
#[should_panic(expected = "goes while something is mapped through it")]
fn a_table_is_not_taken_from_under_a_page() {
    let _ = reaching().unmap_io_table(TABLES[1]);
}

#[test]
#[should_panic(expected = "goes while it is part of a function's address space")]
fn a_table_is_unhooked_before_it_is_revoked() {
    let _ = reaching().revoke(Slot::Chunk(Chunk(2)));
}

#[test]
#[should_panic(expected = "is shared while one has it alone")]
fn a_copy_of_a_mapped_frame_is_not_for_clients() {
    let mut kernel = with_card();
    let _ = kernel.map_page(COPY, Page(32), HERE + 4096, Mapping::MEMORY);
}
