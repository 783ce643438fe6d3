// SPDX-License-Identifier: BSD-2-Clause

//! Says which kernel is in use.

use std::path::Path;

fn main() {
    sel4_build::tell_kernel_version(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
}
