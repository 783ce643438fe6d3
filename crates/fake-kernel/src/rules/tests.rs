// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::code;
use kmalloc_server::kernel::{Kernel, Mapping, Object, Refused, Slot, Table};
use kmalloc_server::physical::{Chunk, Large, Page};

const HERE: usize = 0x10_0000_0000;
const ROOT: Page = Page(0);
const PAGE_TABLE: Page = Page(3);

/// A bare kernel with an address space whose tables reach over [`HERE`], and frames in the pages 16 to 31.
fn bare(release: Release) -> FakeKernel {
    let (mut kernel, _) = FakeKernel::boot_bare(&[(0x100_0000, 23)], release);
    let chunk = |number| Slot::Chunk(Chunk(number));
    let done = |made: Result<(), Refused>| assert_eq!(made, Ok(()));
    done(kernel.retype(Slot::Large(Large(0)), Object::Untyped(16), chunk(0), 32));
    done(kernel.retype(chunk(1), Object::Frame, Slot::Page(Page(16)), 16));
    let levels = [
        Table::VSpace,
        Table::Pdpt,
        Table::PageDirectory,
        Table::PageTable,
    ];
    for (page, level) in (0..).map(Page).zip(levels) {
        done(kernel.retype(chunk(0), Object::Table(level), Slot::Page(page), 1));
        done(match level {
            Table::VSpace => kernel.assign_asid(page),
            _ => kernel.map_table(page, level, ROOT, HERE),
        });
    }
    kernel
}

fn map(kernel: &mut FakeKernel, frame: Slot, address: usize) -> Result<(), Refused> {
    kernel.map_page(frame, ROOT, address, Mapping::MEMORY)
}

fn refused(code: u32) -> Result<(), Refused> {
    Err(Refused { code })
}

#[test]
fn releases_differ_where_something_is_mapped_already() {
    let [first, second] = [16, 17].map(|page| Slot::Page(Page(page)));
    let mut kernel = bare(Release::Five);
    assert_eq!(map(&mut kernel, first, HERE), Ok(()));
    assert_eq!(map(&mut kernel, second, HERE), refused(code::DELETE_FIRST));
    let again = map(&mut kernel, first, HERE);
    assert_eq!(again, refused(code::INVALID_CAPABILITY));

    let mut kernel = bare(Release::Thirteen);
    assert_eq!(map(&mut kernel, first, HERE), Ok(()));
    assert_eq!(map(&mut kernel, first, HERE), Ok(()));
    let elsewhere = map(&mut kernel, first, HERE + 4096);
    assert_eq!(elsewhere, refused(code::INVALID_ARGUMENT));
    assert_eq!(map(&mut kernel, second, HERE), Ok(()));
    // The first one counts as mapped there, and what is mapped there stays when it goes.
    assert_eq!(kernel.unmap_page(first), Ok(()));
    assert!(kernel.translate(ROOT, HERE).is_some());
    assert_eq!(kernel.unmap_page(second), Ok(()));
    assert_eq!(kernel.translate(ROOT, HERE), None);
}

#[test]
fn one_release_leaves_the_mapping_of_a_copy_that_goes() {
    for (release, is_left) in [(Release::Five, true), (Release::Thirteen, false)] {
        let mut kernel = bare(release);
        let copy = Slot::Copy(0);
        assert_eq!(kernel.copy(Slot::Page(Page(16)), copy), Ok(()));
        assert_eq!(map(&mut kernel, copy, HERE), Ok(()));
        assert_eq!(kernel.delete(copy), Ok(()));
        assert_eq!(kernel.translate(ROOT, HERE).is_some(), is_left);
    }
}

#[test]
fn a_table_is_hooked_in_until_it_is_unmapped() {
    let mut kernel = bare(Release::Five);
    assert_eq!(map(&mut kernel, Slot::Page(Page(16)), HERE), Ok(()));
    assert_eq!(kernel.delete(Slot::Page(Page(2))), Ok(()));
    assert_eq!(kernel.translate(ROOT, HERE), None);
    let level = Table::PageTable;
    let again = kernel.map_table(PAGE_TABLE, level, ROOT, HERE);
    assert_eq!(again, refused(code::INVALID_CAPABILITY));
    assert_eq!(kernel.unmap_page_table(PAGE_TABLE), Ok(()));
    let again = kernel.map_table(PAGE_TABLE, level, ROOT, HERE);
    assert_eq!(again, refused(code::FAILED_LOOKUP));
}

#[test]
fn what_was_made_of_something_that_is_gone_goes_with_what_that_was_made_of() {
    let mut kernel = bare(Release::Five);
    let (frame, copies) = (Slot::Page(Page(16)), [Slot::Copy(0), Slot::Copy(1)]);
    assert_eq!(kernel.copy(frame, copies[0]), Ok(()));
    assert_eq!(kernel.copy(copies[0], copies[1]), Ok(()));
    // A copy is nobody's parent.
    assert_eq!(kernel.revoke(copies[0]), Ok(()));
    assert!(kernel.capability(copies[1]).is_some());
    assert_eq!(kernel.delete(frame), Ok(()));
    assert_eq!(kernel.delete(Slot::Chunk(Chunk(1))), Ok(()));
    assert!(kernel.capability(copies[1]).is_some());
    assert_eq!(kernel.revoke(Slot::Large(Large(0))), Ok(()));
    for slot in [copies[0], copies[1], Slot::Page(Page(17))] {
        assert_eq!(kernel.capability(slot), None);
    }
}

#[test]
fn a_number_that_comes_again_is_another_address_spaces() {
    let mut kernel = bare(Release::Five);
    let frame = Slot::Page(Page(16));
    assert_eq!(map(&mut kernel, frame, HERE), Ok(()));
    assert_eq!(kernel.delete(Slot::Page(ROOT)), Ok(()));
    let root = Page(40);
    let made = kernel.retype(
        Slot::Chunk(Chunk(2)),
        Object::Table(Table::VSpace),
        Slot::Page(root),
        1,
    );
    assert_eq!(made, Ok(()));
    assert_eq!(kernel.assign_asid(root), Ok(()));
    // It still counts as mapped, in the old one.
    assert_eq!(
        kernel.map_page(frame, root, HERE, Mapping::MEMORY),
        refused(code::INVALID_CAPABILITY)
    );
    assert_eq!(kernel.unmap_page(frame), Ok(()));
    assert_eq!(
        kernel.map_page(frame, root, HERE, Mapping::MEMORY),
        refused(code::FAILED_LOOKUP)
    );
}

#[test]
fn a_pool_serves_510_address_spaces() {
    let (mut kernel, _) = FakeKernel::boot_bare(&[(0x100_0000, 23)], Release::Five);
    for first in [0, 256] {
        let object = Object::Table(Table::VSpace);
        let made = kernel.retype(Slot::Large(Large(0)), object, Slot::Page(Page(first)), 256);
        assert_eq!(made, Ok(()));
    }
    let assigned: Vec<_> = (0..512)
        .map(|page| kernel.assign_asid(Page(page)))
        .collect();
    assert!(assigned[..510].iter().all(Result::is_ok));
    assert_eq!(assigned[510], refused(code::DELETE_FIRST));
}

/// The calls of 1000 that fail, and what they take together.
fn trouble(seed: u64) -> (Vec<usize>, u64) {
    let mut kernel = bare(Release::Five);
    kernel.fail_seeded(seed, 10, code::NOT_ENOUGH_MEMORY);
    kernel.delay_seeded(seed + 1, 10, 50);
    let failed = (0..1000)
        .filter(|_| kernel.write_page(Page(16), 0, &[1]) == refused(code::NOT_ENOUGH_MEMORY))
        .collect();
    assert_eq!(kernel.stop_failing(), Some("write_page"));
    kernel.delay_seeded(0, 1, 0);
    (failed, kernel.now_us().unwrap_or_default())
}

#[test]
fn failures_and_delays_follow_from_their_seed() {
    let (failed, taken_us) = trouble(7);
    assert!((50..200).contains(&failed.len()), "{}", failed.len());
    assert!((500..5000).contains(&taken_us), "{taken_us}");
    assert_eq!(trouble(7), (failed.clone(), taken_us));
    assert_ne!(trouble(8), (failed, taken_us));
}
