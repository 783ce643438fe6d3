// SPDX-License-Identifier: BSD-2-Clause
use super::*;

use kernel_sequences::{RETYPE_MAX, encode};

/// What a kernel would print of a sequence that is just like the model.
fn told(release: Release, seed: u64) -> Sequence {
    let mut outcomes = String::new();
    let (mut model, _) = FakeKernel::boot_bare(&RAM, release);
    let mut generator = Generator::new(release);
    kernel_sequences::run(&mut generator, &mut model, seed, |_, _, outcome| {
        encode(outcome, &mut outcomes).unwrap();
    });
    Sequence {
        release,
        retype_max: RETYPE_MAX,
        seed,
        outcomes,
    }
}

fn difference(told: &Sequence) -> Option<Difference> {
    compare(&mut Generator::new(told.release), told).1
}

#[test]
fn the_model_agrees_with_itself() {
    let mut comparer = Comparer::default();
    for seed in 0..8 {
        for release in Release::ALL {
            comparer.compare(&told(release, seed));
        }
    }
    assert_eq!(comparer.sequences(), 24);
    assert!(comparer.operations() > 24 * 100);
    let differences: Vec<_> = comparer.first_differences().values().collect();
    assert_eq!(differences, [&None; 4]);
}

#[test]
fn every_outcome_that_is_changed_is_found_at_its_step() {
    let right = told(Release::Five, 1);
    let mut outcomes = Vec::new();
    let mut rest = right.outcomes.as_str();
    while let Some((outcome, behind)) = decode(rest) {
        outcomes.push(outcome);
        rest = behind;
    }
    for step in (0..outcomes.len()).step_by(7) {
        let mut changed = outcomes.clone();
        // Another error where there is one, and another value where there is none.
        match changed[step].code {
            0 => changed[step].value ^= 1,
            _ => changed[step].code ^= 1,
        }
        let mut wrong = right.clone();
        wrong.outcomes.clear();
        for outcome in &changed {
            encode(*outcome, &mut wrong.outcomes).unwrap();
        }
        let found = difference(&wrong).unwrap();
        assert_eq!((found.seed, found.step), (1, step));
        assert_eq!(found.kernel, Some(changed[step]));
        assert_eq!(found.model, Some(outcomes[step]));
        let shown = found.to_string();
        let operation = format!("{:?}", found.operation.unwrap());
        assert!(shown.contains(&operation), "{shown}");
    }
}

#[test]
fn what_is_missing_or_too_much_is_a_difference() {
    let mut short = told(Release::Five, 2);
    let last = short
        .outcomes
        .rfind(|letter: char| letter.is_ascii_lowercase());
    short.outcomes.truncate(last.unwrap());
    let found = difference(&short).unwrap();
    assert_eq!((found.kernel, found.operation.is_some()), (None, true));

    let mut long = told(Release::Five, 2);
    long.outcomes.push('a');
    let found = difference(&long).unwrap();
    assert_eq!((found.model, found.operation), (None, None));
}

#[test]
fn another_release_is_told_apart() {
    let differs = (0..40).any(|seed| {
        let release = Release::Thirteen;
        difference(&Sequence {
            release,
            ..told(Release::Five, seed)
        })
        .is_some()
    });
    assert!(differs);
}

#[test]
fn a_kernel_that_makes_fewer_objects_is_told_apart() {
    let differs = |retype_max, theirs| {
        let told = |seed| {
            let mut outcomes = String::new();
            let (mut kernel, _) = FakeKernel::boot_bare(&RAM, Release::Thirteen);
            kernel.set_retype_max(theirs);
            let mut generator = Generator::new(Release::Thirteen).with_retype_max(retype_max);
            kernel_sequences::run(&mut generator, &mut kernel, seed, |_, _, outcome| {
                encode(outcome, &mut outcomes).unwrap();
            });
            Sequence {
                release: Release::Thirteen,
                retype_max,
                seed,
                outcomes,
            }
        };
        let mut comparer = Comparer::default();
        (0..40).for_each(|seed| comparer.compare(&told(seed)));
        comparer.first_differences().values().any(Option::is_some)
    };
    assert!(!differs(32, 32));
    assert!(differs(256, 32));
}

#[test]
fn sequences_are_read_from_lines() {
    let mut lines = Told::default();
    assert!(lines.line("= release 5 retype-max 32").is_none());
    assert!(lines.line("= 7 aab").is_none());
    assert!(lines.line("<<seL4 has something to say>>").is_none());
    assert!(lines.rest().contains("seed 7"));
    let sequence = lines.line("= 7 c1F.").unwrap();
    assert_eq!(sequence.release, Release::Five);
    assert_eq!(sequence.retype_max, 32);
    assert_eq!((sequence.seed, sequence.outcomes.as_str()), (7, "aabc1F"));
    // A line was lost: what there is of the other sequence is not this one's.
    assert!(lines.line("= 8 aa").is_none());
    assert_eq!(lines.line("= 9 b.").unwrap().outcomes, "b");
}
