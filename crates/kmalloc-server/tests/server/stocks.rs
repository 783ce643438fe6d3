// SPDX-License-Identifier: BSD-2-Clause
//! Chunks that a client has from its start, so that it can use what is reserved for it whatever others do.

use crate::system::{MIB, PAGE, System, UNLIMITED, program};
use kmalloc_protocol::Request;
use kmalloc_server::spawn::Spawn;

/// 64 MiB.
const RAM: &[(u64, u32)] = &[(0x400_0000, 26)];

/// Chunks of kernel objects of a client that has just started.
fn chunks(memory_limit: u64, memory_reserved: u64) -> u64 {
    let mut system = System::new(RAM);
    let client = system.try_spawn(&Spawn {
        memory_reserved,
        ..program(memory_limit)
    });
    let client = client.expect("a client");
    let account = system.server.client(client).expect("a place");
    account.counters.object_chunks
}

#[test]
fn a_stock_is_for_the_tables_of_all_that_is_reserved() {
    let without = chunks(UNLIMITED, 0);
    // Pages reserved and six windows' last segments, each with a table; at most 24 directories; 16 pages for threads; and 15
    // pages of a chunk of 16 are sure to be of use.
    for (pages, stock) in [
        (1, (7 + 7 + 16_u64).div_ceil(15)),
        (10, (16 + 16 + 16_u64).div_ceil(15)),
        (15, (21 + 21 + 16_u64).div_ceil(15)),
        (100, (106 + 24 + 16_u64).div_ceil(15)),
        (2000, (2006 + 24 + 16_u64).div_ceil(15)),
    ] {
        let with = chunks(UNLIMITED, pages * PAGE);
        assert_eq!(with - without, stock, "{pages} pages");
    }
}

#[test]
fn a_stock_is_for_no_more_segments_than_the_client_may_have() {
    let without = chunks(4 * MIB, 0);
    // 16 segments, and one for each half MiB of its limit.
    let with = chunks(4 * MIB, MIB);
    assert_eq!(with - without, (24 + 24 + 16_u64).div_ceil(15));
}

#[test]
fn a_client_that_reserves_nothing_has_no_stock() {
    // All that it begins with fits one.
    assert_eq!(chunks(UNLIMITED, 0), 1);
}

#[test]
fn a_chunk_is_for_sixteen_tables() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let opened = (0..50).filter(|_| {
        let chunks = |system: &System| {
            let account = system.server.client(client).expect("a place");
            account.counters.object_chunks
        };
        let before = chunks(&system);
        // Each segment has a table of its own.
        let segment = system.call(client, Request::OpenSegment { size: PAGE });
        assert!(segment.is_ok());
        chunks(&system) > before
    });
    let opened: Vec<_> = opened.collect();
    assert!(opened.len() >= 3);
    for (first, second) in opened.iter().zip(&opened[1..]) {
        assert_eq!(second - first, 16);
    }
}
