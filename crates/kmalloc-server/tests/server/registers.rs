// SPDX-License-Identifier: BSD-2-Clause
//! What is written to a function's registers, bit by bit, and which functions and capabilities are seen at all.

use crate::system::{PAGE, RAM, System, UNLIMITED};
use fake_kernel::FakeFunction;
use kmalloc_protocol::{Error, Reply, Request, Response};
use kmalloc_server::kernel::{ClientIndex, InterruptSource};
use kmalloc_server::pci::{FunctionAddress, command, register};

const CARD: FunctionAddress = FunctionAddress::new(0, 3, 0);
const VENDOR: u16 = 0x1234;
const DEVICE: u16 = 0x11e8;
const LINE: u8 = 11;
const MESSAGES: u16 = 0x50;

fn card() -> FakeFunction {
    FakeFunction::new(VENDOR, DEVICE, 0xfe00_0000, 0x1_0000, LINE)
}

/// A machine with these functions, and a client that may have the first kind.
fn machine(functions: &[(FunctionAddress, FakeFunction)]) -> (System, ClientIndex) {
    let mut system = System::new(RAM);
    let known = &mut system.server.kernel_mut().machine_mut().functions;
    known.extend(functions.iter().cloned());
    system.server.find_functions().expect("functions");
    let client = system.spawn(UNLIMITED);
    (system, client)
}

/// The same with this card alone, opened.
fn with_card(function: FakeFunction) -> (System, ClientIndex) {
    let id = function.word(register::ID);
    let (mut system, client) = machine(&[(CARD, function)]);
    let (vendor, device) = (id as u16, (id >> 16) as u16);
    assert_eq!(system.server.allow_device(client, vendor, device), 1);
    let opened = system.call(client, Request::OpenDevice { index: 0 });
    assert!(matches!(opened, Ok(Reply::Device { function: 0, .. })));
    (system, client)
}

fn function(system: &mut System) -> &mut FakeFunction {
    let functions = &mut system.server.kernel_mut().machine_mut().functions;
    functions.get_mut(&CARD).expect("the card")
}

fn write(system: &mut System, client: ClientIndex, offset: u16, value: u32) {
    let request = Request::PciConfigWrite {
        function: 0,
        offset: offset.into(),
        value,
    };
    assert_eq!(system.call(client, request), Ok(Reply::Done));
}

fn enable_interrupt(system: &mut System, client: ClientIndex) -> InterruptSource {
    let request = Request::EnableInterrupt { function: 0 };
    assert_eq!(system.call(client, request), Ok(Reply::Done));
    system.server.kernel().machine().interrupts[&0].0
}

#[test]
fn of_the_command_register_a_driver_writes_its_bits_and_the_status_above() {
    let (mut system, client) = with_card(card());
    let card = function(&mut system);
    // Parity and system errors are firmware's to decide; what is written to the status clears it.
    card.words[1] = 0x0010_0000 | 0x140 | command::MEMORY;
    card.writable[1] = u32::MAX;
    let all = u32::from(u16::MAX) | 0xf900_0000;
    write(&mut system, client, register::COMMAND, all);
    // Ports, memory, bus master, and no interrupt line.
    let expected = 0xf900_0000 | 0x140 | 0x407;
    assert_eq!(function(&mut system).words[1], expected);
    write(&mut system, client, register::COMMAND, 0);
    assert_eq!(function(&mut system).words[1], 0x140);
}

#[test]
fn of_the_interrupt_register_a_driver_writes_the_line() {
    let (mut system, client) = with_card(card());
    function(&mut system).words[15] = 0x1122_3344;
    function(&mut system).writable[15] = u32::MAX;
    write(&mut system, client, register::INTERRUPT, 0x5566_7788);
    assert_eq!(function(&mut system).words[15], 0x1122_3388);
}

#[test]
fn a_card_whose_driver_died_keeps_its_command_register_but_for_bus_mastering() {
    let (mut system, client) = with_card(card());
    let master = command::MEMORY | command::BUS_MASTER;
    function(&mut system).writable[1] = u32::MAX;
    function(&mut system).words[1] = 0x140 | master;
    system.kill(client);
    assert_eq!(function(&mut system).words[1], 0x140 | command::MEMORY);
}

#[test]
fn messages_go_where_the_capability_has_room_for_them() {
    // With an address of 32 bits the data comes a word earlier; messages may be on already, for more than one interrupt.
    for (head, data, on) in [
        (0x0000_0005, 2, 0x0001_0005),
        (0x0000_0005 | 0x71 << 16, 2, 0x0001_0005),
        (0x0080_0005, 3, 0x0081_0005),
        (0x0080_0005 | 0x2b << 16, 3, 0x008b_0005),
    ] {
        let mut before = card().with_capability(MESSAGES, head, 4);
        let place = usize::from(MESSAGES) / 4;
        if data == 3 {
            // The upper half of an address that somebody has left.
            before.words[place + 2] = 0x77;
        }
        before.words[place - 2..place].fill(0x1122_3344);
        before.writable[place - 2..place].fill(u32::MAX);
        let (mut system, client) = with_card(before);
        let source = enable_interrupt(&mut system, client);
        assert_eq!(source, InterruptSource::Message(CARD));
        let words = &function(&mut system).words[usize::from(MESSAGES) / 4..];
        let mut expected = [on, 0xfee0_0000, 0, 0, 0];
        expected[data] = 0x31;
        assert_eq!(words[..5], expected, "{head:#x}");
        let words = &function(&mut system).words[place - 2..place];
        assert_eq!(words, [0x1122_3344; 2], "{head:#x}");
        // Off they go with the driver, and all else stays.
        system.kill(client);
        let word = function(&mut system).word(MESSAGES);
        assert_eq!(word, on & !(1 << 16), "{head:#x}");
    }
}

#[test]
fn the_list_of_capabilities_is_followed_from_its_first_to_its_end() {
    // The lowest place that there is, and pointers with bits that mean nothing.
    let mut low = card().with_capability(0x40, 0x0080_0005, 3);
    low.words[13] |= 3;
    let (mut system, client) = with_card(low);
    let source = enable_interrupt(&mut system, client);
    assert_eq!(source, InterruptSource::Message(CARD));
    // A list that says where it is and is not said to be there.
    let mut unsaid = card().with_capability(MESSAGES, 0x0080_0005, 3);
    unsaid.words[1] &= !(1 << 20);
    // One that ends before it begins: behind its end is the vendor's number, which looks like messages.
    let mut empty = FakeFunction::new(0x1205, DEVICE, 0xfe00_0000, 0x1000, LINE);
    empty.words[1] |= 1 << 20;
    // One that goes in circles.
    let circle = card().with_capability(0x60, 0x0000_6009, 0);
    for (name, mut function) in [("unsaid", unsaid), ("empty", empty), ("circle", circle)] {
        if name == "circle" {
            function.words[0x60 / 4] = 0x0000_6001;
        }
        let (mut system, client) = with_card(function);
        let source = enable_interrupt(&mut system, client);
        assert_eq!(source, InterruptSource::Line(LINE), "{name}");
    }
}

#[test]
fn registers_stand_side_by_side_and_take_up_as_much_address_space_as_they_have_pages() {
    // Of 1, 16 and 4 pages: address space is not lost to an alignment that nobody asked for.
    let mut function = card();
    function.words[4..7].copy_from_slice(&[0xfe00_0000, 0xfe10_0000, 0xfe20_0000]);
    function.writable[4..7].copy_from_slice(&[!0xfff, !0xffff, !0x3fff]);
    let (mut system, client) = with_card(function);
    let [first, second, third] = [0, 1, 2].map(|bar| match map(&mut system, client, bar) {
        Ok(Reply::Region { address, .. }) => address,
        other => panic!("{other:?}"),
    });
    assert_eq!(second - first, PAGE);
    assert_eq!(third - second, 16 * PAGE);
}

#[test]
fn opening_writes_to_the_command_register_and_the_base_addresses_alone() {
    let (mut system, _) = with_card(card());
    let written = function(&mut system).written;
    for (word, times) in written.into_iter().enumerate() {
        // Silenced and restored; all bits, and what was there.
        let expected = match word {
            1 | 4..10 => 2,
            _ => 0,
        };
        assert_eq!(times, expected, "word {word}");
    }
}

#[test]
fn further_functions_are_looked_for_where_the_first_says_so() {
    let mut many = card();
    many.words[3] = 0x80_0000;
    let at = FunctionAddress::new;
    let functions = [
        (at(0, 3, 0), card()),
        // An echo of the first.
        (at(0, 3, 1), card()),
        (at(0, 4, 0), many),
        (at(0, 4, 7), card()),
        (at(0, 31, 0), card()),
    ];
    let (mut system, client) = machine(&functions);
    assert_eq!(system.server.allow_device(client, VENDOR, DEVICE), 4);
    assert_eq!(system.server.allow_device(client, VENDOR, DEVICE + 1), 0);
    assert_eq!(system.server.allow_device(client, VENDOR + 1, DEVICE), 0);
}

#[test]
fn of_more_functions_than_32_the_first_32_are_known() {
    let mut many = card();
    many.words[3] = 0x80_0000;
    let at = FunctionAddress::new;
    let mut functions: Vec<_> = (0..32).map(|device| (at(0, device, 0), card())).collect();
    functions[31].1 = many;
    functions.push((at(0, 31, 1), card()));
    let (mut system, client) = machine(&functions);
    assert_eq!(system.server.allow_device(client, VENDOR, DEVICE), 32);
}

#[test]
fn a_function_is_one_by_its_vendor_and_the_first_speaks_for_the_others() {
    let at = FunctionAddress::new;
    // What is not there says of itself that it has more functions, as all bits are set.
    let behind_none = card();
    let no_vendor = FakeFunction::new(0xffff, 1, 0xfe40_0000, 0x1000, LINE);
    let functions = [(at(0, 5, 1), behind_none), (at(0, 6, 0), no_vendor)];
    let (mut system, client) = machine(&functions);
    assert_eq!(system.server.allow_device(client, VENDOR, DEVICE), 0);
    assert_eq!(system.server.allow_device(client, 0xffff, 1), 0);
}

#[test]
fn base_addresses_of_every_kind_are_sized_and_told() {
    let mut function = card();
    // Ports, 64 bits of memory that may be prefetched, four ports, nothing that says it is something, and 32 bits
    // in the last register.
    function.words[4..10].copy_from_slice(&[0xc001, 0x8000_000c, 0x12, 0xc101, 8, 0xfe40_0000]);
    function.writable[4..10].copy_from_slice(&[0xffc0, !0x3fff, u32::MAX, 0xfffc, 0, !0xf_ffff]);
    let (mut system, client) = with_card(function.clone());
    assert_eq!(
        self::function(&mut system).words[4..10],
        function.words[4..10]
    );
    let told = [
        0xffff_ffc1,
        0xffff_c00c,
        u32::MAX,
        0xffff_fffd,
        0,
        0xfff0_0000,
    ];
    for (index, told) in told.into_iter().enumerate() {
        let offset = register::BAR + 4 * index as u16;
        write(&mut system, client, offset, u32::MAX);
        let request = Request::PciConfigRead {
            function: 0,
            offset: offset.into(),
        };
        let expected = Ok(Reply::Value { value: told });
        assert_eq!(system.call(client, request), expected, "{index}");
        write(&mut system, client, offset, function.words[4 + index]);
        let value = function.words[4 + index];
        assert_eq!(system.call(client, request), Ok(Reply::Value { value }));
    }
}

#[test]
fn opening_writes_nothing_to_the_status_register() {
    let mut function = card();
    // What is written there clears it, so zeros leave it as it is; the model takes them as they come.
    function.words[1] = 0xf910_0140 | command::MEMORY | command::BUS_MASTER;
    function.writable[1] = u32::MAX;
    let (mut system, _) = with_card(function);
    let word = self::function(&mut system).words[1];
    assert_eq!(word, 0x140 | command::MEMORY);
}

fn map(system: &mut System, client: ClientIndex, bar: u8) -> Response {
    let function = 0;
    system.call(client, Request::MapBar { function, bar })
}

#[test]
fn registers_are_mapped_as_far_as_they_go() {
    let mut function = card();
    // 64 bits from the first register on, ports, and one that says it has 64 bits and has no upper half.
    function.words[4..10].copy_from_slice(&[4, 0x21, 0xc001, 0, 0, 0xfe40_0004]);
    function.writable[4..10].copy_from_slice(&[!0xfff, u32::MAX, 0xffc0, 0, 0, !0x1fff]);
    let (mut system, client) = with_card(function);
    for (bar, place, pages) in [(0, 0x21_0000_0000, 1), (5, 0xfe40_0000, 2)] {
        let size = pages * PAGE;
        let Ok(Reply::Region { address, size: got }) = map(&mut system, client, bar) else {
            panic!("registers are mapped");
        };
        assert_eq!(got, size);
        let (mapped, _) = system.translate(client, address).expect("mapped");
        assert_eq!(mapped, place);
        assert!(system.is_mapped(client, address + size - PAGE));
        assert!(!system.is_mapped(client, address + size));
    }
    // The upper half is none by itself, and ports are no memory.
    let refused = Err(Error::BadRegister { offset: 1 });
    assert_eq!(map(&mut system, client, 1), refused);
    let refused = Err(Error::WrongKind { address: 0xc000 });
    assert_eq!(map(&mut system, client, 2), refused);
}

#[test]
fn a_page_is_shared_by_registers_of_memory_alone() {
    let at = FunctionAddress::new;
    let small = |address| FakeFunction::new(VENDOR, DEVICE, address, 0x100, LINE);
    let mut others = small(0xfe20_1000);
    // Ports whose number looks like an address of the page, and nothing.
    others.words[5] = 0xfe20_0001;
    others.writable[5] = !0xff | 1;
    let (mut system, client) = machine(&[(CARD, small(0xfe20_0000)), (at(0, 4, 0), others)]);
    assert_eq!(system.server.allow_device(client, VENDOR, DEVICE), 2);
    let opened = system.call(client, Request::OpenDevice { index: 0 });
    assert!(matches!(opened, Ok(Reply::Device { function: 0, .. })));
    let mapped = map(&mut system, client, 0);
    assert!(matches!(mapped, Ok(Reply::Region { .. })), "{mapped:?}");
}

#[test]
fn registers_up_to_the_end_of_a_page_or_far_up_are_not_mapped_where_others_are_beside_them() {
    let at = FunctionAddress::new;
    let wide = |high: u32, low: u32| {
        let mut function = FakeFunction::new(VENDOR, DEVICE, 0, 0x100, LINE);
        function.words[4..6].copy_from_slice(&[low | 4, high]);
        function.writable[4..6].copy_from_slice(&[!0xff, u32::MAX]);
        function
    };
    let small = |address| FakeFunction::new(VENDOR, DEVICE, address, 0x100, LINE);
    let pair = |first, second| {
        let mut function = small(first);
        function.words[5] = second;
        function.writable[5] = !0xff;
        function
    };
    let behind = |last, behind| {
        let mut function = small(0xfe30_0000);
        function.words[9..11].copy_from_slice(&[last, behind]);
        function
    };
    let tried = [
        // The last one says it has 64 bits, and what is behind it is no address.
        (small(0xfe20_0000), behind(0xfe20_0f04, 0x77), true),
        (small(0xfe20_0000), behind(0xfe40_0000, 0xfe20_0f00), false),
        // One of two addresses of 32 bits.
        (small(0xfe20_0000), pair(0xfe20_0f00, 0xfe30_0000), true),
        (small(0xfe20_0000), pair(0xfe30_0000, 0xfe20_0f00), true),
        // The last 256 bytes of a page, and others in front.
        (small(0xfe20_0f00), small(0xfe20_0000), true),
        // Of 64 bits, both in one page, or in pages that differ above the lower 32.
        (wide(0x12, 0x8000_0000), wide(0x12, 0x8000_0f00), true),
        (wide(0x12, 0x8000_0000), wide(0x13, 0x8000_0f00), false),
        (wide(0, 0x8000_0000), wide(0x13, 0x8000_0f00), false),
        // The upper half of an address is none by itself.
        (small(0xfe20_0000), wide(0xfe20_0000, 0x8000_0000), false),
    ];
    for (index, (first, second, shared)) in tried.into_iter().enumerate() {
        let (mut system, client) = machine(&[(CARD, first), (at(0, 4, 0), second)]);
        assert_eq!(system.server.allow_device(client, VENDOR, DEVICE), 2);
        let opened = system.call(client, Request::OpenDevice { index: 0 });
        assert!(matches!(opened, Ok(Reply::Device { function: 0, .. })));
        let mapped = map(&mut system, client, 0);
        let busy = Err(Error::DeviceBusy { device: 1 });
        assert_eq!(mapped == busy, shared, "{index}: {mapped:?}");
        assert_eq!(mapped.is_ok(), !shared, "{index}: {mapped:?}");
    }
}

#[test]
fn registers_that_begin_inside_of_a_page_are_told_there() {
    let (mut system, client) =
        with_card(FakeFunction::new(VENDOR, DEVICE, 0xfe20_0f00, 0x100, LINE));
    let Ok(Reply::Region { address, size }) = map(&mut system, client, 0) else {
        panic!("registers are mapped");
    };
    assert_eq!((address % PAGE, size), (0xf00, 0x100));
    let (mapped, _) = system.translate(client, address).expect("mapped");
    assert_eq!(mapped / PAGE, 0xfe20_0f00 / PAGE);
}
