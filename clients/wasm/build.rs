// SPDX-License-Identifier: BSD-2-Clause

//! Links a client, assembles its WebAssembly module, and runs that on the host for the results to expect.

extern crate alloc;

#[path = "src/computation.rs"]
mod computation;

use computation::CALLS;
use std::path::Path;
use std::{env, fs};

const TEXT: &str = "src/module.wat";

fn main() {
    sel4_build::link_arguments_for_task();
    for file in [TEXT, "src/computation.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let output = env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR");
    let output = Path::new(&output);
    let wasm = wat::parse_file(TEXT).unwrap_or_else(|error| panic!("{error}"));
    let outcomes = CALLS.map(|(function, size)| {
        computation::call(&wasm, function, size)
            .unwrap_or_else(|error| panic!("{function}({size}) on the host: {error}"))
    });
    fs::write(output.join("module.wasm"), wasm).expect("OUT_DIR can be written");
    let expected = format!("{outcomes:?}");
    fs::write(output.join("expected.rs"), expected).expect("OUT_DIR can be written");
}
