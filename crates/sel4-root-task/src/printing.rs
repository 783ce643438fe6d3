// SPDX-License-Identifier: BSD-2-Clause

use core::fmt;

use spin::Once;

static PUT_CHAR: Once<fn(u8)> = Once::new();

/// Where output goes instead of to the kernel.
pub(crate) fn set_put_char(put_char: fn(u8)) {
    PUT_CHAR.call_once(|| put_char);
}

struct Output;

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let put_char = PUT_CHAR.get().copied().unwrap_or(sel4::debug_put_char);
        text.bytes().for_each(put_char);
        Ok(())
    }
}

#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    // Formatting fails only if a caller's own `fmt` does; the rest of its output is lost, as with `print!`.
    let _ = fmt::write(&mut Output, arguments);
}

/// Prints formatted text: where [`set_put_char`](crate::extension::set_put_char) says, else through the kernel.
#[macro_export]
macro_rules! debug_print {
    ($($argument:tt)*) => {
        $crate::_private::print(::core::format_args!($($argument)*))
    };
}

/// Prints a line of formatted text: where [`set_put_char`](crate::extension::set_put_char) says, else through the
/// kernel.
#[macro_export]
macro_rules! debug_println {
    () => {
        $crate::debug_print!("\n")
    };
    ($($argument:tt)*) => {
        $crate::debug_print!("{}\n", ::core::format_args!($($argument)*))
    };
}
