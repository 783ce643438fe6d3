// SPDX-License-Identifier: BSD-2-Clause
//! Whether the model is at work. It allocates where the kernel does not: who counts what the server allocates leaves that out.

use std::cell::Cell;

thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });

/// A call of the server's, as long as it lasts.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter() -> Inside {
        DEPTH.set(DEPTH.get() + 1);
        Inside(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Whether this thread is in a call of the server's to the model.
pub fn is_inside() -> bool {
    DEPTH.get() != 0
}
