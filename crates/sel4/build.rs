// SPDX-License-Identifier: BSD-2-Clause

//! Writes what the bindings must know of the kernel in use.

use std::path::Path;

fn main() {
    sel4_build::generate_bindings(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
}
