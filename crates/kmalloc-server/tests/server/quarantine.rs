// SPDX-License-Identifier: BSD-2-Clause
//! Memory of a dead driver whose devices don't let go of the bus: it is nobody's until all of them have.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED};
use fake_kernel::FakeFunction;
use kmalloc_protocol::{Reply, Request};
use kmalloc_server::client::Life;
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::pci::{FunctionAddress, command};

const VENDOR: u16 = 0x1234;
const DEVICE: u16 = 0x11e8;

/// A client with both cards of a machine.
fn driver(system: &mut System) -> ClientIndex {
    let client = system.spawn(UNLIMITED);
    assert_eq!(system.server.allow_device(client, VENDOR, DEVICE), 2);
    for index in 0..2 {
        let opened = system.call(client, Request::OpenDevice { index });
        assert!(matches!(opened, Ok(Reply::Device { .. })), "{opened:?}");
    }
    client
}

#[test]
fn memory_that_two_devices_may_write_to_comes_back_when_both_have_let_go() {
    for [first, second] in [[0, 1], [1, 0]] {
        let mut system = System::new(RAM);
        let functions = &mut system.server.kernel_mut().machine_mut().functions;
        for (device, address) in [(3, 0xfe00_0000), (4, 0xfe10_0000)] {
            let mut card = FakeFunction::new(VENDOR, DEVICE, address, 0x1000, 11);
            card.stuck = command::BUS_MASTER;
            functions.insert(FunctionAddress::new(0, device, 0), card);
        }
        system.server.find_functions().expect("functions");
        let client = driver(&mut system);
        system.dma(client, MIB).expect("memory");
        let held = system.committed(client);
        system.kill(client);
        let next = driver(&mut system);
        assert_ne!(next, client);
        let mut release = |function| {
            let request = Request::ReleaseQuarantine { function };
            assert_eq!(system.call(next, request), Ok(Reply::Done));
            system.settle();
            let account = system.server.client(client).expect("a place");
            (account.life, account.committed_pages as u64 * PAGE)
        };
        assert_eq!(release(first), (Life::Ending, held));
        assert_eq!(release(second), (Life::Vacant, 0));
    }
}
