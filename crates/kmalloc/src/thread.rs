// SPDX-License-Identifier: BSD-2-Clause
//! More threads in a program: up to seven beside the one that it begins with.
//!
//! They share the program's memory, capabilities, priority and end: the exit, panic or fault of one ends them all. The
//! heap must be one for threads: `kmalloc::global_allocator!(HEAP, threads)`. Threads take turns by time slices, so
//! who waits for another one by looking again and again says `sel4::r#yield()` between.
//!
//! A thread that has done its work never runs again, but its place and its stack are not used anew. What it tells
//! others, it tells by atomics.

use crate::transport::call_done;
use core::arch::naked_asm;
use kmalloc_protocol::{Error, Request};

/// What a stack pointer is aligned to.
const STACK_ALIGN: usize = 16;

/// What a thread is to do, at the end of its stack.
#[repr(C, align(16))]
struct Task {
    run: fn(usize),
    argument: usize,
    at_end: Option<fn()>,
}

/// Starts a thread that calls `run(argument)`, then `at_end` if there is one, and then waits for good ([`park`]).
///
/// A thread that allocates leaves its part of the heap to the next one at its end:
/// `at_end = Some(|| HEAP.leave_thread())`. Without that, what it kept for its own allocations stays with it; nothing
/// else is lost.
///
/// # Errors
///
/// As in the protocol's table: out of slots after seven threads, over quota, out of memory; [`Error::BadSize`] for a
/// stack in which not even these arguments find room. The stack is lost then: it was given for good.
///
/// # Safety
///
/// The stack is large enough for all that the thread does: nothing stops it at the stack's lower end. 16 KiB are
/// plenty for a thread that doesn't print; printing takes a few KiB.
pub unsafe fn spawn(
    stack: &'static mut [u8],
    run: fn(usize),
    argument: usize,
    at_end: Option<fn()>,
) -> Result<(), Error> {
    let size = stack.len();
    let range = stack.as_mut_ptr_range();
    let end = range.end.map_addr(|end| end & !(STACK_ALIGN - 1));
    let place = end.wrapping_sub(size_of::<Task>());
    if size < size_of::<Task>() + STACK_ALIGN {
        return Err(Error::BadSize { size: size as u64 });
    }
    // SAFETY: the stack has room for it behind its first byte, aligned, and nobody else has the stack.
    unsafe {
        place.cast::<Task>().write(Task {
            run,
            argument,
            at_end,
        });
    }
    let address = place.expose_provenance() as u64;
    call_done(&Request::StartThread {
        entry: (begin as *const ()).expose_provenance() as u64,
        stack: address,
        argument: address,
    })
}

/// Waits for good, at no cost: on a notification of the program's own that nobody can signal.
///
/// It isn't the notification of [`wait`](crate::wait), so no signal to the program is lost here.
pub fn park() -> ! {
    loop {
        sel4::cap::Notification::from_bits(sel4_task::slot::PARKING).wait();
    }
}

/// Where a thread begins: the task in RDI, the address of the IPC buffer in RSI, the stack below the task.
#[unsafe(naked)]
unsafe extern "C" fn begin() -> ! {
    naked_asm!("xor ebp, ebp", "call {work}", "ud2", work = sym work)
}

unsafe extern "C" fn work(task: *const Task, ipc_buffer: *mut sel4::IpcBuffer) -> ! {
    // SAFETY: the server mapped the buffer for this thread, for good, and nobody else has it.
    sel4::set_ipc_buffer(unsafe { &mut *ipc_buffer });
    // SAFETY: `spawn` wrote the task, above the stack that this thread uses.
    let task = unsafe { &*task };
    (task.run)(task.argument);
    if let Some(at_end) = task.at_end {
        at_end();
    }
    park()
}
