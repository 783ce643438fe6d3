// SPDX-License-Identifier: BSD-2-Clause

//! What happens when a root task gives up.

use core::fmt;
use core::panic::{Location, PanicInfo};
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

/// What is called with a panic before the root task ends.
pub type PanicHook = &'static (dyn Fn(&PanicInfo) + Send + Sync);

static HOOK: Once<PanicHook> = Once::new();
static ENDING: AtomicBool = AtomicBool::new(false);

/// Sets what is called with a panic. The default prints it. Only the first call counts.
pub fn set_hook(hook: PanicHook) {
    HOOK.call_once(|| hook);
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    if !ENDING.swap(true, Ordering::Relaxed) {
        match HOOK.get() {
            Some(hook) => hook(info),
            None => crate::debug_println!("{info}"),
        }
    }
    trap()
}

/// What `abort!` stands for.
#[doc(hidden)]
#[track_caller]
pub fn abort(message: fmt::Arguments<'_>) -> ! {
    if !ENDING.swap(true, Ordering::Relaxed) {
        crate::debug_println!("aborted at {}:\n{message}", Location::caller());
    }
    trap()
}

/// Ends the root task.
fn trap() -> ! {
    loop {
        // SAFETY: raises an exception. Nobody handles the root task's, so it does not go on.
        unsafe { core::arch::asm!("ud2", options(nomem, nostack)) };
    }
}

/// Prints formatted text and ends the root task.
#[macro_export]
macro_rules! abort {
    () => {
        $crate::_private::abort(::core::format_args!("(aborted)"))
    };
    ($($argument:tt)*) => {
        $crate::_private::abort(::core::format_args!($($argument)*))
    };
}
