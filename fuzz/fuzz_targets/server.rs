// SPDX-License-Identifier: BSD-2-Clause
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kmalloc_fuzz::server(bytes));
