// SPDX-License-Identifier: BSD-2-Clause

//! Output through the kernel. A kernel that can't print makes nothing of it.

use core::fmt;

/// Prints one byte.
pub fn debug_put_char(byte: u8) {
    #[cfg(kernel_printing)]
    crate::registers::bare(crate::sys::syscall::DebugPutChar, byte.into());
    #[cfg(not(kernel_printing))]
    let _ = byte;
}

/// Prints what is written to it.
#[derive(Debug)]
pub struct DebugWrite;

impl fmt::Write for DebugWrite {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(debug_put_char);
        Ok(())
    }
}

#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    // Formatting fails only if a caller's own `fmt` does; the rest of its output is lost, as with `print!`.
    let _ = fmt::write(&mut DebugWrite, arguments);
}

/// Prints formatted text if the kernel can print.
#[macro_export]
macro_rules! debug_print {
    ($($argument:tt)*) => {
        $crate::_private::print(::core::format_args!($($argument)*))
    };
}

/// Prints a line of formatted text if the kernel can print.
#[macro_export]
macro_rules! debug_println {
    () => {
        $crate::debug_print!("\n")
    };
    ($($argument:tt)*) => {
        $crate::debug_print!("{}\n", ::core::format_args!($($argument)*))
    };
}
