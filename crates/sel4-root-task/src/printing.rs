// SPDX-License-Identifier: BSD-2-Clause

/// Prints formatted text if the kernel can print.
#[macro_export]
macro_rules! debug_print {
    ($($argument:tt)*) => {
        $crate::_private::sel4::debug_print!($($argument)*)
    };
}

/// Prints a line of formatted text if the kernel can print.
#[macro_export]
macro_rules! debug_println {
    ($($argument:tt)*) => {
        $crate::_private::sel4::debug_println!($($argument)*)
    };
}
