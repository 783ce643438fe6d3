// SPDX-License-Identifier: BSD-2-Clause
//! Ends of clients: everything comes back, and nothing of one life reaches into another.

use crate::system::{Answer, MIB, PAGE, RAM, System, UNLIMITED, program};
use kmalloc_protocol::{Error, LABEL, Reply, Request};
use kmalloc_server::Outcome;
use kmalloc_server::client::{Badge, End, Fault, FaultKind};
use kmalloc_server::kernel::{ClientIndex, ClientObject, Kernel, Object, Slot, ThreadIndex};
use kmalloc_server::physical::{Chunk, ChunkForm, Large, LargeForm};
use kmalloc_server::spawn::{Load, Spawn};

/// Lets a client have some of everything, all of it written to.
fn fill_up(system: &mut System, client: ClientIndex) -> u64 {
    let mut held = 0;
    for size in [16, 100, 2048, PAGE, 5 * PAGE, 3 * MIB] {
        let address = system.kmalloc(client, size).expect("memory");
        let size = system.ksize(client, address).expect("a block");
        system.write(client, address, &vec![0xaa; size as usize]);
        held += size;
    }
    for (size_bits, count) in [(12, 3), (16, 2), (21, 1)] {
        let size = u64::from(count) << size_bits;
        let address = system.grant(client, size_bits, count).expect("memory");
        system.fill(client, address, size, 0xaaaa);
        held += size;
    }
    let region = system.grant_large(client, 600 * PAGE).expect("memory");
    system.fill(client, region, 600 * PAGE, 0xaaaa);
    let (dma, _) = system.dma(client, 7 * PAGE).expect("memory");
    system.fill(client, dma, 7 * PAGE, 0xaaaa);
    held + 607 * PAGE
}

#[test]
fn everything_comes_back_however_a_client_ends() {
    let mut system = System::new(RAM);
    let free = system.books().free;
    let fault = Fault {
        kind: FaultKind::Vm,
        address: 0x1234,
        instruction: 0x40_0000,
    };
    for end in [End::Exit { status: 7 }, End::Killed, End::Fault(fault)] {
        let client = system.spawn(UNLIMITED);
        let held_bytes = fill_up(&mut system, client);
        let calls = system.stats(client).calls;
        let (badge, peak) = (system.badge(client), system.stats(client).committed_peak);
        let obituary = match end {
            End::Exit { status } => match system.answer(client, Request::Exit { status }) {
                Answer::Ended(obituary) => obituary,
                other => panic!("{other:?}"),
            },
            End::Killed | End::NotStarted(_) => system.kill(client),
            End::Fault(fault) => match system.fault(badge, fault) {
                Answer::Ended(obituary) => obituary,
                other => panic!("{other:?}"),
            },
        };
        system.settle();
        system.clean();
        assert_eq!(obituary.end, end);
        if let End::Fault(fault) = end {
            assert_eq!(obituary.instruction, fault.instruction);
        }
        assert_eq!(obituary.held_bytes, held_bytes);
        assert_eq!(obituary.peak_bytes, peak);
        assert!((calls + 1..=calls + 2).contains(&obituary.calls));
        assert_eq!(system.books().free, free);
        assert_eq!(system.books().committed, 0);
        // The dead neither call nor fault nor die again.
        let stats = [8, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            system.send(badge, LABEL, false, &stats),
            Answer::Response(Err(Error::NotPermitted))
        );
        assert_eq!(system.server.fault(badge, fault), Outcome::Ignore);
        assert_eq!(system.server.end(client, End::Killed), Outcome::Ignore);
    }
}

#[test]
fn a_pointer_from_before_a_respawn_is_not_the_new_client_s() {
    let mut system = System::new(RAM);
    let first = system.spawn(UNLIMITED);
    let badge = system.badge(first);
    let block = system.kmalloc(first, 64).expect("memory");
    let region = system.grant_large(first, PAGE).expect("memory");
    system.kill(first);
    let second = system.spawn(UNLIMITED);
    assert_eq!(second, first, "the place in the registry is used again");
    assert_ne!(system.badge(second), badge);
    for address in [block, region] {
        let bad = Err(Error::BadPointer { address });
        assert_eq!(system.kfree(second, address), bad);
        assert_eq!(system.release(second, address), bad);
        assert!(!system.is_mapped(second, address));
    }
    let bytes = [8, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        system.send(badge, LABEL, false, &bytes),
        Answer::Response(Err(Error::NotPermitted))
    );
}

#[test]
fn memory_of_the_dead_is_zero_to_the_next_whatever_it_is_used_for() {
    let mut system = System::new(RAM);
    // Leave no untouched memory, so that everything is used memory.
    let first = system.spawn(UNLIMITED);
    system.scan_every = 50;
    while let Ok(address) = system.kmalloc(first, PAGE) {
        system.fill(first, address, PAGE, 0x5ec2e7);
    }
    system.kill(first);
    let second = system.spawn(UNLIMITED);
    for size in [16, 64, 256, 1024, 2048] {
        for _ in 0..3 * PAGE / size {
            let address = system.kmalloc(second, size).expect("memory");
            for at in (address..address + size).step_by(8) {
                assert_eq!(system.read_word(second, at), 0);
            }
        }
    }
    let run = system.kmalloc(second, MIB).expect("memory");
    assert!(system.is_zero(second, run, MIB));
    let bucket = system.grant(second, 16, 3).expect("memory");
    assert!(system.is_zero(second, bucket, 48 * PAGE));
    let region = system.grant_large(second, MIB).expect("memory");
    assert!(system.is_zero(second, region, MIB));
    let (dma, _) = system.dma(second, MIB).expect("memory");
    assert!(system.is_zero(second, dma, MIB));
}

#[test]
fn pages_of_a_client_s_own_past_are_zero_too() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    for round in 0..3 {
        let run = system.kmalloc(client, 64 * PAGE).expect("memory");
        assert!(system.is_zero(client, run, 64 * PAGE), "round {round}");
        system.fill(client, run, 64 * PAGE, 1);
        let region = system.grant_large(client, 9 * PAGE).expect("memory");
        assert!(system.is_zero(client, region, 9 * PAGE), "round {round}");
        system.fill(client, region, 9 * PAGE, 2);
        // Shrunk and grown: what went and came is zero.
        assert!(system.resize(client, region, 2 * PAGE).is_ok());
        assert!(system.resize(client, region, 9 * PAGE).is_ok());
        assert!(system.is_zero(client, region + 2 * PAGE, 7 * PAGE));
        assert_eq!(system.kfree(client, run), Ok(Reply::Done));
        assert_eq!(system.release(client, region), Ok(Reply::Done));
    }
}

#[test]
fn after_all_clients_every_untyped_of_boot_retypes_whole() {
    let mut system = System::new(RAM);
    let clients = [UNLIMITED; 3].map(|limit| system.spawn(limit));
    fill_up(&mut system, clients[1]);
    for client in clients {
        system.kill(client);
    }
    let (larges, chunks) = {
        let physical = system.server.physical();
        let larges = (0..physical.large_capacity() as u32)
            .map(Large)
            .filter(|large| physical.large_form(*large) != LargeForm::Absent)
            .collect::<Vec<_>>();
        let chunks = (0..physical.page_capacity() as u32 / 16)
            .map(Chunk)
            .filter(|chunk| {
                physical.large_form(chunk.large()) == LargeForm::Absent
                    && physical.chunk_form(*chunk) != ChunkForm::Absent
            })
            .collect::<Vec<_>>();
        (larges, chunks)
    };
    assert_eq!((larges.len(), chunks.len()), (8, 1));
    let kernel = system.server.kernel_mut();
    for large in larges {
        let untyped = Slot::Large(large);
        let frame = Slot::LargeFrame(large);
        assert_eq!(kernel.revoke(untyped), Ok(()));
        assert_eq!(kernel.retype(untyped, Object::LargeFrame, frame, 1), Ok(()));
    }
    for chunk in chunks {
        let untyped = Slot::Chunk(chunk);
        assert_eq!(kernel.revoke(untyped), Ok(()));
        let first = Slot::Page(chunk.first_page());
        assert_eq!(kernel.retype(untyped, Object::Frame, first, 16), Ok(()));
    }
}

#[test]
fn a_client_has_its_own_objects_and_they_go_with_it() {
    use ClientObject::{CNode, Notification, Parking, Reply, SchedContext, Tcb};
    let first = ThreadIndex::FIRST;
    let plain = [Tcb(first), CNode, Notification, Parking];
    let mcs = [
        Tcb(first),
        CNode,
        Notification,
        Parking,
        SchedContext(first),
        Reply,
    ];
    let cases = [
        (System::new(RAM), &plain[..]),
        (System::new_mcs(RAM), &mcs[..]),
    ];
    for (mut system, expected) in cases {
        let free = system.books().free;
        let client = system.spawn(UNLIMITED);
        let objects = |system: &System| {
            mcs.into_iter()
                .filter(|which| {
                    let slot = Slot::Client(client, *which);
                    system.server.kernel().capability(slot).is_some()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(objects(&system), expected);
        fill_up(&mut system, client);
        system.kill(client);
        assert_eq!(objects(&system), []);
        assert_eq!(system.books().free, free);
    }
}

#[test]
fn a_client_begins_with_its_program_its_start_page_and_nothing_else() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    assert_eq!(system.read(client, 0x40_0000), [0x90; 300]);
    assert_eq!(system.read(client, 0x40_1010), *b"initial data");
    assert_eq!(system.read(client, 0x40_2000), [0; 64]);
    assert_eq!(system.read(client, 0x20_0000), *b"start page");
    assert_eq!(system.read(client, 0x4000_0000), *b"data of the manifest");
    system.write(client, 0x40_1010, b"writable");
    let is_writable = |address| {
        system
            .translate(client, address)
            .map(|(_, how)| how.writable)
    };
    assert_eq!(is_writable(0x40_0000), Some(false));
    assert_eq!(is_writable(0x20_0000), Some(false));
    assert_eq!(is_writable(0x4000_0000), Some(false));
    assert_eq!(is_writable(0x20_1000), Some(true));
    for page in 1..=4 {
        assert_eq!(is_writable(0x40_0000 - page * PAGE), Some(true));
    }
    assert_eq!(is_writable(0x40_0000 - 5 * PAGE), None, "a guard");
    assert_eq!(is_writable(0x40_3000), None);
    let mut threads = system.server.kernel().threads(client);
    let thread = *threads.next().expect("it runs");
    assert_eq!(threads.next(), None);
    drop(threads);
    assert_eq!((thread.entry, thread.stack), (0x40_0000, 0x40_0000));
    assert_eq!((thread.argument, thread.priority), (0x20_0000, 100));
    assert_eq!(thread.badge, system.badge(client));
    let fault = Badge::unpack(thread.fault_badge);
    assert!(fault.fault && fault.client == client);
    // The same addresses of another client are other memory.
    let other = system.spawn(UNLIMITED);
    assert_eq!(system.read(other, 0x40_1010), *b"initial data");
    assert_eq!(program(0).loads.len(), 2);
}

#[test]
fn what_a_client_begins_with_may_be_longer_than_a_page() {
    let data: [u8; 3 * 4096] = core::array::from_fn(|at| (at / 7) as u8);
    // At the start of a page, near its end, and at both of two parts.
    for address in [0x40_0000, 0x40_0ff0] {
        let load = Load {
            address,
            data: &data,
            size: data.len() + 4096,
            writable: false,
        };
        let behind = Load {
            address: address + 0x1_0000,
            ..load
        };
        let mut system = System::new(RAM);
        let client = system.try_spawn(&Spawn {
            loads: &[load, behind],
            data: &data,
            ..program(UNLIMITED)
        });
        let client = client.expect("a client");
        for part in [address, behind.address] {
            assert_eq!(system.read(client, part as u64), data);
            let rest = part as u64 + 3 * PAGE;
            assert_eq!(system.read(client, rest), [0; 4096]);
        }
        assert_eq!(system.read(client, 0x4000_0000), data);
    }
}
