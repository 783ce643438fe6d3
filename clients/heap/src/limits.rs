// SPDX-License-Identifier: BSD-2-Clause
use crate::HEAP;
use client_test::{Outcome, check, check_eq, ok};
use core::ptr::NonNull;
use kmalloc::transport::call;
use kmalloc::{Error, Flags, Window, served};
use kmalloc_protocol::{Reply, Request};

const SEGMENT: u64 = 2 << 20;

pub fn quota() -> Outcome {
    let mut blocks = [None; 64];
    let mut refused = None;
    for place in &mut blocks {
        match HEAP.kmalloc(1 << 20, Flags::empty()) {
            Ok(block) => *place = Some(block),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let stats = ok!(served::stats());
    let Some(Error::OverQuota {
        limit,
        committed,
        requested,
    }) = refused
    else {
        return Err(client_test::refused(&refused, "over quota", line!()));
    };
    check_eq!((limit, committed), (stats.limit, stats.committed));
    check!(requested >= 1 << 20 && committed + requested > limit);
    for block in blocks.into_iter().flatten() {
        // SAFETY: the block is used no more.
        ok!(unsafe { HEAP.kfree(block) });
    }
    HEAP.trim();
    let block: NonNull<u8> = ok!(HEAP.kmalloc(1 << 20, Flags::ZERO));
    // SAFETY: the block is used no more.
    ok!(unsafe { HEAP.kfree(block) });
    HEAP.trim();
    Ok(())
}

pub fn segments() -> Outcome {
    let Reply::Region { address, size } = ok!(call(&Request::OpenSegment { size: 8192 })) else {
        check!(false);
        return Ok(());
    };
    check_eq!(size, 8192);
    let done = Ok(Reply::Done);
    let at = |page: u64| address + page * 4096;
    let bad = |page: u64| Err(Error::BadPointer { address: at(page) });
    check_eq!(
        call(&Request::Map {
            address: at(1),
            size: 4096
        }),
        bad(1)
    );
    check_eq!(
        call(&Request::Map {
            address: at(2),
            size: 0
        }),
        Err(Error::BadSize { size: 0 })
    );
    check_eq!(
        call(&Request::Map {
            address: at(511),
            size: 8192
        }),
        Err(Error::BadSize { size: 8192 })
    );
    check_eq!(
        call(&Request::Map {
            address: at(500),
            size: 4096 * 12
        }),
        done
    );
    check_eq!(
        call(&Request::Unmap {
            address: at(0),
            size: 4096
        }),
        bad(0)
    );
    check_eq!(
        call(&Request::Unmap {
            address: at(1),
            size: 8192
        }),
        bad(2)
    );
    check_eq!(
        call(&Request::Unmap {
            address: at(1),
            size: 4096
        }),
        done
    );
    check_eq!(
        call(&Request::Unmap {
            address: at(1),
            size: 4096
        }),
        bad(1)
    );
    let mapped = ok!(served::stats()).region_bytes;
    check_eq!(call(&Request::Release { address: at(500) }).is_err(), true);
    check_eq!(call(&Request::Release { address }), done);
    check_eq!(mapped - ok!(served::stats()).region_bytes, 13 * 4096);
    check!(call(&Request::Release { address }).is_err());
    // Other clients' segments, and none at all.
    let first = Window::Resident.base() as u64;
    let mut refused = 0;
    for segment in 0..32 {
        let address = first + segment * SEGMENT;
        match call(&Request::Map {
            address: address + 4096,
            size: 4096,
        }) {
            Err(Error::NotOwner { .. } | Error::BadPointer { .. } | Error::WrongKind { .. }) => {
                refused += 1
            }
            other => check_eq!(other, done),
        }
    }
    check!(refused > 0);
    Ok(())
}

pub fn large_frames() -> Outcome {
    // A segment with all its pages is one frame where a whole one is free: no page table, no ledger of 512 pages.
    let before = ok!(served::stats()).committed;
    let Reply::Region { address, .. } = ok!(call(&Request::OpenSegment { size: SEGMENT })) else {
        check!(false);
        return Ok(());
    };
    let taken = ok!(served::stats()).committed - before;
    check!((SEGMENT..=SEGMENT + 5 * 4096).contains(&taken));
    let block = core::ptr::with_exposed_provenance_mut::<u64>(address as usize);
    for index in 0..SEGMENT as usize / 8 {
        // SAFETY: the segment was given to this test, whole.
        unsafe {
            check_eq!(block.add(index).read(), 0);
            block.add(index).write(index as u64);
        }
    }
    check!(
        call(&Request::Unmap {
            address: address + 4096,
            size: 4096
        })
        .is_err()
    );
    check_eq!(call(&Request::Release { address }), Ok(Reply::Done));
    Ok(())
}
