// SPDX-License-Identifier: BSD-2-Clause
//! What failed once: scenarios as they were made small, in `tests/found`. Each says what it was.

use kmalloc_simulation::{Scenario, check};
use std::fs;
use std::path::Path;

#[test]
fn what_failed_once_does_not_any_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/found");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder") {
        let file = entry.expect("a file").path();
        let text = fs::read_to_string(&file).expect("a file");
        let scenario = text.parse::<Scenario>().expect("a scenario");
        assert!(text.starts_with("# ") && !scenario.operations.is_empty());
        if let Err(failure) = check(&scenario) {
            panic!("{}: {failure:?}", file.display());
        }
        count += 1;
    }
    assert!(count >= 4, "{count} files");
}
