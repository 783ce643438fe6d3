// SPDX-License-Identifier: BSD-2-Clause

//! Links a client, and computes on the host what it has to come to.

extern crate alloc;

#[path = "src/computation.rs"]
mod computation;

use std::path::Path;
use std::{env, fs};

fn main() {
    sel4_build::link_arguments_for_task();
    println!("cargo::rerun-if-changed=src/computation.rs");
    let output = env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR");
    let expected = computation::COMPUTATIONS.map(|(_, compute)| compute());
    let file = Path::new(&output).join("expected.rs");
    fs::write(file, format!("{expected:?}")).expect("OUT_DIR can be written");
}
