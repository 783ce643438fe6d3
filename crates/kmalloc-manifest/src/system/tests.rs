// SPDX-License-Identifier: BSD-2-Clause
extern crate std;

use std::vec::Vec;

use super::*;
use crate::{Budget, Devices, Expectation, FaultKind, OnFailure, Report, Settings, Texts, encode};

fn programs() -> [Program<'static>; 2] {
    [
        Program {
            name: "hello",
            elf: b"\x7fELF hello",
        },
        Program {
            name: "replay",
            elf: &[0xff; 300],
        },
    ]
}

fn budget(budget_us: u32, period_us: u32) -> Budget {
    Budget {
        budget_us,
        period_us,
    }
}

fn clients() -> [Client<'static>; 2] {
    let fault = Expectation::Fault {
        kind: Some(FaultKind::VirtualMemory),
        address: Some(0x1000),
    };
    [
        Client {
            name: "first",
            program: 0,
            arguments: Texts::new("one\0two words\0\0").unwrap(),
            priority: 100,
            budget: None,
            memory_limit_bytes: 1 << 20,
            memory_reserved_bytes: 1 << 19,
            slot_limit: Some(300),
            start: true,
            service: false,
            serves: None,
            calls: None,
            devices: Devices::new(&[0x34, 0x12, 0xe8, 0x11]).unwrap(),
            movable: true,
            expect: Expectation::Exit(0),
            on_failure: OnFailure::Leave,
            restarts_max: 0,
            starts: Texts::default(),
            kills: Texts::default(),
            children_max: 0,
            statistics: false,
            report: Report::Each,
            data: b"",
        },
        Client {
            name: "second",
            program: 1,
            arguments: Texts::default(),
            priority: 1,
            budget: Some(budget(2_000, 5_000)),
            memory_limit_bytes: u64::MAX,
            memory_reserved_bytes: 0,
            slot_limit: None,
            start: false,
            service: true,
            serves: None,
            calls: None,
            devices: Devices::default(),
            movable: false,
            expect: fault,
            on_failure: OnFailure::Leave,
            restarts_max: 0,
            starts: Texts::default(),
            kills: Texts::default(),
            children_max: 0,
            statistics: false,
            report: Report::Each,
            data: &[7; 1000],
        },
    ]
}

fn archive() -> Vec<u8> {
    encode(Settings::default(), &programs(), &clients()).unwrap()
}

#[test]
fn decode_gives_back_what_was_encoded() {
    let archive = archive();
    let system = System::decode(&archive).unwrap();
    assert_eq!(system.programs().collect::<Vec<_>>(), programs());
    assert_eq!(system.clients().collect::<Vec<_>>(), clients());
    assert_eq!(system.programs().len(), 2);
    assert_eq!(system.clients().len(), 2);
    assert_eq!(system.program(1), Some(programs()[1]));
    assert_eq!(system.program(2), None);
}

#[test]
fn decoded_bytes_lie_in_the_archive() {
    let archive = archive();
    let elf = System::decode(&archive).unwrap().program(1).unwrap().elf;
    assert!(archive.as_ptr_range().contains(&elf.as_ptr()));
}

#[test]
fn arguments_keep_spaces_and_empty_texts() {
    let arguments = clients()[0].arguments;
    assert_eq!(
        arguments.iter().collect::<Vec<_>>(),
        ["one", "two words", ""]
    );
    assert_eq!(arguments.as_bytes(), b"one\0two words\0\0");
    assert_eq!(Texts::default().iter().count(), 0);
    assert_eq!(Texts::new("unterminated"), None);
}

#[test]
fn an_empty_system_is_one() {
    let archive = encode(Settings::default(), &[], &[]).unwrap();
    assert_eq!(System::decode(&archive).unwrap().clients().count(), 0);
}

#[test]
fn every_truncation_is_refused() {
    let archive = archive();
    for length in 0..archive.len() {
        assert!(
            System::decode(&archive[..length]).is_err(),
            "cut at {length}"
        );
    }
}

#[test]
fn every_single_bit_flip_is_survived() {
    let archive = archive();
    // An interpreter looks at some.
    let step = if cfg!(miri) { 61 } else { 1 };
    for position in (0..archive.len() * 8).step_by(step) {
        let mut flipped = archive.clone();
        flipped[position / 8] ^= 1 << (position % 8);
        if let Ok(system) = System::decode(&flipped) {
            // What passed the check must also be walked to its end.
            assert_eq!(system.programs().count(), system.programs().len());
            assert_eq!(system.clients().count(), system.clients().len());
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let mut archive = archive();
    archive.push(0);
    assert_eq!(System::decode(&archive).unwrap_err(), Error::TrailingBytes);
}

#[test]
fn other_formats_are_refused() {
    let mut archive = archive();
    archive[4] = 0x7f;
    assert_eq!(
        System::decode(&archive).unwrap_err(),
        Error::Version { found: 0x7f }
    );
    archive[0] = b'k';
    assert_eq!(System::decode(&archive).unwrap_err(), Error::NotAnArchive);
}

#[test]
fn counts_out_of_range_are_refused() {
    for (programs, clients) in [
        (PROGRAMS_MAX + 1, 0),
        (0, CLIENTS_MAX + 1),
        (u32::MAX, u32::MAX),
    ] {
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            programs,
            clients,
            settings: Settings::default(),
        };
        let archive = postcard::to_extend(&header, Vec::new()).unwrap();
        assert_eq!(System::decode(&archive).unwrap_err(), Error::TooMany);
    }
}

#[test]
fn bad_records_are_refused_by_index() {
    let refusal = |change: &dyn Fn(&mut [Program<'_>; 2], &mut [Client<'_>; 2])| {
        let (mut programs, mut clients) = (programs(), clients());
        change(&mut programs, &mut clients);
        encode(Settings::default(), &programs, &clients).unwrap_err()
    };
    assert_eq!(
        refusal(&|programs, _| programs[1].name = "hello"),
        Error::ProgramName(1)
    );
    assert_eq!(
        refusal(&|programs, _| programs[0].name = ""),
        Error::ProgramName(0)
    );
    assert_eq!(
        refusal(&|_, clients| clients[1].name = "first"),
        Error::ClientName(1)
    );
    assert_eq!(
        refusal(&|_, clients| clients[0].name = "two words"),
        Error::ClientName(0)
    );
    assert_eq!(
        refusal(&|_, clients| clients[0].name = "a|b"),
        Error::ClientName(0)
    );
    assert_eq!(
        refusal(&|_, clients| clients[1].program = 2),
        Error::ClientProgram(1)
    );
    assert_eq!(
        refusal(&|_, clients| clients[1].priority = 0),
        Error::ClientPriority(1)
    );
    assert_eq!(
        refusal(&|_, clients| clients[0].priority = 255),
        Error::ClientPriority(0)
    );
}

#[test]
fn budgets_are_of_some_time_and_of_no_more_than_the_period() {
    let encoded = |budget_us, period_us| {
        let mut clients = clients();
        clients[1].budget = Some(budget(budget_us, period_us));
        encode(Settings::default(), &programs(), &clients)
    };
    for (budget_us, period_us) in [(1, 1), (1, u32::MAX), (u32::MAX, u32::MAX)] {
        assert!(encoded(budget_us, period_us).is_ok());
    }
    for (budget_us, period_us) in [(0, 1), (0, 0), (2, 1), (u32::MAX, 0)] {
        assert_eq!(
            encoded(budget_us, period_us).unwrap_err(),
            Error::ClientBudget(1)
        );
    }
}

#[test]
fn an_unterminated_argument_in_an_archive_is_refused() {
    let mut archive = archive();
    let end = archive
        .windows(9)
        .position(|bytes| bytes == b"two words")
        .unwrap()
        + 10;
    assert_eq!(archive[end], 0);
    archive[end] = b'x';
    assert_eq!(System::decode(&archive).unwrap_err(), Error::Client(0));
}

#[test]
fn devices_are_pairs_of_numbers() {
    let archive = archive();
    let system = System::decode(&archive).unwrap();
    let devices: Vec<Vec<_>> = system
        .clients()
        .map(|client| client.devices.iter().collect())
        .collect();
    assert_eq!(devices, [std::vec![(0x1234, 0x11e8)], Vec::new()]);
    assert_eq!(Devices::new(&[1, 2, 3]), None);
}
