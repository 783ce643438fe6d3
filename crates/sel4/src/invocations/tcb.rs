// SPDX-License-Identifier: BSD-2-Clause

use super::outcome;
use crate::Word;
use crate::cap_types::cap;
use crate::cnode_cap_data::CNodeCapData;
use crate::cptr::CPtr;
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::ipc_buffer::IpcBuffer;
use crate::message_info::MessageInfo;
use crate::registers::{self, ReplyRegister};
use crate::sys::{facts, invocation_label as label, syscall};
use crate::user_context::{REGISTER_COUNT, UserContext};

/// No kernel in use takes data for the root of an address space.
const NO_VSPACE_DATA: Word = 0;

impl<C: InvocationContext> cap::Tcb<C> {
    /// Lets the thread run.
    pub fn tcb_resume(self) -> Result<()> {
        self.invoke(label::TCBResume, [], []).map(drop)
    }

    /// Stops the thread.
    pub fn tcb_suspend(self) -> Result<()> {
        self.invoke(label::TCBSuspend, [], []).map(drop)
    }

    /// Sets the priority, no higher than `authority` may. On release 5 the authority is the caller's own.
    pub fn tcb_set_priority(self, authority: cap::Tcb, priority: Word) -> Result<()> {
        self.set_priority(label::TCBSetPriority, authority, priority)
    }

    /// Sets the highest priority that the thread may set, no higher than `authority` may. On release 5 the authority
    /// is the caller's own.
    pub fn tcb_set_mc_priority(self, authority: cap::Tcb, mcp: Word) -> Result<()> {
        self.set_priority(label::TCBSetMCPriority, authority, mcp)
    }

    fn set_priority(self, label: u32, authority: cap::Tcb, priority: Word) -> Result<()> {
        if facts::PRIORITY_TAKES_AUTHORITY {
            self.invoke(label, [authority.bits()], [priority]).map(drop)
        } else {
            self.invoke(label, [], [priority]).map(drop)
        }
    }

    /// Binds a notification: its signals arrive where the thread waits for messages.
    pub fn tcb_bind_notification(self, notification: cap::Notification) -> Result<()> {
        self.invoke(label::TCBBindNotification, [notification.bits()], [])
            .map(drop)
    }

    /// Takes the notification away.
    pub fn tcb_unbind_notification(self) -> Result<()> {
        self.invoke(label::TCBUnbindNotification, [], []).map(drop)
    }

    /// Sets the base of FS.
    #[cfg(not(kernel_release_5))]
    pub fn tcb_set_tls_base(self, tls_base: Word) -> Result<()> {
        self.invoke(label::TCBSetTLSBase, [], [tls_base]).map(drop)
    }

    /// Reads the first `count` registers; the others are 0. With `suspend` the thread is stopped first.
    ///
    /// # Panics
    ///
    /// If `count` is above the number of registers.
    pub fn tcb_read_registers(self, suspend: bool, count: Word) -> Result<UserContext> {
        let count = count as usize;
        assert!(count <= REGISTER_COUNT);
        let mut context = UserContext::default();
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            let info = MessageInfo::new(label::TCBReadRegisters.into(), 0, 0, 2);
            let words = [suspend.into(), count as Word, 0, 0];
            exchange(cptr, info, words, ipc_buffer)?;
            context.words_mut()[..count].copy_from_slice(&ipc_buffer.msg_regs()[..count]);
            Ok(())
        })?;
        Ok(context)
    }

    /// Reads all registers. With `suspend` the thread is stopped first.
    pub fn tcb_read_all_registers(self, suspend: bool) -> Result<UserContext> {
        self.tcb_read_registers(suspend, REGISTER_COUNT as Word)
    }

    /// Writes the first `count` registers. With `resume` the thread then runs.
    ///
    /// # Panics
    ///
    /// If `count` is above the number of registers.
    pub fn tcb_write_registers(
        self,
        resume: bool,
        count: Word,
        regs: &mut UserContext,
    ) -> Result<()> {
        let registers = &regs.words()[..count as usize];
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            let message = ipc_buffer.msg_regs_mut();
            message[0] = resume.into();
            message[1] = count;
            message[2..][..registers.len()].copy_from_slice(registers);
            let words = ipc_buffer.register_words();
            let info = MessageInfo::new(label::TCBWriteRegisters.into(), 0, 0, 2 + registers.len());
            exchange(cptr, info, words, ipc_buffer)
        })
    }

    /// Writes all registers. With `resume` the thread then runs.
    pub fn tcb_write_all_registers(self, resume: bool, regs: &mut UserContext) -> Result<()> {
        self.tcb_write_registers(resume, REGISTER_COUNT as Word, regs)
    }
}

/// Calls with a message that is in the buffer but for its first words, and keeps the whole answer there.
fn exchange(
    cptr: Word,
    info: MessageInfo,
    words: [Word; 4],
    ipc_buffer: &mut IpcBuffer,
) -> Result<()> {
    let answer = registers::send_receive(syscall::Call, cptr, info, words, ReplyRegister::NONE);
    ipc_buffer.set_register_words(answer.words);
    outcome(answer, None).map(drop)
}

#[cfg(not(kernel_mcs))]
impl<C: InvocationContext> cap::Tcb<C> {
    /// Sets fault endpoint, CSpace, VSpace and IPC buffer. `fault_ep` is an address in the thread's own CSpace.
    pub fn tcb_configure(
        self,
        fault_ep: CPtr,
        cspace_root: cap::CNode,
        cspace_root_data: CNodeCapData,
        vspace_root: cap::VSpace,
        ipc_buffer: Word,
        ipc_buffer_frame: cap::Granule,
    ) -> Result<()> {
        #[cfg(kernel_release_5)]
        {
            // Release 5's own Configure would set the priorities too, which are not given here.
            let tcb = cap::Tcb::from_bits(self.bits());
            tcb.invoke(
                label::TCBSetIPCBuffer,
                [ipc_buffer_frame.bits()],
                [ipc_buffer],
            )?;
            tcb.tcb_set_space(fault_ep, cspace_root, cspace_root_data, vspace_root)
        }
        #[cfg(not(kernel_release_5))]
        self.invoke(
            label::TCBConfigure,
            [
                cspace_root.bits(),
                vspace_root.bits(),
                ipc_buffer_frame.bits(),
            ],
            [
                fault_ep.bits(),
                cspace_root_data.into_word(),
                NO_VSPACE_DATA,
                ipc_buffer,
            ],
        )
        .map(drop)
    }

    /// Sets fault endpoint, CSpace and VSpace. `fault_ep` is an address in the thread's own CSpace.
    pub fn tcb_set_space(
        self,
        fault_ep: CPtr,
        cspace_root: cap::CNode,
        cspace_root_data: CNodeCapData,
        vspace_root: cap::VSpace,
    ) -> Result<()> {
        self.invoke(
            label::TCBSetSpace,
            [cspace_root.bits(), vspace_root.bits()],
            [
                fault_ep.bits(),
                cspace_root_data.into_word(),
                NO_VSPACE_DATA,
            ],
        )
        .map(drop)
    }

    /// Sets the priority and the highest one that the thread may set, neither higher than `authority` may. On release
    /// 5 the authority is the caller's own.
    pub fn tcb_set_sched_params(
        self,
        authority: cap::Tcb,
        mcp: Word,
        priority: Word,
    ) -> Result<()> {
        #[cfg(kernel_release_5)]
        {
            let tcb = cap::Tcb::from_bits(self.bits());
            tcb.tcb_set_mc_priority(authority, mcp)?;
            tcb.tcb_set_priority(authority, priority)
        }
        #[cfg(not(kernel_release_5))]
        self.invoke(
            label::TCBSetSchedParams,
            [authority.bits()],
            [mcp, priority],
        )
        .map(drop)
    }
}

#[cfg(kernel_mcs)]
impl<C: InvocationContext> cap::Tcb<C> {
    /// Sets CSpace, VSpace and IPC buffer.
    pub fn tcb_configure(
        self,
        cspace_root: cap::CNode,
        cspace_root_data: CNodeCapData,
        vspace_root: cap::VSpace,
        ipc_buffer: Word,
        ipc_buffer_frame: cap::Granule,
    ) -> Result<()> {
        self.invoke(
            label::TCBConfigure,
            [
                cspace_root.bits(),
                vspace_root.bits(),
                ipc_buffer_frame.bits(),
            ],
            [cspace_root_data.into_word(), NO_VSPACE_DATA, ipc_buffer],
        )
        .map(drop)
    }

    /// Sets fault endpoint, CSpace and VSpace. `fault_ep` is an address in the caller's CSpace.
    pub fn tcb_set_space(
        self,
        fault_ep: CPtr,
        cspace_root: cap::CNode,
        cspace_root_data: CNodeCapData,
        vspace_root: cap::VSpace,
    ) -> Result<()> {
        self.invoke(
            label::TCBSetSpace,
            [fault_ep.bits(), cspace_root.bits(), vspace_root.bits()],
            [cspace_root_data.into_word(), NO_VSPACE_DATA],
        )
        .map(drop)
    }

    /// Sets priorities, neither higher than `authority` may, the scheduling context and the fault endpoint. `fault_ep`
    /// is an address in the caller's CSpace.
    pub fn tcb_set_sched_params(
        self,
        authority: cap::Tcb,
        mcp: Word,
        priority: Word,
        sched_context: cap::SchedContext,
        fault_ep: cap::Endpoint,
    ) -> Result<()> {
        self.invoke(
            label::TCBSetSchedParams,
            [authority.bits(), sched_context.bits(), fault_ep.bits()],
            [mcp, priority],
        )
        .map(drop)
    }

    /// Sets where it is told that the thread's time ran out.
    pub fn tcb_set_timeout_endpoint(self, timeout_endpoint: cap::Endpoint) -> Result<()> {
        self.invoke(label::TCBSetTimeoutEndpoint, [timeout_endpoint.bits()], [])
            .map(drop)
    }
}
