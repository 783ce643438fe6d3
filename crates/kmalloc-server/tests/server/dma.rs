// SPDX-License-Identifier: BSD-2-Clause
//! DMA memory: contiguous, where it was asked for, exactly the pages asked for.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED, program};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Cache, Error, Reply, Request, Response, SIZE_MAX};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::spawn::Spawn;

/// Conditions of a request.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    size: u64,
    max_addr: u64,
    align_bits: u8,
    boundary_bits: u8,
    cache: u8,
}

const PLAIN: Wanted = Wanted {
    size: PAGE,
    max_addr: u64::MAX,
    align_bits: 0,
    boundary_bits: 0,
    cache: 0,
};

fn request(wanted: Wanted) -> Request<'static> {
    Request::KmallocDma {
        size: wanted.size,
        max_addr: wanted.max_addr,
        align_bits: wanted.align_bits,
        boundary_bits: wanted.boundary_bits,
        cache: wanted.cache,
    }
}

fn one_client() -> (System, ClientIndex) {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    (system, client)
}

/// Checks a success against its conditions and the kernel's tables; the address and the DMA address.
fn check(system: &System, client: ClientIndex, wanted: Wanted, response: Response) -> (u64, u64) {
    let Ok(Reply::Dma {
        address,
        dma_addr,
        size,
    }) = response
    else {
        panic!("{wanted:x?}: {response:x?}");
    };
    assert_eq!(size, wanted.size.next_multiple_of(PAGE));
    assert_eq!(Window::of(address as usize), Some(Window::Dma));
    assert_eq!(dma_addr % (1 << wanted.align_bits), 0, "{wanted:x?}");
    assert!(dma_addr + size - 1 <= wanted.max_addr, "{wanted:x?}");
    if wanted.boundary_bits != 0 {
        assert_eq!(
            dma_addr >> wanted.boundary_bits,
            (dma_addr + size - 1) >> wanted.boundary_bits,
            "{wanted:x?} at {dma_addr:x}"
        );
    }
    for offset in (0..size).step_by(PAGE as usize) {
        let (place, how) = system
            .translate(client, address + offset)
            .expect("DMA memory is mapped");
        assert_eq!(place, dma_addr + offset, "the address is the true one");
        assert!(how.writable);
        assert_eq!(Some(how.cache), Cache::from_number(wanted.cache));
    }
    assert!(system.is_zero(client, address, size));
    assert!(!system.is_mapped(client, address - PAGE), "a guard before");
    assert!(!system.is_mapped(client, address + size), "a guard behind");
    (address, dma_addr)
}

#[test]
fn every_condition_is_kept() {
    let (mut system, client) = one_client();
    for pages in [1, 2, 3, 5, 16, 17, 100, 509, 510, 511, 512, 513, 1023] {
        for align_bits in [0, 12, 13, 16, 20, 21] {
            for boundary_bits in [0, 12, 16, 20, 22, 63] {
                for max_addr in [u64::MAX, 0x1ff_ffff, 0x180_0fff] {
                    let wanted = Wanted {
                        size: pages * PAGE - 7,
                        max_addr,
                        align_bits,
                        boundary_bits,
                        cache: (pages % 4) as u8,
                    };
                    let mut response = system.call(client, request(wanted));
                    if let Err(Error::BeingCleaned { .. }) = response {
                        system.clean();
                        response = system.call(client, request(wanted));
                    }
                    let size = pages * PAGE;
                    if boundary_bits != 0 && size > 1 << boundary_bits {
                        let value = u64::from(boundary_bits);
                        assert_eq!(response, Err(Error::BadAlignment { value }));
                        continue;
                    }
                    let (address, _) = check(&system, client, wanted, response);
                    system.fill(client, address, size, 6);
                    assert_eq!(system.stats(client).dma_bytes, size);
                    assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
                    assert!(!system.is_mapped(client, address));
                    // What the server remembers of a segment goes with it: then the pointer is a wild one.
                    let twice = system.kfree_dma(client, address);
                    assert!(
                        twice == Err(Error::DoubleFree { address })
                            || twice == Err(Error::BadPointer { address }) && pages > 510,
                        "{wanted:x?}: {twice:x?}"
                    );
                }
            }
        }
    }
    assert_eq!(system.mapped_segments(), 1);
}

#[test]
fn only_the_pages_asked_for_are_taken() {
    let (mut system, client) = one_client();
    let first = system.dma(client, 1).expect("memory");
    let before = system.committed(client);
    let free = system.books().free;
    let second = system.dma(client, 33 * PAGE + 1).expect("memory");
    assert_eq!(system.committed(client), before + 34 * PAGE);
    assert_eq!(system.books().free, free - 34 * PAGE);
    assert!(
        second.0.abs_diff(first.0) >= 2 * PAGE,
        "guards between them"
    );
}

#[test]
fn big_buffers_are_large_pages_and_exactly_the_pages_left_over() {
    let (mut system, client) = one_client();
    let larges = system.whole_larges();
    let committed = system.committed(client);
    let wanted = Wanted {
        size: 4 * MIB + 3 * PAGE,
        cache: 2,
        ..PLAIN
    };
    let response = system.call(client, request(wanted));
    let (address, dma_addr) = check(&system, client, wanted, response);
    assert_eq!((address % (2 * MIB), dma_addr % (2 * MIB)), (0, 0));
    // Two of them as they are, and one that the last pages are of, with the tables and a page of the ledger.
    let left = larges - system.whole_larges();
    assert!((2..=3).contains(&left), "{left} large pages are gone");
    let taken = system.committed(client) - committed;
    assert!(
        (4 * MIB + 3 * PAGE..=4 * MIB + 20 * PAGE).contains(&taken),
        "{taken} bytes"
    );
    let middle = address + 2 * MIB;
    assert_eq!(
        system.kfree_dma(client, middle),
        Err(Error::BadPointer { address: middle })
    );
    assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
    assert!(!system.is_mapped(client, address));
    assert_eq!(system.stats(client).dma_bytes, 0);
    // What a device wrote is gone before anybody else has it.
    let again = system.call(client, request(wanted));
    assert!(
        matches!(again, Ok(_) | Err(Error::BeingCleaned { .. })),
        "{again:?}"
    );
}

#[test]
fn a_big_buffer_is_of_single_pages_where_no_large_page_is_whole() {
    let (mut system, client) = one_client();
    let mut pages = Vec::new();
    while system.whole_larges() > 0 {
        pages.push(system.kmalloc(client, PAGE).expect("memory"));
    }
    for address in pages {
        assert_eq!(system.kfree(client, address), Ok(Reply::Done));
    }
    let wanted = Wanted {
        size: 4 * MIB,
        ..PLAIN
    };
    let response = system.call(client, request(wanted));
    check(&system, client, wanted, response);
}

#[test]
fn conditions_that_nobody_can_keep_are_refused() {
    let (mut system, client) = one_client();
    let cases = [
        (Wanted { size: 0, ..PLAIN }, Error::BadSize { size: 0 }),
        (
            Wanted {
                size: u64::MAX,
                ..PLAIN
            },
            Error::BadSize { size: u64::MAX },
        ),
        (
            Wanted {
                size: SIZE_MAX + 1,
                ..PLAIN
            },
            Error::BadSize { size: SIZE_MAX + 1 },
        ),
        (
            Wanted {
                align_bits: 37,
                ..PLAIN
            },
            Error::BadAlignment { value: 37 },
        ),
        (
            Wanted {
                align_bits: 255,
                ..PLAIN
            },
            Error::BadAlignment { value: 255 },
        ),
        (
            Wanted {
                boundary_bits: 11,
                ..PLAIN
            },
            Error::BadAlignment { value: 11 },
        ),
        (
            Wanted {
                boundary_bits: 64,
                ..PLAIN
            },
            Error::BadAlignment { value: 64 },
        ),
        (
            Wanted { cache: 4, ..PLAIN },
            Error::BadAlignment { value: 4 },
        ),
    ];
    for (wanted, expected) in cases {
        assert_eq!(system.call(client, request(wanted)), Err(expected));
    }
}

#[test]
fn a_refusal_says_what_is_missing() {
    let (mut system, client) = one_client();
    let low = Wanted {
        max_addr: 0xff_ffff,
        ..PLAIN
    };
    let (max_addr, largest) = (low.max_addr, 0);
    assert_eq!(
        system.call(client, request(low)),
        Err(Error::AddressLimit { max_addr, largest })
    );
    let partly = Wanted {
        size: 2 * PAGE,
        max_addr: 0x100_0fff,
        ..PLAIN
    };
    let (max_addr, largest) = (partly.max_addr, PAGE);
    assert_eq!(
        system.call(client, request(partly)),
        Err(Error::AddressLimit { max_addr, largest })
    );
    let free = system.books().free;
    let huge = Wanted {
        size: 64 * MIB,
        ..PLAIN
    };
    let requested = 64 * MIB;
    assert_eq!(
        system.call(client, request(huge)),
        Err(Error::OutOfMemory { free, requested })
    );
    // A page in the middle of memory.
    let middle = Wanted {
        max_addr: 0x17f_ffff,
        ..PLAIN
    };
    let response = system.call(client, request(middle));
    check(&system, client, middle, response);
    let requested = 9 * MIB;
    let scattered = Wanted {
        size: requested,
        ..PLAIN
    };
    let largest = 8 * MIB - PAGE;
    assert_eq!(
        system.call(client, request(scattered)),
        Err(Error::NoContiguousRun { largest, requested })
    );
}

#[test]
fn memory_that_is_free_in_pieces_is_gathered_into_a_run() {
    let (mut system, client) = one_client();
    // Everything in frames, then every second one free, then all.
    let mut pages = Vec::new();
    while let Ok(address) = system.kmalloc(client, PAGE) {
        system.fill(client, address, PAGE, 8);
        pages.push(address);
    }
    assert!(system.dma(client, 2 * PAGE).is_err());
    for address in pages.iter().step_by(2) {
        assert_eq!(system.kfree(client, *address), Ok(Reply::Done));
    }
    for address in pages.iter().skip(1).step_by(2) {
        assert_eq!(system.kfree(client, *address), Ok(Reply::Done));
    }
    let wanted = Wanted {
        size: 12 * MIB,
        ..PLAIN
    };
    let response = system.call(client, request(wanted));
    check(&system, client, wanted, response);
}

#[test]
fn dma_memory_that_is_set_aside_can_be_had_again_at_once() {
    let mut system = System::new(RAM);
    system.scan_every = 50;
    let client = system.try_spawn(&Spawn {
        memory_reserved: 6 * MIB,
        ..program(8 * MIB)
    });
    let (client, hog) = (client.expect("a client"), system.spawn(UNLIMITED));
    let (mut address, _) = system.dma(client, 2 * MIB).expect("memory");
    while system.kmalloc(hog, PAGE).is_ok() {}
    for round in 0..3 {
        system.fill(client, address, 2 * MIB, 0xd1a7);
        assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
        while system.kmalloc(hog, PAGE).is_ok() {}
        (address, _) = system
            .dma(client, 2 * MIB)
            .unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        assert!(system.is_zero(client, address, 2 * MIB));
    }
}

#[test]
fn a_limit_below_the_end_of_the_first_chunk_is_kept_where_memory_begins_at_0() {
    // A chunk there, others for what the client itself needs, and large pages.
    let mut system = System::new(&[(0, 16), (0x2_0000, 17), (4 * MIB, 22)]);
    let client = system.spawn(UNLIMITED);
    let wanted = |max_addr| Wanted {
        size: 16 * PAGE,
        max_addr,
        ..PLAIN
    };
    let refused = system.call(client, request(wanted(0xfffe)));
    assert!(
        matches!(refused, Err(Error::AddressLimit { .. })),
        "{refused:?}"
    );
    let response = system.call(client, request(wanted(0xffff)));
    check(&system, client, wanted(0xffff), response);
}
