// SPDX-License-Identifier: BSD-2-Clause

//! From the root task to the main function.

use spin::Once;

use crate::ending::{Hooks, PANIC_STATUS, exit, print, set_hooks};
use crate::start::{START_PAGE_BYTES, StartPage};
use crate::termination::Termination;

static START: Once<StartPage<'static>> = Once::new();

/// The arguments that the program was started with.
pub fn arguments() -> impl Iterator<Item = &'static str> {
    START.get().into_iter().flat_map(StartPage::arguments)
}

/// The data that the program was started with; empty if it was given none.
pub fn data() -> &'static [u8] {
    match START.get() {
        Some(start) if start.data.bytes > 0 => {
            let address = core::ptr::with_exposed_provenance(start.data.address);
            // SAFETY: the root task mapped that many bytes there, read-only and for good, and says so in the start page.
            unsafe { core::slice::from_raw_parts(address, start.data.bytes) }
        }
        _ => &[],
    }
}

/// Runs a program. `main!` calls this on the stack that the root task gave it.
///
/// # Safety
///
/// To be called once, at the start, with the address of a start page.
#[doc(hidden)]
pub unsafe fn run<T: Termination>(
    start: *const u8,
    hooks: Option<&'static Hooks>,
    main: impl FnOnce() -> T,
) -> ! {
    // SAFETY: by the contract a page is mapped there; it is never written or unmapped.
    let page = unsafe { core::slice::from_raw_parts(start, START_PAGE_BYTES) };
    let start = match StartPage::read(page) {
        Ok(start) => start,
        Err(error) => {
            // Without hooks yet: they may need the IPC buffer.
            print(format_args!("can't start: {error}\n"));
            exit(PANIC_STATUS);
        }
    };
    let buffer = core::ptr::with_exposed_provenance_mut(start.ipc_buffer_address);
    // SAFETY: the root task mapped the buffer for this thread, for good, and nobody else has it yet.
    sel4::set_ipc_buffer(unsafe { &mut *buffer });
    if let Some(hooks) = hooks {
        set_hooks(hooks);
    }
    START.call_once(|| start);
    exit(main().report())
}

/// Makes a function the program's main function: `main!(main);`, or `main!(main, hooks = &HOOKS);`.
///
/// It takes nothing and gives back what is a [`Termination`](crate::Termination). The macro also brings the panic
/// handler, so it stands in the program, once.
#[macro_export]
macro_rules! main {
    ($main:path $(,)?) => {
        $crate::main!(@ $main, ::core::option::Option::None);
    };
    ($main:path, hooks = $hooks:expr $(,)?) => {
        $crate::main!(@ $main, ::core::option::Option::Some($hooks));
    };
    (@ $main:path, $hooks:expr) => {
        const _: () = {
            /// The root task passes the address of the start page in RDI and a stack.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn _start() -> ! {
                ::core::arch::naked_asm!(
                    "and rsp, -16",
                    "xor ebp, ebp",
                    "call {entry}",
                    "ud2",
                    entry = sym entry,
                )
            }

            unsafe extern "C" fn entry(start: *const u8) -> ! {
                // SAFETY: called once, by `_start`, with what the root task passed it.
                unsafe { $crate::_private::run(start, $hooks, $main) }
            }

            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::_private::panic(info)
            }
        };
    };
}
