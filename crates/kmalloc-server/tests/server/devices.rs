// SPDX-License-Identifier: BSD-2-Clause
//! Devices in the hands of clients, over a model of PCI: who gets them, what of them, and what happens at their death.

use crate::system::{PAGE, RAM, System, UNLIMITED};
use fake_kernel::FakeFunction;
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Cache, Error, Reply, Request, Response};
use kmalloc_server::client::Life;
use kmalloc_server::kernel::{ClientIndex, InterruptSource};
use kmalloc_server::pci::{FunctionAddress, command, register};
use kmalloc_simulation::scan;

/// Two cards of one kind and one of another, a bridge, and a card behind it.
const CARD: FunctionAddress = FunctionAddress::new(0, 3, 0);
const SECOND: FunctionAddress = FunctionAddress::new(0, 4, 0);
const OTHER: FunctionAddress = FunctionAddress::new(0, 5, 1);
const BEHIND: FunctionAddress = FunctionAddress::new(2, 0, 0);

const VENDOR: u16 = 0x1234;
const DEVICE: u16 = 0x11e8;
const OTHER_DEVICE: u16 = 0x0001;
/// Where the message capability and the vendor's are.
const MESSAGES: u16 = 0x50;
const OWN: u16 = 0x70;

fn machine() -> System {
    let mut system = System::new(RAM);
    let functions = &mut system.server.kernel_mut().machine_mut().functions;
    let card = FakeFunction::new(VENDOR, DEVICE, 0xfe00_0000, 0x1_0000, 11)
        .with_capability(MESSAGES, 0x0080_0005, 3)
        .with_capability(OWN, 0x0010_0009, 3);
    functions.insert(CARD, card);
    let mut second = FakeFunction::new(VENDOR, DEVICE, 0xfe10_0000, 0x1000, 11);
    // A base address of 64 bits, far up.
    second.words[6..8].copy_from_slice(&[0x8000_000c, 0x12]);
    second.writable[6..8].copy_from_slice(&[!0x3fff, u32::MAX]);
    functions.insert(SECOND, second);
    // The first function says that there are more.
    let mut first = FakeFunction::new(VENDOR, 2, 0xfe20_0100, 0x100, 11);
    first.words[3] = 0x80_0000;
    functions.insert(FunctionAddress::new(0, 5, 0), first);
    let other = FakeFunction::new(VENDOR, OTHER_DEVICE, 0xfe20_0000, 0x100, 11);
    functions.insert(OTHER, other);
    let mut bridge = FakeFunction::new(VENDOR, 3, 0, 0x1000, 0);
    bridge.words[3] = 0x01_0000;
    bridge.words[6] = 0x0002_0200;
    functions.insert(FunctionAddress::new(0, 6, 0), bridge);
    let behind = FakeFunction::new(VENDOR, 4, 0xfe30_0000, 0x1000, 9);
    functions.insert(BEHIND, behind);
    system.server.find_functions().expect("functions");
    system
}

/// A client that may have the cards of the first kind.
fn driver(system: &mut System) -> ClientIndex {
    let client = system.spawn(UNLIMITED);
    assert_eq!(system.server.allow_device(client, VENDOR, DEVICE), 2);
    client
}

fn open(system: &mut System, client: ClientIndex, index: u8) -> Result<u8, Error> {
    match system.call(client, Request::OpenDevice { index })? {
        Reply::Device { function, .. } => Ok(function),
        other => panic!("{other:?}"),
    }
}

fn read(system: &mut System, client: ClientIndex, function: u8, offset: u32) -> Response {
    system.call(client, Request::PciConfigRead { function, offset })
}

fn write(
    system: &mut System,
    client: ClientIndex,
    function: u8,
    (offset, value): (u32, u32),
) -> Response {
    let request = Request::PciConfigWrite {
        function,
        offset,
        value,
    };
    system.call(client, request)
}

fn map(system: &mut System, client: ClientIndex, function: u8, bar: u8) -> Response {
    system.call(client, Request::MapBar { function, bar })
}

fn word(system: &System, address: FunctionAddress, offset: u16) -> u32 {
    system.server.kernel().machine().functions[&address].word(offset)
}

fn is_master(system: &System, address: FunctionAddress) -> bool {
    word(system, address, register::COMMAND) & command::BUS_MASTER != 0
}

const BUSY: Result<u8, Error> = Err(Error::DeviceBusy { device: 0 });

#[test]
fn functions_go_to_whom_they_are_allowed_and_to_one_at_a_time() {
    let mut system = machine();
    let (first, second) = (driver(&mut system), driver(&mut system));
    let nobody = system.spawn(UNLIMITED);
    assert_eq!(
        open(&mut system, nobody, 0),
        Err(Error::NoDevice { device: 0 })
    );
    let card = open(&mut system, first, 0).expect("a card");
    assert_eq!(open(&mut system, first, 0), Ok(card));
    assert_eq!(open(&mut system, second, 0), BUSY);
    let third = Err(Error::NoDevice { device: 2 });
    assert_eq!(open(&mut system, first, 2), third);
    let other = open(&mut system, second, 1).expect("the other card");
    assert_ne!(card, other);
    // What one has, another has not, whatever it asks.
    let refused = Err(Error::NoDevice {
        device: card.into(),
    });
    for client in [second, nobody] {
        assert_eq!(read(&mut system, client, card, 0), refused);
        assert_eq!(write(&mut system, client, card, (4, 0)), refused);
        assert_eq!(map(&mut system, client, card, 0), refused);
        for request in [
            Request::EnableInterrupt { function: card },
            Request::AckInterrupt { function: card },
            Request::ReleaseQuarantine { function: card },
        ] {
            assert_eq!(system.call(client, request), refused);
        }
    }
    assert_eq!(
        read(&mut system, first, 255, 0),
        Err(Error::NoDevice { device: 255 })
    );
}

#[test]
fn functions_behind_bridges_and_beside_others_are_found() {
    let mut system = machine();
    let client = system.spawn(UNLIMITED);
    for (device, count) in [(OTHER_DEVICE, 1), (4, 1), (3, 0), (77, 0)] {
        assert_eq!(system.server.allow_device(client, VENDOR, device), count);
    }
    let reply = system.call(client, Request::OpenDevice { index: 1 });
    let Ok(Reply::Device {
        address, id, class, ..
    }) = reply
    else {
        panic!("{reply:?}");
    };
    assert_eq!(address, u32::from(BEHIND.0));
    assert_eq!((id, class), (4 << 16 | u32::from(VENDOR), 0xff00));
}

#[test]
fn opening_leaves_the_function_as_it_was_but_for_bus_mastering() {
    let mut system = machine();
    let client = driver(&mut system);
    let before = system.server.kernel().machine().functions[&CARD].words;
    assert!(is_master(&system, CARD));
    open(&mut system, client, 0).expect("a card");
    assert!(
        !is_master(&system, CARD),
        "that is for the driver to ask for"
    );
    let mut expected = before;
    expected[1] &= !command::BUS_MASTER;
    assert_eq!(
        system.server.kernel().machine().functions[&CARD].words,
        expected
    );
}

#[test]
fn configuration_is_read_whole_and_written_where_it_is_harmless() {
    let mut system = machine();
    let client = driver(&mut system);
    let card = open(&mut system, client, 0).expect("a card");
    let before = system.server.kernel().machine().functions[&CARD].words;
    for offset in (0..256).step_by(4) {
        let value = before[offset as usize / 4];
        assert_eq!(
            read(&mut system, client, card, offset),
            Ok(Reply::Value { value })
        );
    }
    for offset in [1, 2, 0x41, 0x100, u32::MAX] {
        let refused = Err(Error::BadRegister {
            offset: offset.into(),
        });
        assert_eq!(read(&mut system, client, card, offset), refused);
        assert_eq!(write(&mut system, client, card, (offset, 0)), refused);
    }
    let harmless = [4, 0x3c, 0x74, 0x78, 0x7c];
    for offset in (0..256).step_by(4) {
        let response = write(&mut system, client, card, (offset, 0x0600_0006));
        if harmless.contains(&offset) {
            assert_eq!(response, Ok(Reply::Done), "{offset:#x}");
        } else if !(0x14..0x28).contains(&offset) {
            // Base addresses that there are not take anything and keep nothing.
            let refused = Error::BadRegister {
                offset: offset.into(),
            };
            assert_eq!(response, Err(refused), "{offset:#x}");
        }
    }
    let after = system.server.kernel().machine().functions[&CARD].words;
    for word in 0..64 {
        if !harmless.contains(&(word as u32 * 4)) {
            assert_eq!(before[word], after[word], "word {word}");
        }
    }
    assert!(is_master(&system, CARD));
}

#[test]
fn a_base_address_tells_its_size_and_stays() {
    let mut system = machine();
    let client = driver(&mut system);
    let card = open(&mut system, client, 0).expect("a card");
    let value = |value| Ok(Reply::Value { value });
    let refused = Err(Error::BadRegister { offset: 0x10 });
    assert_eq!(
        write(&mut system, client, card, (0x10, 0xfd00_0000)),
        refused
    );
    assert_eq!(
        write(&mut system, client, card, (0x10, u32::MAX)),
        Ok(Reply::Done)
    );
    assert_eq!(read(&mut system, client, card, 0x10), value(!0xffff));
    assert_eq!(
        write(&mut system, client, card, (0x10, 0xfe00_0000)),
        Ok(Reply::Done)
    );
    assert_eq!(read(&mut system, client, card, 0x10), value(0xfe00_0000));
    assert_eq!(word(&system, CARD, 0x10), 0xfe00_0000);
}

#[test]
fn a_base_address_of_64_bits_is_asked_half_by_half() {
    let mut system = machine();
    let client = driver(&mut system);
    let card = open(&mut system, client, 1).expect("a card");
    let value = |value| Ok(Reply::Value { value });
    let [low, upper] = [0x18, 0x1c];
    assert_eq!(
        write(&mut system, client, card, (low, u32::MAX)),
        Ok(Reply::Done)
    );
    assert_eq!(read(&mut system, client, card, low), value(0xffff_c00c));
    assert_eq!(read(&mut system, client, card, upper), value(0x12));
    assert_eq!(
        write(&mut system, client, card, (upper, u32::MAX)),
        Ok(Reply::Done)
    );
    assert_eq!(read(&mut system, client, card, upper), value(u32::MAX));
    for (offset, word) in [(upper, 0x12), (low, 0x8000_000c)] {
        assert_eq!(
            write(&mut system, client, card, (offset, word)),
            Ok(Reply::Done)
        );
        assert_eq!(read(&mut system, client, card, offset), value(word));
    }
    let refused = Err(Error::BadRegister { offset: 0x1c });
    assert_eq!(write(&mut system, client, card, (upper, 0x13)), refused);
    let Ok(Reply::Region { address, size }) = map(&mut system, client, card, 2) else {
        panic!("registers are mapped");
    };
    assert_eq!(size, 0x4000);
    let (place, _) = system.translate(client, address).expect("mapped");
    assert_eq!(place, 0x12_8000_0000);
}

#[test]
fn registers_are_mapped_uncached_at_their_true_address() {
    let mut system = machine();
    let client = driver(&mut system);
    let card = open(&mut system, client, 0).expect("a card");
    let Ok(Reply::Region { address, size }) = map(&mut system, client, card, 0) else {
        panic!("registers are mapped");
    };
    assert_eq!(size, 0x1_0000);
    assert_eq!(Window::of(address as usize), Some(Window::Device));
    for offset in (0..size).step_by(PAGE as usize) {
        let (place, how) = system.translate(client, address + offset).expect("mapped");
        assert_eq!(place, 0xfe00_0000 + offset);
        assert_eq!(how.cache, Cache::Uncached);
    }
    let again = map(&mut system, client, card, 0);
    assert_eq!(again, Ok(Reply::Region { address, size }));
    for bar in [1, 5, 6, 255] {
        let refused = Err(Error::BadRegister { offset: bar.into() });
        assert_eq!(map(&mut system, client, card, bar), refused);
    }
    // It is no memory to give back.
    for request in [
        Request::Kfree { address },
        Request::KfreeDma { address },
        Request::Release { address },
    ] {
        let refused = system.call(client, request);
        assert!(
            matches!(
                refused,
                Err(Error::WrongKind { .. } | Error::BadPointer { .. })
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn registers_in_a_page_with_those_of_another_are_not_mapped() {
    let mut system = machine();
    let client = system.spawn(UNLIMITED);
    system.server.allow_device(client, VENDOR, OTHER_DEVICE);
    let card = open(&mut system, client, 0).expect("a card");
    let refused = map(&mut system, client, card, 0);
    assert!(
        matches!(refused, Err(Error::DeviceBusy { .. })),
        "{refused:?}"
    );
    scan(&system.server);
}

#[test]
fn interrupts_are_messages_that_the_server_writes_down() {
    let mut system = machine();
    let client = driver(&mut system);
    let card = open(&mut system, client, 0).expect("a card");
    let not_enabled = Err(Error::NoDevice {
        device: card.into(),
    });
    let acknowledge = Request::AckInterrupt { function: card };
    assert_eq!(system.call(client, acknowledge), not_enabled);
    for _ in 0..2 {
        let response = system.call(client, Request::EnableInterrupt { function: card });
        assert_eq!(response, Ok(Reply::Done));
    }
    let machine = system.server.kernel().machine();
    let expected = (InterruptSource::Message(CARD), client);
    assert_eq!(machine.interrupts[&card], expected);
    assert_eq!(
        word(&system, CARD, MESSAGES) >> 16 & 0x71,
        1,
        "on, one message"
    );
    assert_eq!(word(&system, CARD, MESSAGES + 4), 0xfee0_0000);
    assert_eq!(word(&system, CARD, MESSAGES + 8), 0);
    assert_eq!(word(&system, CARD, MESSAGES + 12), 0x31 + u32::from(card));
    for offset in [0x50, 0x54, 0x58, 0x5c] {
        let refused = Err(Error::BadRegister {
            offset: offset.into(),
        });
        assert_eq!(write(&mut system, client, card, (offset, 0)), refused);
    }
    assert_eq!(system.call(client, acknowledge), Ok(Reply::Done));
    assert_eq!(system.server.kernel().machine().acknowledged[&card], 1);
}

#[test]
fn a_line_serves_one_function() {
    let mut system = machine();
    let client = driver(&mut system);
    system.server.allow_device(client, VENDOR, OTHER_DEVICE);
    let second = open(&mut system, client, 1).expect("a card");
    let other = open(&mut system, client, 2).expect("another card");
    let enable = |function| Request::EnableInterrupt { function };
    assert_eq!(system.call(client, enable(second)), Ok(Reply::Done));
    let shared = Err(Error::SharedInterrupt { line: 11 });
    assert_eq!(system.call(client, enable(other)), shared);
    let machine = system.server.kernel().machine();
    assert_eq!(machine.interrupts.len(), 1);
    assert_eq!(
        machine.interrupts[&second],
        (InterruptSource::Line(11), client)
    );
}

/// A driver with its card at work: mapped, mastering the bus, interrupting; and 4 pages that it writes to.
fn at_work(system: &mut System) -> (ClientIndex, u8) {
    let client = driver(system);
    let card = open(system, client, 0).expect("a card");
    map(system, client, card, 0).expect("registers");
    system
        .call(client, Request::EnableInterrupt { function: card })
        .expect("an interrupt");
    let master = (u32::from(register::COMMAND), command::OF_DRIVERS);
    write(system, client, card, master).expect("a bus master");
    system.dma(client, 4 * PAGE).expect("memory");
    assert!(is_master(system, CARD));
    (client, card)
}

#[test]
fn a_dead_driver_s_device_is_silent_before_its_memory_is_used_again() {
    let mut system = machine();
    let free = system.books().free;
    let (client, card) = at_work(&mut system);
    let next = driver(&mut system);
    system.answer(client, Request::Exit { status: 0 });
    // At once, before the first page goes back.
    assert!(!is_master(&system, CARD));
    assert_eq!(word(&system, CARD, MESSAGES) >> 16 & 1, 0);
    assert!(system.server.kernel().machine().interrupts.is_empty());
    system.settle();
    assert_eq!(open(&mut system, next, 0), Ok(card));
    map(&mut system, next, card, 0).expect("the same frames");
    system.kill(next);
    system.settle();
    assert_eq!(system.books().free, free);
}

#[test]
fn a_device_that_can_t_be_stopped_keeps_its_driver_s_memory_in_quarantine() {
    let mut system = machine();
    let free = system.books().free;
    let (client, card) = at_work(&mut system);
    let function = system
        .server
        .kernel_mut()
        .machine_mut()
        .functions
        .get_mut(&CARD);
    function.expect("a card").stuck = command::BUS_MASTER;
    let held = system.committed(client);
    system.answer(client, Request::Exit { status: 0 });
    system.settle();
    let account = system.server.client(client).expect("a place");
    assert_eq!(account.life, Life::Ending);
    assert_eq!(system.committed(client), held);
    assert_eq!(system.books().free, free - held);
    // The next driver makes it let go, and says so.
    let next = driver(&mut system);
    assert_ne!(next, client);
    assert_eq!(open(&mut system, next, 0), Ok(card));
    let release = Request::ReleaseQuarantine { function: card };
    assert_eq!(system.call(next, release), Ok(Reply::Done));
    system.settle();
    assert_eq!(system.committed(client), 0);
    assert_eq!(system.call(next, release), Ok(Reply::Done));
    let function = system
        .server
        .kernel_mut()
        .machine_mut()
        .functions
        .get_mut(&CARD);
    function.expect("a card").stuck = 0;
    system.kill(next);
    system.settle();
    assert_eq!(system.books().free, free);
}

#[test]
fn what_the_kernel_refuses_on_the_way_is_undone() {
    type Step = fn(&mut System, ClientIndex) -> Response;
    let open_it: Step = |system, client| system.call(client, Request::OpenDevice { index: 0 });
    let map_it: Step = |system, client| map(system, client, 0, 0);
    let enable: Step =
        |system, client| system.call(client, Request::EnableInterrupt { function: 0 });
    let command: Step = |system, client| write(system, client, 0, (4, 7));
    let steps = [open_it, map_it, enable, command];
    for (place, step) in steps.iter().enumerate() {
        for nth in 1.. {
            let mut system = machine();
            let free = system.books().free;
            let client = driver(&mut system);
            for before in &steps[..place] {
                before(&mut system, client).expect("no failure yet");
            }
            system.server.kernel_mut().fail_at(nth, 77);
            let response = step(&mut system, client);
            let failed = system.server.kernel_mut().stop_failing();
            scan(&system.server);
            if failed.is_none() {
                response.expect("no failure any more");
                break;
            }
            assert_eq!(
                response,
                Err(Error::Refused { code: 77 }),
                "step {place}, call {nth}"
            );
            step(&mut system, client).expect("the next try succeeds");
            assert_eq!(word(&system, CARD, 0x10), 0xfe00_0000);
            system.kill(client);
            system.settle();
            assert_eq!(system.books().free, free, "step {place}, call {nth}");
        }
    }
}
