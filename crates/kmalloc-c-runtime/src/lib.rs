// SPDX-License-Identifier: BSD-2-Clause
//! `libkmalloc.a`: the entry point of a program in C, the functions of `kmalloc.h` over the resident heap, and those of
//! `kmalloc_process.h`.
//!
//! C's `main` gets its arguments behind an empty name, since a program on the memory server is not told its own; what it
//! returns is the exit status. It has one thread.
#![no_std]

extern crate alloc;

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;

kmalloc::main!(run);
kmalloc::global_allocator!(HEAP);
kmalloc_c::export!(HEAP);

unsafe extern "C" {
    /// The program's own.
    fn main(argc: c_int, argv: *mut *mut c_char) -> c_int;
}

fn run() -> u8 {
    // A start page holds no zero byte but those behind the arguments, so none is left out.
    let arguments = kmalloc::arguments().filter_map(|argument| CString::new(argument).ok());
    let mut argv: Vec<*mut c_char> = core::iter::once(CString::default())
        .chain(arguments)
        .map(CString::into_raw)
        .collect();
    let argc = argv.len() as c_int;
    argv.push(ptr::null_mut());
    // SAFETY: `argv` has `argc` strings that C may write to, and null behind them, and outlives the call.
    let status = unsafe { main(argc, argv.as_mut_ptr()) };
    // As in POSIX, no more than 8 bits of it are seen.
    status as u8
}

/// See `kmalloc_process.h`.
///
/// # Safety
///
/// `text` is null or a string of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kmalloc_print(text: *const c_char) {
    if text.is_null() {
        return;
    }
    // SAFETY: as the caller says.
    let text = unsafe { CStr::from_ptr(text) };
    for chunk in text.to_bytes().utf8_chunks() {
        kmalloc::print!("{}", chunk.valid());
        if !chunk.invalid().is_empty() {
            kmalloc::print!("{}", char::REPLACEMENT_CHARACTER);
        }
    }
}

/// See `kmalloc_process.h`.
#[unsafe(no_mangle)]
pub extern "C" fn kmalloc_exit(status: c_int) -> ! {
    kmalloc::process::exit(u32::from(status as u8))
}
