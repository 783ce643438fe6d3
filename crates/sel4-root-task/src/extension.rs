// SPDX-License-Identifier: BSD-2-Clause

//! What rust-sel4 lacks, or does with Rust that is not stable: a root task that can be seen to fail on a kernel that
//! does not print.

/// Sets where `debug_print!`, panics and aborts print. The default is the kernel, which need not be able to. Only the
/// first call counts.
pub fn set_put_char(put_char: fn(u8)) {
    crate::printing::set_put_char(put_char);
}

/// Sets what ends the root task after a panic or an abort. The default raises an exception, which stops it for good.
/// Only the first call counts.
pub fn set_trap(trap: fn() -> !) {
    crate::panicking::set_trap(trap);
}
