// SPDX-License-Identifier: BSD-2-Clause
use super::*;

#[test]
fn a_bare_machine_needs_everything() {
    assert_eq!(
        missing_packages(true, true, &|_| false),
        [
            "qemu-system-x86",
            "gcc",
            "libc6-dev",
            "g++",
            "make",
            "valgrind",
            "cmake",
            "ninja-build",
            "python3",
            "python3-venv"
        ]
    );
}

#[test]
fn a_complete_machine_needs_nothing() {
    assert!(missing_packages(false, true, &|_| true).is_empty());
}

#[test]
fn a_kernel_of_ones_own_needs_no_tools_to_build_one() {
    assert_eq!(
        missing_packages(false, false, &|_| false),
        [
            "qemu-system-x86",
            "gcc",
            "libc6-dev",
            "g++",
            "make",
            "valgrind"
        ]
    );
}

#[test]
fn only_what_is_missing_is_installed() {
    assert_eq!(
        missing_packages(false, true, &|program| program != "ninja"),
        ["ninja-build"]
    );
}
