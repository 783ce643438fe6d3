// SPDX-License-Identifier: BSD-2-Clause
use super::*;

#[test]
fn a_scenario_survives_text_and_bytes() {
    for seed in 0..50 {
        let scenario = Scenario::from_seed(seed);
        assert!(scenario.operations.len() >= LENGTH as usize / 2);
        assert_eq!(scenario.to_string().parse(), Ok(scenario.clone()));
        assert_eq!(Scenario::from_bytes(&scenario.to_bytes()), scenario);
    }
}

#[test]
fn any_bytes_are_a_scenario_that_keeps_them_from_then_on() {
    let mut random = Random(7);
    for length in 0..200 {
        let bytes = (0..length).map(|_| random.next() as u8).collect::<Vec<_>>();
        let scenario = Scenario::from_bytes(&bytes);
        assert_eq!(
            scenario.operations.len(),
            bytes.len().saturating_sub(1) / OPERATION_BYTES
        );
        assert_eq!(Scenario::from_bytes(&scenario.to_bytes()), scenario);
    }
}

#[test]
fn a_line_that_is_none_is_named() {
    let error = |text: &str| text.parse::<Scenario>().map(|_| ());
    let named = |line, text: &str| {
        Err(ParseError {
            line,
            text: text.to_string(),
        })
    };
    assert_eq!(
        error("# nothing\n\nmachine 2 lazy\ngive 1 2 3 # all"),
        Ok(())
    );
    for bad in [
        "machine",
        "machine 4",
        "machine 1 fast",
        "take 1 2 3",
        "give 1 2",
        "give 256 0 0",
        "give 0 -1 0",
        "give 0 0 0 0",
    ] {
        assert_eq!(error(&format!("machine 1\n{bad}")), named(2, bad));
    }
    assert_eq!(
        named(2, "give").unwrap_err().to_string(),
        "line 2, `give`, is neither `machine NUMBER [lazy] [mcs]` nor `OPERATION WHO CHOICE AMOUNT`"
    );
}

#[test]
fn each_kind_of_operation_has_a_name_of_its_own() {
    let mut names = What::ALL.iter().map(|what| what.name()).collect::<Vec<_>>();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), What::ALL.len());
}
