// SPDX-License-Identifier: BSD-2-Clause

//! From the kernel to the main function.

use core::cell::UnsafeCell;

use crate::termination::Termination;

const PAGE_BYTES: usize = sel4::FrameObjectType::GRANULE.bytes();

/// Room for a stack, below it a page that is unmapped before it is used.
#[doc(hidden)]
#[repr(C, align(4096))]
pub struct Stack<const BYTES: usize> {
    guard: UnsafeCell<[u8; PAGE_BYTES]>,
    room: UnsafeCell<[u8; BYTES]>,
}

// SAFETY: nobody but the processor uses it, by way of one thread's stack pointer.
unsafe impl<const BYTES: usize> Sync for Stack<BYTES> {}

impl<const BYTES: usize> Stack<BYTES> {
    /// Room of `BYTES` bytes.
    #[allow(
        clippy::new_without_default,
        reason = "made in statics only, where a default is of no use"
    )]
    pub const fn new() -> Self {
        Self {
            guard: UnsafeCell::new([0; PAGE_BYTES]),
            room: UnsafeCell::new([0; BYTES]),
        }
    }
}

/// Runs a root task. The macro that declares one calls this on its stack.
///
/// # Safety
///
/// To be called once, at the start, with what the kernel passed and the stack in use.
#[doc(hidden)]
pub unsafe fn run<T: Termination, const BYTES: usize>(
    bootinfo: *const sel4::BootInfo,
    stack: &'static Stack<BYTES>,
    main: impl FnOnce(&sel4::BootInfoPtr) -> T,
) -> ! {
    // SAFETY: by the contract it is the address from the kernel.
    let bootinfo = unsafe { sel4::BootInfoPtr::new(bootinfo) };
    // SAFETY: the kernel mapped a buffer there for this thread, for good, and nobody else has it yet.
    sel4::set_ipc_buffer(unsafe { &mut *bootinfo.ipc_buffer() });
    unmap_guard(&bootinfo, stack.guard.get().addr());
    let error = main(&bootinfo).report();
    crate::abort!("main thread terminated with error: {error:?}")
}

/// Lets a stack that grows too far fault where it would overwrite variables.
fn unmap_guard(bootinfo: &sel4::BootInfoPtr, guard: usize) {
    unsafe extern "C" {
        static __executable_start: u8;
    }
    let image = (&raw const __executable_start).addr();
    let frame = bootinfo
        .user_image_frames()
        .index((guard - image) / PAGE_BYTES);
    if let Err(error) = frame.cap().frame_unmap() {
        crate::abort!("the page below the stack can't be unmapped: {error}");
    }
}

/// What `#[root_task]` stands for.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_root_task {
    (main = $main:path $(,)?) => {
        $crate::declare_root_task!(main = $main, stack_size = $crate::DEFAULT_STACK_SIZE);
    };
    (main = $main:path, stack_size = $stack_size:expr $(,)?) => {
        const _: () = {
            const STACK_SIZE: usize = $stack_size;
            static STACK: $crate::_private::Stack<STACK_SIZE> = $crate::_private::Stack::new();

            /// The kernel passes the address of the boot information and no stack.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn _start() -> ! {
                ::core::arch::naked_asm!(
                    "lea rsp, [rip + {stack} + {size}]",
                    "xor ebp, ebp",
                    "call {entry}",
                    "ud2",
                    stack = sym STACK,
                    size = const ::core::mem::size_of::<$crate::_private::Stack<STACK_SIZE>>(),
                    entry = sym entry,
                )
            }

            unsafe extern "C" fn entry(bootinfo: *const $crate::_private::BootInfo) -> ! {
                // SAFETY: called once, by `_start`, with what the kernel passed it.
                unsafe { $crate::_private::run(bootinfo, &STACK, $main) }
            }
        };
    };
}
