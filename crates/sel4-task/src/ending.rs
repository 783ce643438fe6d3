// SPDX-License-Identifier: BSD-2-Clause

//! Output and exit, as the hooks have it.

use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

/// Where a program without hooks faults to exit: a read at this address plus its status. Nothing is ever mapped there.
/// It is below 4 GiB, because release 5 tells no more of a fault's address than that.
pub const EXIT_FAULT_ADDRESS: usize = 0xe817_0000;

/// The status of a program that panicked.
pub const PANIC_STATUS: u8 = 101;

/// How a program reaches the world.
#[derive(Debug)]
pub struct Hooks {
    /// Prints.
    pub print: fn(fmt::Arguments<'_>),
    /// Ends the program.
    pub exit: fn(u8) -> !,
}

static HOOKS: Once<&'static Hooks> = Once::new();

/// Set by the thread that panics first.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Sets how the program reaches the world. Only the first call counts; `main!` makes it, if it is given hooks.
pub fn set_hooks(hooks: &'static Hooks) {
    HOOKS.call_once(|| hooks);
}

/// Prints formatted text.
pub fn print(arguments: fmt::Arguments<'_>) {
    match HOOKS.get() {
        Some(hooks) => (hooks.print)(arguments),
        None => print_by_kernel(arguments),
    }
}

sel4::sel4_cfg_if! {
    if #[sel4_cfg(PRINTING)] {
        fn print_by_kernel(arguments: fmt::Arguments<'_>) {
            sel4::debug_print!("{arguments}");
        }
    } else {
        fn print_by_kernel(_: fmt::Arguments<'_>) {}
    }
}

/// Ends the program. 0 is success.
pub fn exit(status: u8) -> ! {
    if let Some(hooks) = HOOKS.get() {
        (hooks.exit)(status);
    }
    loop {
        let address = core::ptr::without_provenance::<u8>(EXIT_FAULT_ADDRESS + usize::from(status));
        // SAFETY: not a read but a fault: nothing is mapped there. It is how the program ends.
        unsafe { address.read_volatile() };
    }
}

/// What the panic handler of `main!` does.
#[doc(hidden)]
pub fn panic(info: &PanicInfo<'_>) -> ! {
    // A panic while printing one is not printed.
    if !PANICKED.swap(true, Ordering::Relaxed) {
        print(format_args!("{info}\n"));
    }
    exit(PANIC_STATUS)
}
