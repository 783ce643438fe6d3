// SPDX-License-Identifier: BSD-2-Clause

//! How an invocation gets at an IPC buffer.

use crate::ipc_buffer::IpcBuffer;
use crate::state::with_ipc_buffer_mut;

/// What can lend an IPC buffer.
pub trait InvocationContext {
    /// Lends it to `f`.
    fn with_context<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T;
}

impl InvocationContext for &mut IpcBuffer {
    fn with_context<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        f(self)
    }
}

/// Lends the calling thread's own IPC buffer.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImplicitInvocationContext;

impl ImplicitInvocationContext {
    /// The one value of its type.
    pub const fn new() -> Self {
        Self
    }
}

impl InvocationContext for ImplicitInvocationContext {
    #[inline(always)]
    fn with_context<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        with_ipc_buffer_mut(f)
    }
}

/// The context of a [`Cap`](crate::Cap) that was given none.
pub type NoExplicitInvocationContext = ImplicitInvocationContext;
