// SPDX-License-Identifier: BSD-2-Clause
//! Served blocks: every call's contract.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED, block};
use kmalloc_bucket::size_class::{BLOCK_SIZE_MAX, BLOCK_SIZE_MIN};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Reply, Request, SIZE_MAX};
use kmalloc_server::kernel::ClientIndex;

fn one_client() -> (System, ClientIndex) {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    (system, client)
}

/// What a request of `size` bytes gets.
fn usable(size: u64) -> u64 {
    if size <= BLOCK_SIZE_MAX as u64 {
        size.next_power_of_two().max(BLOCK_SIZE_MIN as u64)
    } else {
        size.next_multiple_of(PAGE)
    }
}

#[test]
fn every_class_boundary_gives_the_smallest_block_that_fits_naturally_aligned() {
    let (mut system, client) = one_client();
    for bits in 0..=22 {
        for size in [(1 << bits) - 1, 1 << bits, (1 << bits) + 1] {
            let address = system.kmalloc(client, size).expect("memory");
            assert_eq!(Window::of(address as usize), Some(Window::Served));
            let expected = usable(size);
            assert_eq!(system.ksize(client, address), Ok(expected), "size {size}");
            assert_eq!(address % 16, 0);
            if expected.is_power_of_two() {
                assert_eq!(address % expected, 0, "size {size} at {address:#x}");
            }
            system.write(client, address + expected - 1, &[1]);
            assert_eq!(system.kfree(client, address), Ok(Reply::Done));
        }
    }
}

#[test]
fn blocks_of_every_class_do_not_overlap_and_are_zero_the_first_time() {
    let (mut system, client) = one_client();
    let mut blocks: Vec<(u64, u64)> = Vec::new();
    for bits in 4..=15 {
        for _ in 0..((3 * PAGE) >> bits).max(3) {
            let address = system.kmalloc(client, 1 << bits).expect("memory");
            for (other, other_size) in &blocks {
                assert!(address + (1 << bits) <= *other || other + other_size <= address);
            }
            assert_eq!(system.read_word(client, address), 0);
            system.write(client, address, &address.to_le_bytes());
            blocks.push((address, 1 << bits));
        }
    }
    for (address, _) in &blocks {
        assert_eq!(system.read_word(client, *address), *address);
    }
    let stats = system.stats(client);
    assert_eq!(stats.blocks, blocks.len() as u64);
    assert_eq!(
        stats.block_bytes,
        blocks.iter().map(|(_, size)| size).sum::<u64>()
    );
    for (address, _) in blocks {
        assert_eq!(system.kfree(client, address), Ok(Reply::Done));
    }
    let stats = system.stats(client);
    assert_eq!((stats.blocks, stats.block_bytes), (0, 0));
    assert!(stats.block_bytes_peak > 0);
}

#[test]
fn sizes_that_nobody_has_are_refused() {
    let (mut system, client) = one_client();
    for size in [SIZE_MAX + 1, u64::MAX / 2, u64::MAX - 4095, u64::MAX] {
        assert_eq!(system.kmalloc(client, size), Err(Error::BadSize { size }));
    }
    let more = system.kmalloc(client, SIZE_MAX);
    assert!(matches!(more, Err(Error::OutOfMemory { .. })), "{more:?}");
    let address = system.kmalloc(client, 0).expect("0 is served as 1");
    assert_eq!(system.ksize(client, address), Ok(16));
}

#[test]
fn unknown_flags_are_refused_by_every_call_that_has_flags() {
    let (mut system, client) = one_client();
    let address = system.kmalloc(client, 64).expect("memory");
    for flags in [2, 3, 1 << 31, u32::MAX] {
        let unknown = flags & !1;
        for request in [
            Request::Kmalloc { size: 8, flags },
            Request::Kcalloc {
                count: 1,
                size: 8,
                flags,
            },
            Request::Krealloc {
                address,
                size: 8,
                flags,
            },
            Request::KreallocArray {
                address,
                count: 1,
                size: 8,
                flags,
            },
        ] {
            assert_eq!(
                system.call(client, request),
                Err(Error::BadFlags { unknown })
            );
        }
    }
    let zeroed = system.call(client, Request::Kmalloc { size: 8, flags: 1 });
    assert!(zeroed.is_ok());
}

#[test]
fn an_array_is_refused_exactly_when_its_product_overflows() {
    let (mut system, client) = one_client();
    let numbers = [0, 1]
        .into_iter()
        .chain((1..64).flat_map(|bits| {
            let power = 1u64 << bits;
            [power - 1, power, power + 1]
        }))
        .chain([u64::MAX]);
    let numbers = numbers.collect::<Vec<_>>();
    let old = system.kmalloc(client, 32).expect("memory");
    system.scan_every = 64;
    for &count in &numbers {
        for &size in &numbers {
            let flags = 0;
            let array = Request::Kcalloc { count, size, flags };
            let response = system.call(client, array);
            let again = Request::KreallocArray {
                address: 0,
                count,
                size,
                flags,
            };
            let response_again = system.call(client, again);
            match count.checked_mul(size) {
                None => {
                    assert_eq!(response, Err(Error::Overflow { count, size }));
                    assert_eq!(response_again, Err(Error::Overflow { count, size }));
                }
                Some(size) if size > SIZE_MAX => {
                    assert_eq!(response, Err(Error::BadSize { size }));
                    assert_eq!(response_again, Err(Error::BadSize { size }));
                }
                Some(size) if size > 17 * MIB => {
                    assert!(matches!(response, Err(Error::OutOfMemory { .. })));
                    assert!(matches!(response_again, Err(Error::OutOfMemory { .. })));
                }
                Some(size) if size <= 4 * MIB => {
                    for response in [response, response_again] {
                        let address = block(response).expect("memory");
                        assert_eq!(system.ksize(client, address), Ok(usable(size)));
                        assert_eq!(system.kfree(client, address), Ok(Reply::Done));
                    }
                }
                Some(_) => {
                    for address in [response, response_again]
                        .into_iter()
                        .filter_map(|r| block(r).ok())
                    {
                        assert_eq!(system.kfree(client, address), Ok(Reply::Done));
                    }
                }
            }
        }
    }
    assert_eq!(system.ksize(client, old), Ok(32), "the old block is there");
}

/// The shape that a block has after `krealloc`, by what the documentation says.
#[test]
fn krealloc_matrix() {
    let sizes = [
        1,
        16,
        17,
        500,
        2048,
        2049,
        4096,
        4097,
        16_384,
        16_385,
        100_000,
        MIB,
        2 * MIB,
        3 * MIB,
        5 * MIB,
    ];
    for from in sizes {
        for to in sizes {
            let (mut system, client) = one_client();
            // Neighbours, so that not everything has room to grow.
            let before = system.kmalloc(client, from).expect("memory");
            let old = system.kmalloc(client, from).expect("memory");
            let behind = system.kmalloc(client, 4096).expect("memory");
            let old_size = usable(from);
            system.write(client, old, b"first");
            system.write(client, old + old_size - 4, b"last");
            let now = match system.krealloc(client, old, to) {
                Ok(Reply::Block { address }) => address,
                Ok(Reply::Moved { address, copy }) => {
                    assert_eq!(copy, old_size.min(to));
                    assert_eq!(system.ksize(client, old), Ok(old_size));
                    let mut data = vec![0; copy as usize];
                    for (index, place) in data.chunks_mut(1).enumerate() {
                        place.copy_from_slice(&system.read::<1>(client, old + index as u64));
                    }
                    system.write(client, address, &data);
                    assert_eq!(system.kfree(client, old), Ok(Reply::Done));
                    address
                }
                other => panic!("{from} to {to}: {other:?}"),
            };
            let size = system.ksize(client, now).expect("a block");
            assert!(size >= to, "{from} to {to} is {size}");
            assert_eq!(system.read(client, now), *b"f");
            if from >= 5 && size >= 5 {
                assert_eq!(system.read(client, now), *b"first", "{from} to {to}");
            }
            if size >= old_size {
                assert_eq!(system.read(client, now + old_size - 4), *b"last");
            }
            // Who shrinks keeps the address.
            if size.is_power_of_two() && to >= from {
                assert_eq!(now % size, 0, "{from} to {to}: {size} bytes at {now:#x}");
            }
            let held = system.stats(client).block_bytes;
            assert_eq!(held, size + usable(from) + PAGE, "{from} to {to}");
            for address in [now, before, behind] {
                assert_eq!(system.kfree(client, address), Ok(Reply::Done));
            }
            let stats = system.stats(client);
            assert_eq!((stats.blocks, stats.block_bytes), (0, 0));
        }
    }
}

#[test]
fn krealloc_of_null_allocates_and_to_0_frees() {
    let (mut system, client) = one_client();
    let address = block(system.krealloc(client, 0, 100)).expect("memory");
    assert_eq!(system.ksize(client, address), Ok(128));
    assert_eq!(system.krealloc(client, address, 0), Ok(Reply::Done));
    assert_eq!(
        system.kfree(client, address),
        Err(Error::DoubleFree { address })
    );
    let nothing = block(system.krealloc(client, 0, 0)).expect("0 is served as 1");
    assert_eq!(system.ksize(client, nothing), Ok(16));
}

#[test]
fn a_krealloc_that_fails_leaves_the_old_block() {
    let (mut system, client) = one_client();
    for size in [40, 4096, 100_000, 3 * MIB] {
        let address = system.kmalloc(client, size).expect("memory");
        system.write(client, address, b"precious");
        let usable = system.ksize(client, address);
        for (to, expected) in [
            (u64::MAX, Error::BadSize { size: u64::MAX }),
            (SIZE_MAX + 1, Error::BadSize { size: SIZE_MAX + 1 }),
        ] {
            assert_eq!(system.krealloc(client, address, to), Err(expected));
        }
        let committed = system.committed(client);
        let more = system.krealloc(client, address, 64 * MIB);
        assert!(matches!(more, Err(Error::OutOfMemory { .. })), "{more:?}");
        assert_eq!(system.committed(client), committed);
        assert_eq!(system.ksize(client, address), usable);
        assert_eq!(system.read(client, address), *b"precious");
        let overflow = Request::KreallocArray {
            address,
            count: 1 << 60,
            size: 16,
            flags: 0,
        };
        let (count, size) = (1 << 60, 16);
        assert_eq!(
            system.call(client, overflow),
            Err(Error::Overflow { count, size })
        );
        assert_eq!(system.kfree(client, address), Ok(Reply::Done));
    }
}

#[test]
fn kfree_of_null_does_nothing_and_ksize_of_null_is_no_size() {
    let (mut system, client) = one_client();
    assert_eq!(system.kfree(client, 0), Ok(Reply::Done));
    assert_eq!(system.kfree_dma(client, 0), Ok(Reply::Done));
    assert_eq!(
        system.ksize(client, 0),
        Err(Error::BadPointer { address: 0 })
    );
}

#[test]
fn frames_go_back_when_the_last_blocks_of_buckets_are_freed() {
    let (mut system, client) = one_client();
    let first = system.kmalloc(client, 256).expect("memory");
    let base = system.committed(client);
    let blocks = (0..160)
        .map(|_| system.kmalloc(client, 256).expect("memory"))
        .collect::<Vec<_>>();
    assert_eq!(system.committed(client), base + 10 * PAGE);
    // In an order that leaves holes everywhere.
    for start in 0..3 {
        for address in blocks.iter().skip(start).step_by(3) {
            assert_eq!(system.kfree(client, *address), Ok(Reply::Done));
        }
    }
    assert_eq!(system.committed(client), base);
    assert_eq!(system.kfree(client, first), Ok(Reply::Done));
    assert_eq!(
        system.committed(client),
        base,
        "one empty bucket of a class stays"
    );
}

#[test]
fn blocks_of_no_bytes_share_a_page() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let first = system.kmalloc(client, 0).expect("memory");
    let committed = system.committed(client);
    for _ in 0..100 {
        let block = system.kmalloc(client, 0).expect("memory");
        assert_eq!(block / PAGE, first / PAGE);
    }
    assert_eq!(system.committed(client), committed);
}
