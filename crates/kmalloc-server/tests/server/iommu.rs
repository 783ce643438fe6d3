// SPDX-License-Identifier: BSD-2-Clause
//! Devices behind an IOMMU: what they reach, when they begin to and when they cease, over a model of it.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED, program};
use fake_kernel::{FakeFunction, Fault};
use kmalloc_protocol::{Error, Reply, Request, Response};
use kmalloc_server::client::Life;
use kmalloc_server::kernel::ClientIndex;
use kmalloc_server::pci::{FunctionAddress, command, register};
use kmalloc_server::spawn::Spawn;
use kmalloc_simulation::scan;

const CARD: FunctionAddress = FunctionAddress::new(0, 3, 0);
const SECOND: FunctionAddress = FunctionAddress::new(0, 4, 0);
const VENDOR: u16 = 0x1234;
const DEVICE: u16 = 0x11e8;
/// What Intel's IOMMUs have.
const LEVELS: u8 = 3;

fn machine_with(levels: u8) -> System {
    let mut system = System::new(RAM);
    let machine = system.server.kernel_mut().machine_mut();
    machine.io_levels = levels;
    let card = FakeFunction::new(VENDOR, DEVICE, 0xfe00_0000, 0x1000, 11);
    let second = FakeFunction::new(VENDOR, DEVICE, 0xfe10_0000, 0x1000, 10);
    machine.functions.insert(CARD, card);
    machine.functions.insert(SECOND, second);
    system.server.find_functions().expect("functions");
    system
}

fn machine() -> System {
    machine_with(LEVELS)
}

fn driver(system: &mut System, memory_limit: u64) -> ClientIndex {
    let client = system.spawn(memory_limit);
    assert_eq!(system.server.allow_device(client, VENDOR, DEVICE), 2);
    client
}

fn open(system: &mut System, client: ClientIndex, index: u8) -> Result<u8, Error> {
    let function = match system.call(client, Request::OpenDevice { index })? {
        Reply::Device { function, .. } => function,
        other => panic!("{other:?}"),
    };
    let master = Request::PciConfigWrite {
        function,
        offset: register::COMMAND.into(),
        value: command::OF_DRIVERS,
    };
    assert_eq!(system.call(client, master), Ok(Reply::Done));
    Ok(function)
}

/// Has a card write one value over `length` bytes.
fn write(system: &mut System, card: FunctionAddress, at: u64, length: u64) -> Result<(), Fault> {
    let data = vec![0xa5; length as usize];
    system.server.kernel_mut().device_write(card, at, &data)
}

/// Whether a card reaches each of so many pages, or none of them.
fn reaches(system: &mut System, card: FunctionAddress, start: u64, pages: u64) -> bool {
    let mut reached = (0..pages).map(|page| write(system, card, start + page * PAGE, 8).is_ok());
    let first = reached.next().expect("a page");
    assert!(reached.all(|other| other == first), "all or none");
    first
}

#[test]
fn a_device_reaches_its_driver_s_dma_memory_and_nothing_else() {
    for levels in [2, LEVELS, 4] {
        let mut system = machine_with(levels);
        let client = driver(&mut system, UNLIMITED);
        let other = driver(&mut system, UNLIMITED);
        open(&mut system, client, 0).expect("a card");
        let (address, dma_addr) = system.dma(client, 3 * PAGE).expect("memory");
        assert_eq!(
            system.translate(client, address).expect("mapped").0,
            dma_addr
        );
        write(&mut system, CARD, dma_addr + 100, 2 * PAGE).expect("reached");
        let written = system.read::<{ 3 * PAGE as usize }>(client, address);
        for (place, byte) in (0..).zip(written) {
            let expected = if (100..100 + 2 * PAGE).contains(&place) {
                0xa5
            } else {
                0
            };
            assert_eq!(byte, expected, "byte {place}");
        }
        // Neither its heap, nor what others have, nor what nobody has.
        let heap = system.kmalloc(client, PAGE).expect("a block");
        let (victim, victim_addr) = system.dma(other, PAGE).expect("memory");
        system.write(other, victim, &[0x3c; PAGE as usize]);
        let heap_addr = system.translate(client, heap).expect("mapped").0;
        for target in [
            heap_addr,
            victim_addr,
            dma_addr + 3 * PAGE,
            0,
            RAM[0].0,
            0xfe10_0000,
        ] {
            let fault = Fault {
                address: target as usize,
            };
            assert_eq!(write(&mut system, CARD, target, 8), Err(fault));
        }
        assert_eq!(system.read(other, victim), [0x3c; PAGE as usize]);
        assert!(!reaches(&mut system, SECOND, dma_addr, 3), "it is nobody's");
    }
}

#[test]
fn memory_from_before_is_reached_and_all_functions_reach_it() {
    let mut system = machine();
    let client = driver(&mut system, UNLIMITED);
    let (early, early_addr) = system.dma(client, 5 * PAGE).expect("memory");
    assert!(!reaches(&mut system, CARD, early_addr, 5));
    open(&mut system, client, 0).expect("a card");
    assert!(reaches(&mut system, CARD, early_addr, 5));
    let (late, late_addr) = system.dma(client, 2 * PAGE).expect("memory");
    assert!(reaches(&mut system, CARD, late_addr, 2));
    open(&mut system, client, 1).expect("the other card");
    assert!(reaches(&mut system, SECOND, early_addr, 5));
    assert!(reaches(&mut system, SECOND, late_addr, 2));
    assert_eq!(system.kfree_dma(client, early), Ok(Reply::Done));
    for card in [CARD, SECOND] {
        assert!(!reaches(&mut system, card, early_addr, 5));
        assert!(reaches(&mut system, card, late_addr, 2));
    }
    assert_eq!(system.kfree_dma(client, late), Ok(Reply::Done));
    assert_eq!(system.server.kernel().copies().count(), 0);
    assert!(matches!(
        system.kfree_dma(client, late),
        Err(Error::DoubleFree { .. })
    ));
}

#[test]
fn who_has_no_device_pays_for_no_reach() {
    let mut with = machine();
    let mut without = machine_with(0);
    let mut committed = Vec::new();
    for system in [&mut with, &mut without] {
        let client = system.spawn(UNLIMITED);
        system.dma(client, 3 * MIB).expect("memory");
        assert_eq!(system.server.kernel().copies().count(), 0);
        let slots = system.server.client(client).expect("a client").slots;
        committed.push((system.committed(client), slots.committed));
    }
    assert_eq!(committed[0], committed[1]);
    // A driver's is mapped page by page instead: no kernel lets functions reach larger frames.
    let client = driver(&mut with, UNLIMITED);
    open(&mut with, client, 0).expect("a card");
    let (_, dma_addr) = with.dma(client, 3 * MIB).expect("memory");
    assert!(reaches(&mut with, CARD, dma_addr, 3 * MIB / PAGE));
    assert_eq!(with.server.kernel().copies().count() as u64, 3 * MIB / PAGE);
}

#[test]
fn a_dead_driver_s_device_reaches_nothing_and_the_next_one_s_does() {
    let mut system = machine();
    let free = system.books().free;
    let client = driver(&mut system, UNLIMITED);
    let card = open(&mut system, client, 0).expect("a card");
    open(&mut system, client, 1).expect("the other card");
    let (_, dma_addr) = system.dma(client, 40 * PAGE).expect("memory");
    // Neither lets itself be stopped.
    for at in [CARD, SECOND] {
        let machine = system.server.kernel_mut().machine_mut();
        machine.functions.get_mut(&at).expect("a card").stuck = command::BUS_MASTER;
    }
    system.answer(client, Request::Exit { status: 0 });
    // Slice by slice: what goes back is out of reach before, as the scan and the model see to.
    while system.work() {
        scan(&system.server);
    }
    system.settle();
    let life = system.server.client(client).map(|it| it.life);
    assert_eq!(life, Some(Life::Vacant), "there is no quarantine");
    assert_eq!(system.books().free, free);
    for at in [CARD, SECOND] {
        assert!(!reaches(&mut system, at, dma_addr, 40));
    }
    let next = driver(&mut system, UNLIMITED);
    assert_eq!(open(&mut system, next, 0), Ok(card));
    let (_, own_addr) = system.dma(next, 2 * PAGE).expect("memory");
    assert!(reaches(&mut system, CARD, own_addr, 2));
    assert!(!reaches(&mut system, SECOND, own_addr, 2));
    system.kill(next);
    system.settle();
    assert_eq!(system.books().free, free);
    assert_eq!(system.server.kernel().copies().count(), 0);
}

#[test]
fn what_the_kernel_refuses_on_the_way_is_undone() {
    type Step = fn(&mut System, ClientIndex) -> Response;
    let early: Step = |system, client| system.dma(client, 3 * PAGE).map(|_| Reply::Done);
    let open_it: Step = |system, client| system.call(client, Request::OpenDevice { index: 0 });
    let second: Step = |system, client| system.call(client, Request::OpenDevice { index: 1 });
    let late: Step = |system, client| system.dma(client, 2 * PAGE).map(|_| Reply::Done);
    let steps = [early, open_it, second, late];
    for (place, step) in steps.iter().enumerate() {
        for nth in 1.. {
            let mut system = machine();
            let free = system.books().free;
            let client = driver(&mut system, UNLIMITED);
            for before in &steps[..place] {
                before(&mut system, client).expect("no failure yet");
            }
            let copies = system.server.kernel().copies().count();
            system.server.kernel_mut().fail_at(nth, 77);
            let response = step(&mut system, client);
            let failed = system.server.kernel_mut().stop_failing();
            scan(&system.server);
            if failed.is_none() {
                response.expect("no failure any more");
                break;
            }
            let refused = Err(Error::Refused { code: 77 });
            assert_eq!(response, refused, "step {place}, call {nth}");
            assert_eq!(system.server.kernel().copies().count(), copies);
            for after in &steps[place..] {
                after(&mut system, client).expect("the next try succeeds");
            }
            system.kill(client);
            system.settle();
            assert_eq!(system.books().free, free, "step {place}, call {nth}");
        }
    }
}

#[test]
fn tables_and_slots_are_the_client_s_to_pay_for() {
    let mut system = machine();
    let client = driver(&mut system, MIB);
    open(&mut system, client, 0).expect("a card");
    let slots = |system: &System| {
        let account = system.server.client(client).expect("a client");
        account.slots.committed
    };
    let before = slots(&system);
    let (address, _) = system.dma(client, 4 * PAGE).expect("memory");
    // Two slots a page, and some for tables and ledgers that stay.
    let taken = slots(&system) - before;
    assert!(taken >= 8, "{taken}");
    assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
    assert_eq!(slots(&system), before + taken - 8);
    // To the limit, and back.
    let mut held = Vec::new();
    let refused = loop {
        match system.dma(client, 4 * PAGE) {
            Ok((address, dma_addr)) => held.push((address, dma_addr)),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, Error::OverQuota { .. } | Error::OutOfSlots { .. }),
        "{refused:?}"
    );
    for (address, dma_addr) in held {
        assert!(reaches(&mut system, CARD, dma_addr, 4));
        assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
    }
    assert_eq!(system.server.kernel().copies().count(), 0);
}

#[test]
fn a_function_that_can_t_be_given_its_driver_s_memory_stays_nobody_s() {
    let mut system = machine();
    let few = Spawn {
        slot_limit: Some(160),
        ..program(UNLIMITED)
    };
    let client = system.try_spawn(&few).expect("a client starts");
    system.server.allow_device(client, VENDOR, DEVICE);
    let mut held = Vec::new();
    while let Ok((address, _)) = system.dma(client, PAGE) {
        held.push(address);
    }
    for address in held.drain(..8) {
        assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
    }
    let mut tables = None;
    for _ in 0..3 {
        let refused = open(&mut system, client, 0);
        assert_eq!(refused, Err(Error::OutOfSlots { limit: 160 }));
        // Those of the first try are kept for the next.
        let slots = system.stats(client).slots;
        assert_eq!(*tables.get_or_insert(slots), slots);
        assert_eq!(system.server.kernel().copies().count(), 0);
    }
    for address in held {
        assert_eq!(system.kfree_dma(client, address), Ok(Reply::Done));
    }
    open(&mut system, client, 0).expect("a card");
}
