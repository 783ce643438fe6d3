// SPDX-License-Identifier: BSD-2-Clause
//! Pointers into memory that is free again: what it was used for last decides what is said of them.

use crate::system::{PAGE, RAM, System, UNLIMITED};
use kmalloc_protocol::message::quick::{self, QuickRequest};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Reply, Response};
use kmalloc_server::Quick;
use kmalloc_server::client::Badge;
use kmalloc_server::kernel::ClientIndex;

/// What a free and a resize of the address must be refused with.
fn expect(system: &mut System, client: ClientIndex, address: u64, error: Error) {
    let refused: Response = Err(error);
    assert_eq!(system.kfree(client, address), refused, "{address:#x}");
    assert_eq!(system.krealloc(client, address, 5000), refused);
}

#[test]
fn a_page_that_was_a_bucket_still_knows_where_its_blocks_began() {
    for size in [64, 1024, 2048] {
        let mut system = System::new(RAM);
        let client = system.spawn(UNLIMITED);
        // Two buckets, so that one of them goes back as soon as it is empty.
        let count = 2 * PAGE / size;
        let blocks = (0..count).map(|_| system.kmalloc(client, size).expect("memory"));
        let blocks = blocks.collect::<Vec<_>>();
        for block in &blocks {
            assert_eq!(system.kfree(client, *block), Ok(Reply::Done));
        }
        let gone = |block: &&u64| !system.is_mapped(client, **block);
        let gone = blocks.iter().filter(gone).copied().collect::<Vec<_>>();
        assert_eq!(gone.len() as u64, PAGE / size, "a bucket went back");
        for block in gone {
            expect(
                &mut system,
                client,
                block,
                Error::DoubleFree { address: block },
            );
            for inside in [16, size / 2, size - 1] {
                let address = block + inside;
                expect(&mut system, client, address, Error::BadPointer { address });
            }
        }
    }
}

#[test]
fn a_page_that_was_a_run_s_still_knows_where_the_run_began() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    // The segment stays with it.
    system.kmalloc(client, 16).expect("memory");
    let run = system.kmalloc(client, 3 * PAGE).expect("memory");
    assert_eq!(system.kfree(client, run), Ok(Reply::Done));
    expect(&mut system, client, run, Error::DoubleFree { address: run });
    for inside in [1, 16, PAGE - 1, PAGE, 2 * PAGE, 2 * PAGE + 16] {
        let address = run + inside;
        expect(&mut system, client, address, Error::BadPointer { address });
    }
}

#[test]
fn a_run_in_use_is_known_by_its_first_byte_alone() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let run = system.kmalloc(client, 3 * PAGE).expect("memory");
    for inside in [1, 16, 64, PAGE - 16, PAGE, PAGE + 16] {
        let address = run + inside;
        expect(&mut system, client, address, Error::BadPointer { address });
    }
    assert_eq!(system.kfree(client, run), Ok(Reply::Done));
}

#[test]
fn memory_of_other_kinds_is_no_block_whoever_has_it() {
    let mut system = System::new(RAM);
    let (client, other) = (system.spawn(UNLIMITED), system.spawn(UNLIMITED));
    let (dma, _) = system.dma(client, PAGE).expect("memory");
    let bucket = system.grant(client, 12, 1).expect("memory");
    let large = system.grant_large(client, PAGE).expect("memory");
    for address in [dma, bucket, large] {
        expect(&mut system, client, address, Error::WrongKind { address });
        expect(&mut system, other, address, Error::NotOwner { address });
        // The same segment, as if it were of another window.
        let window = Window::of(address as usize).expect("in a window");
        let beside = address - window.base() as u64 + Window::Shared.base() as u64;
        let error = Error::BadPointer { address: beside };
        expect(&mut system, client, beside, error);
    }
}

#[test]
fn a_block_that_has_room_stays_where_it_is() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let block = system.kmalloc(client, 100).expect("memory");
    for size in [128, 100, 65, 64, 1] {
        let response = system.krealloc(client, block, size);
        assert_eq!(response, Ok(Reply::Block { address: block }), "{size}");
    }
    assert_eq!(system.ksize(client, block), Ok(128));
    assert_eq!(system.stats(client).blocks, 1);
}

#[test]
fn the_quick_way_is_for_a_client_that_lives_and_counts_a_request_once() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let [block, _] = [64; 2].map(|size| system.kmalloc(client, size).expect("memory"));
    let badge = system.badge(client);
    let stale = Badge {
        generation: 1,
        ..Badge::unpack(badge)
    };
    let free = QuickRequest::Kfree { address: block };
    let take = QuickRequest::Kmalloc { size: 64, flags: 0 };
    let blocks = |system: &System| {
        let account = system.server.client(client).expect("a place");
        (account.counters.blocks, account.counters.calls)
    };
    let (held, calls) = blocks(&system);
    for request in [free, take] {
        let words = quick::encode(request).words;
        let quick = system.server.handle_quick(stale.pack(), &words);
        assert_eq!(quick, Quick::Slow, "{request:?}");
        assert_eq!(blocks(&system), (held, calls), "{request:?}");
    }
    let words = quick::encode(free).words;
    assert_eq!(system.server.handle_quick(badge, &words), Quick::Done);
    assert_eq!(blocks(&system), (held - 1, calls + 1));
    let words = quick::encode(take).words;
    let quick = system.server.handle_quick(badge, &words);
    assert_eq!(quick, Quick::Block(block));
    assert_eq!(blocks(&system), (held, calls + 2));
}
