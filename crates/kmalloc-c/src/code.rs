// SPDX-License-Identifier: BSD-2-Clause
//! Errors as C sees them: numbers (`enum kmalloc_error` in `kmalloc.h`) and texts.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicI32, Ordering};
use kmalloc::Error;

/// The number and the text of each error.
const ERRORS: [(c_int, &CStr); 14] = [
    (0, c"no error"),
    (1, c"over quota"),
    (2, c"out of memory"),
    (3, c"no contiguous run of memory is long enough"),
    (4, c"no free memory below the address limit"),
    (5, c"out of capability slots"),
    (6, c"out of address space"),
    (7, c"the size overflows or can't be served"),
    (8, c"the alignment is not a power of two or can't be served"),
    (9, c"no such flag"),
    (10, c"the pointer is not the start of a block"),
    (11, c"the block was freed before"),
    (12, c"the block is another client's"),
    (13, c"a message could not be decoded"),
];

/// What `kmalloc_last_error` returns. One for all threads: a thread that wants to know asks before another one fails.
static LAST: AtomicI32 = AtomicI32::new(0);

/// The number of an error.
pub const fn code(error: Error) -> c_int {
    match error {
        Error::OverQuota { .. } => 1,
        Error::OutOfMemory { .. } => 2,
        Error::NoContiguousRun => 3,
        Error::AddressLimit => 4,
        Error::OutOfSlots => 5,
        Error::OutOfAddressSpace => 6,
        Error::BadSize => 7,
        Error::BadAlignment => 8,
        Error::BadFlags => 9,
        Error::BadPointer => 10,
        Error::DoubleFree => 11,
        Error::NotOwner => 12,
        // Also what this crate does not know yet.
        _ => 13,
    }
}

/// The text of a number.
pub fn text(code: c_int) -> &'static CStr {
    let entry = ERRORS.iter().find(|entry| entry.0 == code);
    entry.map_or(c"unknown error", |entry| entry.1)
}

/// The number of the last failure; 0 if there was none.
pub fn last_error() -> c_int {
    LAST.load(Ordering::Relaxed)
}

pub(crate) fn set_last_error(error: Error) {
    LAST.store(code(error), Ordering::Relaxed);
}
