// SPDX-License-Identifier: BSD-2-Clause

//! Starting a thread the same way on every kernel: what MCS kernels need besides a TCB, and in which call each
//! parameter goes, differs in rust-sel4's own signatures.

use sel4::{
    BootInfoPtr, CNodeCapData, CPtr, ObjectBlueprint, ReplyAuthority, Result, Time, Word, cap,
    sel4_cfg_if,
};

sel4_cfg_if! {
    if #[sel4_cfg(KERNEL_MCS)] {
        /// The scheduling context that a thread needs besides its TCB: the smallest. `None`: this kernel has none.
        pub const SCHED_CONTEXT: Option<ObjectBlueprint> = Some(ObjectBlueprint::SchedContext {
            // Of no bytes at all, it takes the least that there is.
            size_bits: ObjectBlueprint::SchedContext { size_bits: 0 }.physical_size_bits(),
        });

        /// The reply object that a thread needs to receive calls. `None`: this kernel has none.
        pub const REPLY: Option<ObjectBlueprint> = Some(ObjectBlueprint::Reply);

        /// The authority to pass to receiving calls, given where the thread's reply object is. Without [`REPLY`] the
        /// address is not looked at.
        pub fn reply_authority(reply: CPtr) -> ReplyAuthority {
            reply.cast()
        }

        /// Gives a scheduling context `budget` microseconds in every `period`, on the first processor. `data` is in its
        /// timeouts. Without [`SCHED_CONTEXT`] nothing is done.
        pub fn configure_sched_context(
            bootinfo: &BootInfoPtr,
            sched_context: CPtr,
            budget: Time,
            period: Time,
            data: Word,
        ) -> Result<()> {
            let first_processor = bootinfo.sched_control().index(0).cap();
            // Only blocking divides what is left of a budget; being made to wait by others would do so too without.
            let flags = sel4::sys::seL4_SchedContextFlag::seL4_SchedContext_Sporadic;
            first_processor
                .sched_control_configure_flags(sched_context.cast(), budget, period, 0, data, flags)
        }
    } else {
        /// The scheduling context that a thread needs besides its TCB: the smallest. `None`: this kernel has none.
        pub const SCHED_CONTEXT: Option<ObjectBlueprint> = None;

        /// The reply object that a thread needs to receive calls. `None`: this kernel has none.
        pub const REPLY: Option<ObjectBlueprint> = None;

        /// The authority to pass to receiving calls, given where the thread's reply object is. Without [`REPLY`] the
        /// address is not looked at.
        pub fn reply_authority(_reply: CPtr) -> ReplyAuthority {
            ReplyAuthority::default()
        }

        /// Gives a scheduling context `budget` microseconds in every `period`, on the first processor. `data` is in its
        /// timeouts. Without [`SCHED_CONTEXT`] nothing is done.
        pub fn configure_sched_context(
            _bootinfo: &BootInfoPtr,
            _sched_context: CPtr,
            _budget: Time,
            _period: Time,
            _data: Word,
        ) -> Result<()> {
            Ok(())
        }
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
    /// The address, in the CSpace of the caller, of the capability by which it is told that the thread's time ran out.
    /// `None`: nobody is told, and the thread waits for its next period. Without [`SCHED_CONTEXT`] it is not looked at.
    pub timeout_endpoint: Option<CPtr>,
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

/// [`Thread`], as a call on a TCB.
pub trait TcbExtension {
    /// Makes the thread what `thread` says. It doesn't run yet.
    ///
    /// A refusal leaves the thread half configured and fit only to be deleted.
    fn tcb_set_up(self, thread: &Thread) -> Result<()>;
}

sel4_cfg_if! {
    if #[sel4_cfg(KERNEL_MCS)] {
        impl TcbExtension for cap::Tcb {
            fn tcb_set_up(self, thread: &Thread) -> Result<()> {
                self.tcb_configure(
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
                )?;
                thread.timeout_endpoint.map_or(Ok(()), |endpoint| {
                    self.tcb_set_timeout_endpoint(endpoint.cast())
                })
            }
        }
    } else {
        impl TcbExtension for cap::Tcb {
            fn tcb_set_up(self, thread: &Thread) -> Result<()> {
                self.tcb_configure(
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
}
