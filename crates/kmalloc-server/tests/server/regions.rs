// SPDX-License-Identifier: BSD-2-Clause
//! Buckets and large regions for the resident heap.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED, filled};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Reply, Request, SIZE_MAX};
use kmalloc_server::kernel::ClientIndex;

fn one_client() -> (System, ClientIndex) {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    (system, client)
}

fn region(response: Result<Reply, Error>) -> (u64, u64) {
    match response {
        Ok(Reply::Region { address, size }) => (address, size),
        other => panic!("no region but {other:?}"),
    }
}

#[test]
fn buckets_of_every_size_are_aligned_zero_and_released_one_by_one_in_any_order() {
    for size_bits in 12..=21 {
        for count in [1, 2, 3, 7] {
            let (mut system, client) = one_client();
            let size = 1 << size_bits;
            let address = match system.grant(client, size_bits, count) {
                Ok(address) => address,
                Err(Error::OutOfMemory { .. }) if size * u64::from(count) > 14 * MIB => continue,
                Err(error) => panic!("{count} of 2^{size_bits}: {error:?}"),
            };
            assert_eq!(Window::of(address as usize), Some(Window::Resident));
            assert_eq!(address % size, 0, "2^{size_bits}");
            assert!(system.is_zero(client, address, size * u64::from(count)));
            system.fill(client, address, size * u64::from(count), 7);
            assert_eq!(
                system.stats(client).region_bytes,
                size * u64::from(count),
                "{count} of 2^{size_bits}"
            );
            // From both ends to the middle.
            let mut order = (0..u64::from(count)).collect::<Vec<_>>();
            order.sort_by_key(|index| index.abs_diff(u64::from(count) / 2));
            while let Some(index) = order.pop() {
                let bucket = address + index * size;
                assert_eq!(
                    system.release(client, bucket),
                    Ok(Reply::Done),
                    "bucket {index} of {count} of 2^{size_bits}"
                );
                assert!(!system.is_mapped(client, bucket));
                for rest in &order {
                    assert_eq!(system.read_word(client, address + rest * size), 7);
                }
            }
            assert_eq!(system.stats(client).region_bytes, 0);
            assert!(system.mapped_segments() <= 1, "{count} of 2^{size_bits}");
        }
    }
}

#[test]
fn address_space_of_many_small_buckets_comes_back_with_the_last() {
    let (mut system, client) = one_client();
    for count in [511, 512, 513, 600, 1025] {
        let address = system.grant(client, 12, count).expect("memory");
        for index in 0..u64::from(count) {
            let bucket = address + index * PAGE;
            assert_eq!(system.release(client, bucket), Ok(Reply::Done));
        }
        assert_eq!(system.mapped_segments(), 1, "{count} buckets");
    }
}

#[test]
fn buckets_that_cannot_be_are_refused() {
    let (mut system, client) = one_client();
    for size_bits in [0, 1, 11, 22, 36, 63, 64, 255] {
        let value = u64::from(size_bits);
        assert_eq!(
            system.call(
                client,
                kmalloc_protocol::Request::Grant {
                    size_bits,
                    count: 1
                }
            ),
            Err(Error::BadAlignment { value })
        );
    }
    assert_eq!(system.grant(client, 12, 0), Err(Error::BadSize { size: 0 }));
    let size = u64::from(u32::MAX) << 21;
    assert_eq!(
        system.grant(client, 21, u32::MAX),
        Err(Error::BadSize { size })
    );
    let more = system.grant(client, 12, 1 << 24);
    assert!(matches!(more, Err(Error::OutOfMemory { .. })), "{more:?}");
}

#[test]
fn a_large_region_has_exactly_its_pages() {
    let (mut system, client) = one_client();
    for size in [
        1,
        PAGE,
        PAGE + 1,
        33 * PAGE,
        MIB,
        2 * MIB,
        2 * MIB + 1,
        5 * MIB,
    ] {
        let address = system.grant_large(client, size).expect("memory");
        assert_eq!(Window::of(address as usize), Some(Window::Large));
        let whole = size.next_multiple_of(PAGE);
        assert!(system.is_zero(client, address, whole));
        assert!(!system.is_mapped(client, address + whole));
        assert_eq!(system.stats(client).region_bytes, whole);
        system.fill(client, address, whole, 7);
        assert_eq!(system.release(client, address), Ok(Reply::Done));
        assert_eq!(system.stats(client).region_bytes, 0);
    }
    for size in [0, SIZE_MAX, u64::MAX] {
        assert_eq!(
            system.grant_large(client, size),
            Err(Error::BadSize { size })
        );
    }
}

#[test]
fn a_region_grows_in_place_while_there_is_room() {
    let (mut system, client) = one_client();
    let address = system.grant_large(client, 4 * PAGE).expect("memory");
    system.fill(client, address, 4 * PAGE, 9);
    let (grown, size) = region(system.resize(client, address, 8 * PAGE));
    assert_eq!((grown, size), (address, 8 * PAGE));
    assert_eq!(system.read_word(client, address + 4 * PAGE - 8), 9);
    assert!(system.is_zero(client, address + 4 * PAGE, 4 * PAGE));
}

#[test]
fn a_resized_region_keeps_its_contents_and_gains_zeros_wherever_it_goes() {
    let sizes = [1, 3, 8, 100, 300, 511, 512, 513, 1024, 1100];
    for from in sizes {
        for to in sizes {
            let (mut system, client) = one_client();
            let old = system.grant_large(client, from * PAGE).expect("memory");
            let neighbour = system.grant_large(client, PAGE).expect("memory");
            system.fill(client, neighbour, PAGE, 3);
            for page in 0..from {
                system.fill(client, old + page * PAGE, PAGE, 0x1000 + page);
            }
            let (now, size) = region(system.resize(client, old, to * PAGE));
            assert!(size >= to * PAGE, "{from} to {to}");
            for page in 0..from.min(to) {
                assert_eq!(system.read_word(client, now + page * PAGE), 0x1000 + page);
            }
            if to > from {
                assert_eq!(size, to * PAGE);
                let gained = (to - from) * PAGE;
                assert!(system.is_zero(client, now + from * PAGE, gained));
            }
            if now != old {
                assert!(!system.is_mapped(client, old), "{from} to {to}");
                let again = system.release(client, old);
                assert!(
                    matches!(
                        again,
                        Err(Error::DoubleFree { .. } | Error::BadPointer { .. })
                    ),
                    "{again:?}"
                );
            }
            assert_eq!(system.stats(client).region_bytes, size + PAGE);
            assert!(filled(&system, client, neighbour, PAGE, 3));
            assert_eq!(system.release(client, now), Ok(Reply::Done));
            assert_eq!(system.release(client, neighbour), Ok(Reply::Done));
            assert_eq!(system.stats(client).region_bytes, 0);
            assert_eq!(system.mapped_segments(), 1, "{from} to {to}");
        }
    }
}

#[test]
fn a_resize_that_fails_changes_nothing() {
    let (mut system, client) = one_client();
    let address = system.grant_large(client, 3 * MIB).expect("memory");
    system.fill(client, address, 3 * MIB, 5);
    let committed = system.committed(client);
    for size in [0, u64::MAX] {
        assert_eq!(
            system.resize(client, address, size),
            Err(Error::BadSize { size })
        );
    }
    let more = system.resize(client, address, 100 * MIB);
    assert!(matches!(more, Err(Error::OutOfMemory { .. })), "{more:?}");
    assert_eq!(system.committed(client), committed);
    assert!(filled(&system, client, address, 3 * MIB, 5));
    let bucket = system.grant(client, 16, 1).expect("memory");
    assert_eq!(
        system.resize(client, bucket, PAGE),
        Err(Error::WrongKind { address: bucket })
    );
}

#[test]
fn large_pages_are_used_where_they_fit_and_come_back_whole() {
    let (mut system, client) = one_client();
    let whole = system.whole_larges();
    let address = system.grant_large(client, 4 * MIB).expect("memory");
    assert_eq!(system.whole_larges(), whole - 2);
    let (_, size) = region(system.resize(client, address, 2 * MIB + PAGE));
    assert_eq!(size, 4 * MIB, "a frame of 2 MiB stays whole");
    let (_, size) = region(system.resize(client, address, 2 * MIB));
    assert_eq!(size, 2 * MIB);
    assert_eq!(system.whole_larges(), whole - 1);
    assert_eq!(system.release(client, address), Ok(Reply::Done));
    assert_eq!(system.whole_larges(), whole);
}

fn grant_aligned(system: &mut System, client: ClientIndex, align_bits: u8) -> u64 {
    let size = PAGE;
    let (address, _) = region(system.call(client, Request::GrantLarge { size, align_bits }));
    assert!(address.is_multiple_of(1 << align_bits));
    address
}

#[test]
fn address_space_of_a_region_comes_back_whatever_its_alignment() {
    for align_bits in [12, 20, 21, 22, 23, 26] {
        let (mut system, client) = one_client();
        // The last segment of a window stays, and this is it.
        system.grant_large(client, PAGE).expect("memory");
        let address = grant_aligned(&mut system, client, align_bits);
        for _ in 0..3 {
            assert_eq!(system.release(client, address), Ok(Reply::Done));
            let again = grant_aligned(&mut system, client, align_bits);
            assert_eq!(again, address, "{align_bits} bits");
        }
    }
}

#[test]
fn a_small_region_aligned_to_a_segment_leaves_the_rest_of_one_to_others_when_it_moves() {
    let (mut system, client) = one_client();
    let address = grant_aligned(&mut system, client, 21);
    // It has two pages of address space.
    assert_eq!(system.grant_large(client, PAGE), Ok(address + 2 * PAGE));
    let (moved, size) = region(system.resize(client, address, 3 * PAGE));
    assert_ne!(moved, address);
    assert_eq!(size, 3 * PAGE);
    assert!(moved.is_multiple_of(2 * MIB));
    // Eight now.
    assert_eq!(system.grant_large(client, PAGE), Ok(moved + 8 * PAGE));
}

#[test]
fn a_region_that_moves_keeps_its_alignment_and_takes_no_more_than_its_place() {
    for align_bits in [13, 14, 20] {
        let (mut system, client) = one_client();
        system.grant_large(client, PAGE).expect("memory");
        let before = grant_aligned(&mut system, client, align_bits);
        // Until one stands right behind its two pages.
        while system.grant_large(client, PAGE) != Ok(before + 2 * PAGE) {}
        let (moved, _) = region(system.resize(client, before, 3 * PAGE));
        assert_ne!(moved, before);
        assert!(moved.is_multiple_of(1 << align_bits), "{align_bits} bits");
        // Where it was is free, and what lies behind its eight pages.
        let next = [(); 2].map(|()| system.grant_large(client, PAGE));
        assert!(next.contains(&Ok(moved + 8 * PAGE)), "{align_bits} bits");
    }
}
