// SPDX-License-Identifier: BSD-2-Clause

//! Starting a thread the same way on every kernel: what MCS kernels need besides a TCB, and in which call each
//! parameter goes, differs in rust-sel4's own signatures.

use crate::Word;
use crate::bootinfo::BootInfo;
use crate::cap_types::cap;
use crate::cnode_cap_data::CNodeCapData;
use crate::cptr::CPtr;
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::invocations::Time;
use crate::object::ObjectBlueprint;
use crate::reply_authority::ReplyAuthority;
use crate::sys::label;

/// The scheduling context that a thread needs besides its TCB. `None`: this kernel has none.
#[cfg(kernel_mcs)]
pub const SCHED_CONTEXT: Option<ObjectBlueprint> = Some(ObjectBlueprint::SchedContext {
    size_bits: crate::sys::size(crate::sys::constants::seL4_MinSchedContextBits),
});
/// The scheduling context that a thread needs besides its TCB. `None`: this kernel has none.
#[cfg(not(kernel_mcs))]
pub const SCHED_CONTEXT: Option<ObjectBlueprint> = None;

/// The reply object that a thread needs to receive calls. `None`: this kernel has none.
#[cfg(kernel_mcs)]
pub const REPLY: Option<ObjectBlueprint> = Some(ObjectBlueprint::Reply);
/// The reply object that a thread needs to receive calls. `None`: this kernel has none.
#[cfg(not(kernel_mcs))]
pub const REPLY: Option<ObjectBlueprint> = None;

/// The authority to pass to receiving calls, given where the thread's reply object is. Without [`REPLY`] the address
/// is not looked at.
pub fn reply_authority(reply: CPtr) -> ReplyAuthority {
    #[cfg(kernel_mcs)]
    {
        reply.cast()
    }
    #[cfg(not(kernel_mcs))]
    {
        let _ = reply;
        ReplyAuthority::default()
    }
}

/// Gives a scheduling context `budget` microseconds in every `period`, on the first processor. Without
/// [`SCHED_CONTEXT`] nothing is done.
pub fn configure_sched_context(
    bootinfo: &BootInfo,
    sched_context: CPtr,
    budget: Time,
    period: Time,
) -> Result<()> {
    #[cfg(kernel_mcs)]
    {
        let first_processor = bootinfo.sched_control().index(0).cap();
        first_processor.sched_control_configure_flags(sched_context.cast(), budget, period, 0, 0, 0)
    }
    #[cfg(not(kernel_mcs))]
    {
        let _ = (bootinfo, sched_context, budget, period);
        Ok(())
    }
}

/// What a thread is to be.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The TCB whose authority over priorities is used; the caller's own on release 5.
    pub authority: cap::Tcb,
    /// Its CSpace.
    pub cspace_root: cap::CNode,
    /// The guard of its CSpace.
    pub cspace_root_data: CNodeCapData,
    /// Its address space.
    pub vspace_root: cap::VSpace,
    /// Where its IPC buffer is mapped in that address space.
    pub ipc_buffer: Word,
    /// The frame of its IPC buffer.
    pub ipc_buffer_frame: cap::Granule,
    /// Where its faults go.
    pub fault_endpoint: FaultEndpoint,
    /// The highest priority that it may set.
    pub mcp: Word,
    /// Its priority.
    pub priority: Word,
    /// The address of its scheduling context. Without [`SCHED_CONTEXT`] it is not looked at.
    pub sched_context: CPtr,
}

/// A fault endpoint's address. Some kernels look it up in the CSpace of the faulting thread when it faults, others in
/// that of whoever sets it, so there are two.
#[derive(Debug, Clone)]
pub struct FaultEndpoint {
    /// In the CSpace of the thread.
    pub in_thread: CPtr,
    /// In the CSpace of the caller: the capability must have its badge already.
    pub in_caller: CPtr,
}

impl<C: InvocationContext + Clone> cap::Tcb<C> {
    /// Makes the thread what `thread` says. It doesn't run yet.
    ///
    /// A refusal leaves the thread half configured and fit only to be deleted.
    pub fn tcb_set_up(self, thread: &Thread) -> Result<()> {
        #[cfg(kernel_mcs)]
        {
            self.clone().tcb_configure(
                thread.cspace_root,
                thread.cspace_root_data.clone(),
                thread.vspace_root,
                thread.ipc_buffer,
                thread.ipc_buffer_frame,
            )?;
            self.tcb_set_sched_params(
                thread.authority,
                thread.mcp,
                thread.priority,
                thread.sched_context.cast(),
                thread.fault_endpoint.in_caller.cast(),
            )
        }
        #[cfg(not(kernel_mcs))]
        {
            self.clone().tcb_configure(
                thread.fault_endpoint.in_thread,
                thread.cspace_root,
                thread.cspace_root_data.clone(),
                thread.vspace_root,
                thread.ipc_buffer,
                thread.ipc_buffer_frame,
            )?;
            self.tcb_set_sched_params(thread.authority, thread.mcp, thread.priority)
        }
    }
}

impl<C: InvocationContext> cap::Tcb<C> {
    /// Sets address and frame of the IPC buffer.
    pub fn tcb_set_ipc_buffer(
        self,
        ipc_buffer: Word,
        ipc_buffer_frame: cap::Granule,
    ) -> Result<()> {
        let caps = [ipc_buffer_frame.bits()];
        self.invoke(label::TCBSetIPCBuffer, caps, [ipc_buffer])
            .map(drop)
    }
}
