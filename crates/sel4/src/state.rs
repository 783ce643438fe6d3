// SPDX-License-Identifier: BSD-2-Clause

//! How a thread finds its own IPC buffer.
//!
//! Release 5 keeps the buffer's address as the base of GS. Later kernels leave it to the thread, which sets the base of
//! FS, its thread pointer, to a small block that lies right behind the buffer in the same page. In both cases that block
//! also says whether the buffer is lent, so that it is never lent twice.

use core::cell::Cell;

use crate::ipc_buffer::IpcBuffer;
#[cfg(not(kernel_ipc_buffer_in_gs))]
use crate::registers;

/// What the bindings keep for a thread, right behind its IPC buffer.
#[repr(C)]
struct ThreadBlock {
    /// Its own address: how the block is found by way of FS, and what the ABI of x86_64 expects there.
    own_address: Cell<usize>,
    /// How the IPC buffer is lent: 0 not, −1 for writing, else to how many readers.
    lent: Cell<isize>,
}

/// Buffers may lie this close, so that two share a page: each has room for its block.
const SPACING: usize = 2 * size_of::<IpcBuffer>();

const LENT_FOR_WRITING: isize = -1;

/// Makes `ipc_buffer` the calling thread's own. To be called once by each thread, before any other call.
///
/// The 1024 bytes that follow the buffer are the bindings' own.
///
/// # Panics
///
/// If the buffer's address is not a multiple of 2048.
pub fn set_ipc_buffer(ipc_buffer: &'static mut IpcBuffer) {
    let address = (&raw mut *ipc_buffer).expose_provenance();
    assert!(
        address.is_multiple_of(SPACING),
        "an IPC buffer must be aligned to {SPACING} bytes"
    );
    let block = address + size_of::<IpcBuffer>();
    let content = ThreadBlock {
        own_address: Cell::new(block),
        lent: Cell::new(0),
    };
    // SAFETY: the frame of an IPC buffer is a whole page, mapped for this thread. The buffer starts at a half of it, so
    // the block behind it is in the same page, and by this function's contract nothing else uses it.
    unsafe { core::ptr::with_exposed_provenance_mut::<ThreadBlock>(block).write(content) };
    // The kernel set the base of GS when the thread was configured; the base of FS is for the thread to set.
    #[cfg(not(kernel_ipc_buffer_in_gs))]
    registers::set_thread_pointer(block);
}

/// The calling thread's block.
#[inline(always)]
fn thread_block() -> usize {
    #[cfg(kernel_ipc_buffer_in_gs)]
    {
        ipc_buffer_by_gs() + size_of::<IpcBuffer>()
    }
    #[cfg(not(kernel_ipc_buffer_in_gs))]
    {
        registers::thread_pointer()
    }
}

#[cfg(kernel_ipc_buffer_in_gs)]
#[inline(always)]
fn ipc_buffer_by_gs() -> usize {
    crate::registers::gs_base()
}

/// Lends the IPC buffer as `lend` says and gives it to `f`.
#[inline(always)]
fn lend<T>(lend: impl FnOnce(isize) -> isize, f: impl FnOnce(*mut IpcBuffer) -> T) -> T {
    let block = thread_block();
    // SAFETY: `set_ipc_buffer` wrote the block for this thread, which is the only one to use it. A thread that never
    // called it faults here: its base is 0.
    let state = unsafe { &*core::ptr::with_exposed_provenance::<ThreadBlock>(block) };
    let before = state.lent.get();
    state.lent.set(lend(before));
    let address = block - size_of::<IpcBuffer>();
    let result = f(core::ptr::with_exposed_provenance_mut(address));
    state.lent.set(before);
    result
}

/// Lends the calling thread's IPC buffer for reading.
///
/// # Panics
///
/// If it is lent for writing.
pub fn with_ipc_buffer<F, T>(f: F) -> T
where
    F: FnOnce(&IpcBuffer) -> T,
{
    let count_reader = |lent: isize| {
        assert!(lent != LENT_FOR_WRITING, "the IPC buffer is being written");
        lent + 1
    };
    // SAFETY: the buffer was given for good in `set_ipc_buffer`, and `lend` sees to it that nobody writes.
    lend(count_reader, |ipc_buffer| f(unsafe { &*ipc_buffer }))
}

/// Lends the calling thread's IPC buffer for writing.
///
/// # Panics
///
/// If it is lent already.
#[inline(always)]
pub fn with_ipc_buffer_mut<F, T>(f: F) -> T
where
    F: FnOnce(&mut IpcBuffer) -> T,
{
    let only_writer = |lent: isize| {
        assert!(lent == 0, "the IPC buffer is in use");
        LENT_FOR_WRITING
    };
    // SAFETY: the buffer was given for good in `set_ipc_buffer`, and `lend` sees to it that nobody else has it.
    lend(only_writer, |ipc_buffer| f(unsafe { &mut *ipc_buffer }))
}
