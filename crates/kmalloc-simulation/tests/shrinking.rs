// SPDX-License-Identifier: BSD-2-Clause
//! A kernel that does something behind the server's back is found out, and the run is made as small as it can be.

use kmalloc_server::kernel::{Kernel, Slot};
use kmalloc_simulation::{Failure, Operation, Run, Scenario, What, check_with, narrate, shrink};

/// The bug: once somebody has started a thread, a region of 5,000 bytes or more for the same place takes a page away
/// from whoever has one.
fn steps_with_bug(scenario: &Scenario, run: &mut Run) {
    let mut threads = [false; 6];
    for operation in &scenario.operations {
        run.step(*operation);
        let place = usize::from(operation.who) % threads.len();
        threads[place] |= operation.what == What::StartThread;
        if operation.what == What::GrantLarge && operation.amount >= 5000 && threads[place] {
            let kernel = run.system.server.kernel_mut();
            let mapped = kernel.spaces().flat_map(|(_, space)| space.pages());
            let mut pages = mapped.filter(|(_, slot)| matches!(slot, Slot::Page(_)));
            if let Some((_, frame)) = pages.next() {
                drop(pages);
                kernel.unmap_page(frame).expect("it is mapped");
            }
        }
    }
}

fn fails(scenario: &Scenario) -> Option<Failure> {
    check_with(scenario, |run| steps_with_bug(scenario, run)).err()
}

fn operation(what: What, amount: u32) -> Operation {
    Operation {
        what,
        who: 0,
        choice: 0,
        amount,
    }
}

#[test]
fn a_run_shrinks_to_what_it_takes() {
    let mut shrunk = 0;
    for seed in 0..6 {
        let scenario = Scenario::from_seed(seed);
        let Some(failure) = fails(&scenario) else {
            continue;
        };
        let (small, same) = shrink(&scenario, &failure, 3000, fails);
        assert_eq!(same.place, failure.place);
        assert_eq!(
            fails(&small),
            Some(same),
            "it fails again, and the same way"
        );
        // A client, its thread, its region, and a look: the first operation of a place is that somebody moves in.
        let kinds = small
            .operations
            .iter()
            .map(|it| it.what)
            .collect::<Vec<_>>();
        assert!(
            kinds.starts_with(&[What::StartThread, What::GrantLarge]) && kinds.len() <= 3,
            "{small}"
        );
        assert_eq!(small.operations[1].amount, 5000, "{small}");
        assert!(!small.lazy && !small.mcs, "{small}");
        // What is written down fails again.
        let read = small.to_string().parse::<Scenario>().expect("a scenario");
        assert_eq!(fails(&read).map(|it| it.place), Some(failure.place));
        assert!(
            narrate(&small)
                .iter()
                .any(|line| line.contains("grant-large"))
        );
        shrunk += 1;
    }
    assert!(shrunk >= 3, "{shrunk} seeds fail");
}

#[test]
fn another_failure_is_not_taken_for_the_one() {
    let scenario = Scenario {
        machine: 0,
        lazy: true,
        mcs: true,
        operations: vec![
            operation(What::Give, 9),
            operation(What::Kmalloc, 700),
            operation(What::Look, 8),
        ],
    };
    let failure = |place: &str, step| Failure {
        step,
        place: place.into(),
        message: String::new(),
    };
    // Without the block it fails elsewhere.
    let mut tried = 0;
    let fails = |candidate: &Scenario| {
        tried += 1;
        let mut operations = candidate.operations.iter();
        let at = operations.position(|it| it.what == What::Kmalloc && it.amount > 99);
        Some(match at {
            Some(at) if candidate.mcs => failure("here", at + 1),
            _ => failure("there", 1),
        })
    };
    let (small, same) = shrink(&scenario, &failure("here", 2), 1000, fails);
    let expected = Scenario {
        lazy: false,
        operations: vec![operation(What::Kmalloc, 100)],
        ..scenario.clone()
    };
    assert_eq!((small, same), (expected, failure("here", 1)));
    assert!(tried < 60, "{tried}");
    let (same, _) = shrink(&scenario, &failure("here", 3), 0, |_| None);
    assert_eq!(same, scenario, "without tries nothing changes");
}
