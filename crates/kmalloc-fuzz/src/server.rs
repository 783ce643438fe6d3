// SPDX-License-Identifier: BSD-2-Clause
//! The whole server: the bytes are the operations of a simulation.

use kmalloc_simulation::{Run, Scenario};

/// Operations of one input: longer ones find little that two shorter ones don't.
const OPERATIONS_MAX: usize = 300;

/// Carries out whatever the bytes say, with a scan after each operation.
///
/// # Panics
/// When anything is not as it has to be.
pub fn server(bytes: &[u8]) {
    let scenario = Scenario::from_bytes(bytes);
    let mut run = Run::new(&scenario);
    for operation in scenario.operations.iter().take(OPERATIONS_MAX) {
        run.step(*operation);
    }
    run.finish();
}
