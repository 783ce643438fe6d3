// SPDX-License-Identifier: BSD-2-Clause

//! Bindings for the seL4 kernel on x86_64, for as much of it as this project uses.
//!
//! Names and signatures are those of rust-sel4's crate `sel4`; what that lacks is in crate `sel4-extension`.
//! The kernel is chosen when the crate is built (see crate `sel4-build`): release 5.0.0 or 13.0.0 to 16.0.0, MCS or not.
//! In what these differ does not show above this crate, except where rust-sel4's own signatures do: a reply authority,
//! and the parameters of [`cap::Tcb::tcb_configure`] and `tcb_set_sched_params` on MCS kernels.

#![cfg_attr(not(test), no_std)]

mod bootinfo;
mod cap_rights;
mod cap_types;
mod cnode_cap_data;
mod cptr;
mod debug;
mod error;
mod fault;
mod invocation_context;
mod invocations;
#[cfg(kernel_iommu)]
pub mod io_space;
mod ipc;
mod ipc_buffer;
mod message_info;
mod object;
mod registers;
mod reply_authority;
mod state;
mod user_context;
mod vm_attributes;
mod vspace;

pub mod config;
pub mod init_thread;
pub mod sys;

pub use bootinfo::{BootInfo, BootInfoPtr, UntypedDesc};
pub use cap_rights::{CapRights, CapRightsBuilder};
pub use cap_types::{CapType, cap, cap_type};
pub use cnode_cap_data::CNodeCapData;
pub use cptr::{AbsoluteCPtr, CPtr, CPtrBits, CPtrWithDepth, Cap, HasCPtrWithDepth};
pub use debug::{DebugWrite, debug_put_char};
pub use error::{Error, Result};
#[cfg(kernel_mcs)]
pub use fault::Timeout;
pub use fault::{CapFault, Fault, NullFault, UnknownSyscall, UserException, VmFault};
pub use invocation_context::{
    ImplicitInvocationContext, InvocationContext, NoExplicitInvocationContext,
};
pub use invocations::Time;
#[cfg(not(kernel_mcs))]
pub use ipc::reply;
pub use ipc::{
    Badge, CallWithMRs, FastMessages, NUM_FAST_MESSAGE_REGISTERS, NUM_MESSAGE_REGISTERS,
    RecvWithMRs, r#yield,
};
pub use ipc_buffer::IpcBuffer;
pub use message_info::{MessageInfo, MessageInfoBuilder};
pub use object::{
    CapTypeForObject, CapTypeForObjectOfFixedSize, CapTypeForObjectOfVariableSize, ObjectBlueprint,
    ObjectBlueprintArch, ObjectBlueprintSeL4Arch, ObjectBlueprintX64, ObjectBlueprintX86,
};
#[cfg(not(kernel_mcs))]
pub use reply_authority::ImplicitReplyAuthority;
pub use reply_authority::{ConveysReplyAuthority, ReplyAuthority};
pub use state::{set_ipc_buffer, with_ipc_buffer, with_ipc_buffer_mut};
pub use user_context::UserContext;
pub use vm_attributes::VmAttributes;
pub use vspace::{
    CapTypeForFrameObject, CapTypeForFrameObjectOfFixedSize, FrameObjectType,
    TranslationTableObjectType, vspace_levels,
};

/// The machine word.
pub type Word = u64;

/// Width of the machine word in bits.
pub const WORD_SIZE: usize = 64;

#[doc(hidden)]
pub mod _private {
    pub use crate::debug::print;
}
