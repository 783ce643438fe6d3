// SPDX-License-Identifier: BSD-2-Clause
extern crate std;

use std::string::ToString;

use super::*;

const KINDS: [FaultKind; 5] = [
    FaultKind::Capability,
    FaultKind::UnknownSyscall,
    FaultKind::UserException,
    FaultKind::VirtualMemory,
    FaultKind::Timeout,
];

fn fault(kind: FaultKind, address: u64) -> Outcome {
    Outcome::Fault {
        kind,
        address,
        instruction: 0x40_1000,
    }
}

#[test]
fn outcome_text_round_trips() {
    let mut outcomes = std::vec![
        Outcome::Exit(0),
        Outcome::Exit(-1),
        Outcome::Exit(i32::MAX),
        Outcome::Killed,
        Outcome::Alive
    ];
    outcomes.extend(KINDS.map(|kind| fault(kind, u64::MAX)));
    for outcome in outcomes {
        assert_eq!(outcome.to_string().parse(), Ok(outcome));
    }
}

#[test]
fn expectation_text_round_trips() {
    for text in [
        "exit:0",
        "exit:3",
        "fault",
        "fault:vm",
        "fault:vm:0x1000",
        "fault:timeout",
        "killed",
        "not-started:7",
        "alive",
    ] {
        assert_eq!(text.parse::<Expectation>().unwrap().to_string(), text);
    }
}

#[test]
fn a_fault_is_expected_at_its_address_or_at_what_a_kernel_leaves_of_it() {
    let expected: Expectation = "fault:vm:0x5000001008".parse().unwrap();
    for (address, matches) in [
        (0x50_0000_1008, true),
        (0x1008, true),
        (0x50_0000_1000, false),
        (0x10_0000_1008, false),
    ] {
        let outcome = fault(FaultKind::VirtualMemory, address);
        assert_eq!(expected.matches(&outcome), matches, "{address:#x}");
    }
    let expected: Expectation = "fault:vm:0x1008".parse().unwrap();
    let outcome = fault(FaultKind::VirtualMemory, 0x50_0000_1008);
    assert!(!expected.matches(&outcome));
}

#[test]
fn rubbish_is_refused() {
    for text in [
        "",
        "exit",
        "exit:",
        "exit:one",
        "exit:0:1",
        "exit:4294967296",
        "fault:page",
        "fault:vm:4096",
        "fault:vm:0xfg",
        "killed:1",
        "not-started",
        "not-started:seven",
        "alive:",
        "Killed",
    ] {
        assert_eq!(text.parse::<Expectation>(), Err(UnknownOutcome), "{text}");
        assert_eq!(text.parse::<Outcome>(), Err(UnknownOutcome), "{text}");
    }
    for text in ["fault", "fault:vm", "fault:vm:0x1", "fault:vm:0x1:0x2:0x3"] {
        assert_eq!(text.parse::<Outcome>(), Err(UnknownOutcome), "{text}");
    }
}

#[test]
fn each_expectation_matches_its_own_outcome_only() {
    let outcomes = [
        ("exit:0", Outcome::Exit(0)),
        ("exit:1", Outcome::Exit(1)),
        ("fault:vm:0x1000", fault(FaultKind::VirtualMemory, 0x1000)),
        ("fault:vm:0x2000", fault(FaultKind::VirtualMemory, 0x2000)),
        ("fault:cap:0x1000", fault(FaultKind::Capability, 0x1000)),
        ("killed", Outcome::Killed),
        ("not-started:7", Outcome::NotStarted(7)),
        ("not-started:8", Outcome::NotStarted(8)),
        ("alive", Outcome::Alive),
    ];
    for (row, (text, _)) in outcomes.iter().enumerate() {
        let expectation: Expectation = text.parse().unwrap();
        for (column, (_, outcome)) in outcomes.iter().enumerate() {
            assert_eq!(
                expectation.matches(outcome),
                row == column,
                "{text} and {outcome}"
            );
        }
    }
}

#[test]
fn an_open_fault_matches_any_of_its_kind() {
    let any: Expectation = "fault".parse().unwrap();
    let memory: Expectation = "fault:vm".parse().unwrap();
    for kind in KINDS {
        assert!(any.matches(&fault(kind, 1)));
        assert_eq!(
            memory.matches(&fault(kind, 1)),
            kind == FaultKind::VirtualMemory
        );
    }
}
