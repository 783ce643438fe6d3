// SPDX-License-Identifier: BSD-2-Clause

//! The right to reply to a caller.
//!
//! On MCS kernels it is a reply object that a receiving call names. On others the kernel keeps it in the receiving
//! thread, and nothing, `()`, is passed.

use crate::registers::ReplyRegister;

/// What a receiving call takes.
#[cfg(kernel_mcs)]
pub type ReplyAuthority<C = crate::NoExplicitInvocationContext> = crate::cap::Reply<C>;

/// What a receiving call takes.
#[cfg(not(kernel_mcs))]
pub type ReplyAuthority<C = crate::NoExplicitInvocationContext> = ImplicitReplyAuthority<C>;

/// The right that the kernel keeps in the thread.
#[cfg(not(kernel_mcs))]
#[derive(Debug, Default)]
pub struct ImplicitReplyAuthority<C> {
    invocation_context: C,
}

#[cfg(not(kernel_mcs))]
impl<C> ImplicitReplyAuthority<C> {
    /// The right, used with a context.
    pub const fn new(invocation_context: C) -> Self {
        Self { invocation_context }
    }

    /// The context.
    pub fn into_invocation_context(self) -> C {
        self.invocation_context
    }
}

#[cfg(not(kernel_mcs))]
impl<C: crate::InvocationContext> ImplicitReplyAuthority<C> {
    /// Replies to the last caller.
    pub fn reply(self, info: crate::MessageInfo) {
        self.into_invocation_context()
            .with_context(|ipc_buffer| crate::ipc::reply(ipc_buffer, info));
    }
}

/// What stands for a right to reply.
pub trait ConveysReplyAuthority {
    /// Its context.
    type C;

    /// The right.
    fn into_reply_authority(self) -> ReplyAuthority<Self::C>;
}

impl<C> ConveysReplyAuthority for ReplyAuthority<C> {
    type C = C;

    #[inline(always)]
    fn into_reply_authority(self) -> ReplyAuthority<Self::C> {
        self
    }
}

#[cfg(not(kernel_mcs))]
impl ConveysReplyAuthority for () {
    type C = crate::NoExplicitInvocationContext;

    #[inline(always)]
    fn into_reply_authority(self) -> ReplyAuthority<Self::C> {
        ImplicitReplyAuthority::default()
    }
}

/// What to pass in the register for it.
#[inline(always)]
pub(crate) fn register(authority: impl ConveysReplyAuthority) -> ReplyRegister {
    let _authority = authority.into_reply_authority();
    ReplyRegister {
        #[cfg(kernel_mcs)]
        object: _authority.bits(),
    }
}
