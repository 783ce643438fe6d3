// SPDX-License-Identifier: BSD-2-Clause
//! Errors as C sees them: numbers (`enum kmalloc_error` in `kmalloc.h`) and texts.

use core::ffi::{CStr, c_int};
use kmalloc::Error;

/// The text of each error, by its number.
const TEXTS: [&CStr; 24] = [
    c"no error",
    c"the message is not a request",
    c"the server speaks another version of the protocol",
    c"no such flag",
    c"no memory has such a size",
    c"the alignment is not a power of two or can't be served",
    c"the product of count and size overflows",
    c"over quota",
    c"out of memory",
    c"no contiguous run of memory is long enough",
    c"no free memory below the address limit",
    c"no table, slot or address space is left",
    c"the pointer is not the start of a block",
    c"the block was freed before",
    c"the block is another client's",
    c"the memory is of another kind",
    c"the client may not do that",
    c"the kernel refused",
    c"the handle or token names nothing that is there any more",
    c"too much of the free memory has to be cleaned first",
    c"the client has no such device",
    c"another client has the device",
    c"no such register, or not the driver's to write",
    c"the interrupt line can't be had by one device alone",
];

/// The number of an error.
pub const fn code(error: Error) -> c_int {
    error.number() as c_int
}

/// The text of a number.
pub fn text(code: c_int) -> &'static CStr {
    let text = usize::try_from(code).ok().and_then(|code| TEXTS.get(code));
    text.copied().unwrap_or(c"unknown error")
}
