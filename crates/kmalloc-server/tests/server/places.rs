// SPDX-License-Identifier: BSD-2-Clause
//! Numbers that the root task reads off the server's types: badges of workers, places of objects, parts of addresses.

use crate::system::{PAGE, RAM, System, UNLIMITED};
use fake_kernel::FakeKernel;
use kmalloc_server::client::{Badge, CLIENTS_MAX, FaultKind, SIGNAL};
use kmalloc_server::kernel::{ClientIndex, ClientObject, THREADS_MAX, ThreadIndex, Worker};
use kmalloc_server::machine::INTERRUPT_BADGE;
use kmalloc_server::pci::FunctionAddress;
use kmalloc_server::physical::Page;

#[test]
fn a_worker_is_known_by_its_badge_and_no_client_is() {
    for (worker, place) in [(Worker::Reclaimer, 511), (Worker::Cleaner, 510)] {
        for fault in [false, true] {
            let badge = Badge::of_worker(worker, fault);
            let expected = Badge {
                client: ClientIndex(place),
                generation: 0,
                fault,
            };
            assert_eq!(badge, expected);
            assert_eq!(Badge::unpack(badge.pack()), badge);
            assert_eq!(badge.worker(), Some(worker));
        }
    }
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    assert_eq!(Badge::unpack(system.badge(client)).worker(), None);
    for place in [0, CLIENTS_MAX as u16 - 1, 509, 512, u16::MAX] {
        let badge = Badge {
            client: ClientIndex(place),
            generation: 0,
            fault: false,
        };
        assert_eq!(badge.worker(), None, "{place}");
    }
}

#[test]
fn a_signal_is_known_by_a_bit_that_no_message_of_a_client_has() {
    assert_eq!(SIGNAL.count_ones(), 1);
    let full = Badge {
        client: ClientIndex(u16::MAX),
        generation: u16::MAX,
        fault: true,
    };
    assert_eq!(full.pack() & SIGNAL, 0);
    // What a client sees of an interrupt: docs/PROTOCOL.md.
    assert_eq!(INTERRUPT_BADGE, 64);
}

#[test]
fn each_object_of_a_client_has_a_place_of_its_own() {
    let threads = || (0..THREADS_MAX).map(ThreadIndex);
    let objects = [
        ClientObject::CNode,
        ClientObject::Notification,
        ClientObject::Parking,
        ClientObject::FaultEndpoint,
        ClientObject::Reply,
    ];
    let objects = objects.into_iter().chain(threads().map(ClientObject::Tcb));
    let objects = objects.chain(threads().map(ClientObject::SchedContext));
    assert!(objects.map(ClientObject::number).eq(0..ClientObject::COUNT));
}

#[test]
fn an_address_of_a_function_comes_apart_as_it_was_put_together() {
    for (bus, device, function) in [(0, 0, 0), (0x12, 0x15, 3), (255, 31, 7), (1, 0, 0)] {
        let address = FunctionAddress::new(bus, device, function);
        assert_eq!(address.parts(), (bus, device, function));
    }
    assert_eq!(FunctionAddress::new(0x12, 0x15, 3).0, 0x12ab);
}

#[test]
fn faults_have_one_word_each() {
    for (kind, name) in [
        (FaultKind::Vm, "vm"),
        (FaultKind::Capability, "capability"),
        (FaultKind::UnknownSyscall, "syscall"),
        (FaultKind::Exception, "exception"),
        (FaultKind::Timeout, "timeout"),
        (FaultKind::Unknown, "unknown"),
    ] {
        assert_eq!(kind.name(), name);
    }
}

#[test]
fn pages_are_found_by_their_addresses() {
    // The books begin and end with a large page.
    let (_, physical) = FakeKernel::boot(&[(0x120_0000, 21), (0x141_0000, 16)]);
    let (start, end) = (0x120_0000, 0x160_0000);
    for (address, page) in [
        (0, None),
        (start - 1, None),
        (start, Some(0)),
        (start + PAGE - 1, Some(0)),
        (start + 7 * PAGE, Some(7)),
        (end - 1, Some(1023)),
        (end, None),
        (u64::MAX, None),
    ] {
        assert_eq!(physical.page_at(address), page.map(Page), "{address:#x}");
    }
    assert_eq!(physical.address_of(Page(7)), start + 7 * PAGE);
}
