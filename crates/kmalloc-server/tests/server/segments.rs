// SPDX-License-Identifier: BSD-2-Clause
//! Segments that the resident heap maps and unmaps pages of.

use crate::system::{PAGE, RAM, System, UNLIMITED};
use kmalloc_protocol::{Error, Reply, Request, Response};
use kmalloc_server::kernel::ClientIndex;

fn open(system: &mut System, client: ClientIndex, pages: u64) -> u64 {
    let size = pages * PAGE;
    match system.call(client, Request::OpenSegment { size }) {
        Ok(Reply::Region { address, size: got }) if got == size => address,
        other => panic!("no segment of {pages} pages but {other:?}"),
    }
}

fn map(system: &mut System, client: ClientIndex, address: u64, pages: u64) -> Response {
    let size = pages * PAGE;
    system.call(client, Request::Map { address, size })
}

fn unmap(system: &mut System, client: ClientIndex, address: u64, pages: u64) -> Response {
    let size = pages * PAGE;
    system.call(client, Request::Unmap { address, size })
}

#[test]
fn pages_are_mapped_and_unmapped_however_many_at_once() {
    for pages in [1, 2, 15, 16, 17, 33, 200, 511] {
        let mut system = System::new(RAM);
        let client = system.spawn(UNLIMITED);
        let segment = open(&mut system, client, 1);
        let at = segment + PAGE;
        assert_eq!(map(&mut system, client, at, pages), Ok(Reply::Done));
        assert!(
            system.is_zero(client, segment, (1 + pages) * PAGE),
            "{pages}"
        );
        assert!(!system.is_mapped(client, at + pages * PAGE));
        assert_eq!(system.stats(client).region_bytes, (1 + pages) * PAGE);
        system.fill(client, at, pages * PAGE, 9);
        let middle = at + pages / 2 * PAGE;
        assert_eq!(unmap(&mut system, client, middle, 1), Ok(Reply::Done));
        assert!(!system.is_mapped(client, middle));
        assert_eq!(map(&mut system, client, middle, 1), Ok(Reply::Done));
        assert!(system.is_zero(client, middle, PAGE), "{pages}");
        assert_eq!(unmap(&mut system, client, at, pages), Ok(Reply::Done));
        assert_eq!(system.stats(client).region_bytes, PAGE);
        assert_eq!(system.release(client, segment), Ok(Reply::Done));
        assert_eq!(system.stats(client).region_bytes, 0);
    }
}

#[test]
fn pages_that_are_mapped_already_are_refused_and_nothing_changes() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let segment = open(&mut system, client, 20);
    let before = system.stats(client).region_bytes;
    let address = segment + 19 * PAGE;
    for first in [segment, segment + 3 * PAGE, address] {
        let response = map(&mut system, client, first, 30);
        assert_eq!(response, Err(Error::BadPointer { address: first }));
    }
    let response = unmap(&mut system, client, address, 2);
    let address = segment + 20 * PAGE;
    assert_eq!(response, Err(Error::BadPointer { address }));
    assert_eq!(system.stats(client).region_bytes, before);
}

#[test]
fn a_segment_is_memory_of_another_kind_for_resize() {
    for pages in [1, 20, 512] {
        let mut system = System::new(RAM);
        let client = system.spawn(UNLIMITED);
        let address = open(&mut system, client, pages);
        let resize = |address| Request::Resize {
            address,
            size: PAGE,
        };
        let refused = system.call(client, resize(address));
        assert_eq!(refused, Err(Error::WrongKind { address }), "{pages}");
        let address = address + PAGE;
        let refused = system.call(client, resize(address));
        assert_eq!(refused, Err(Error::BadPointer { address }), "{pages}");
    }
}

#[test]
fn sizes_that_are_not_whole_pages_or_none_are_refused() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let segment = open(&mut system, client, 2);
    let address = segment + PAGE;
    for size in [0, 1, PAGE - 1, PAGE + 1, u64::MAX] {
        for request in [
            Request::OpenSegment { size },
            Request::Map { address, size },
            Request::Unmap { address, size },
        ] {
            let refused = system.call(client, request);
            assert_eq!(refused, Err(Error::BadSize { size }), "{request:?}");
        }
    }
    assert_eq!(system.stats(client).region_bytes, 2 * PAGE);
}

#[test]
fn pages_behind_a_bucket_that_went_back_are_no_segment_s() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let address = system.grant(client, 12, 2).expect("memory");
    let more = address + 2 * PAGE;
    let refused = Err(Error::WrongKind { address: more });
    assert_eq!(map(&mut system, client, more, 1), refused);
    assert_eq!(system.release(client, address), Ok(Reply::Done));
    let refused = Err(Error::BadPointer { address: more });
    assert_eq!(map(&mut system, client, more, 1), refused);
}
