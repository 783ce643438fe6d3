// SPDX-License-Identifier: BSD-2-Clause
//! A client's threads: capabilities, registers, start and end.

use crate::kernel::{CLIENT_CNODE_BITS, Sel4};
use kmalloc_server::kernel::{
    Budget, ClientIndex, ClientObject, Slot, THREADS_MAX, ThreadIndex, ThreadStart,
};
use sel4::{CNodeCapData, CPtr, CapRights, CapRightsBuilder, UserContext, cap};
use sel4_extension::thread::{FaultEndpoint, TcbExtension, Thread, configure_sched_context};
use sel4_task::slot;

/// What a thread has whose client has no budget, on kernels with scheduling contexts: turns as long as other kernels
/// give. Without other time in the period than the budget, a thread is never out of it.
const TURNS: Budget = Budget {
    budget_us: 10_000,
    period_us: 10_000,
};

/// Starts a client's thread.
pub fn start(kernel: &mut Sel4, start: &ThreadStart) -> sel4::Result<()> {
    if start.thread == ThreadIndex::FIRST {
        give_capabilities(kernel, start)?;
    }
    let object = |which| kernel.cptr(Slot::Client(start.client, which));
    let sched_context = object(ClientObject::SchedContext(start.thread));
    let Budget {
        budget_us,
        period_us,
    } = start.budget.unwrap_or(TURNS);
    let data = start.thread.0.into();
    configure_sched_context(&kernel.bootinfo, sched_context, budget_us, period_us, data)?;
    let fault_endpoint = object(ClientObject::FaultEndpoint);
    let tcb: cap::Tcb = object(ClientObject::Tcb(start.thread)).cast();
    tcb.tcb_set_up(&Thread {
        authority: sel4::init_thread::slot::TCB.cap(),
        cspace_root: object(ClientObject::CNode).cast(),
        cspace_root_data: CNodeCapData::skip_high_bits(CLIENT_CNODE_BITS),
        vspace_root: kernel.vspace(start.vspace),
        ipc_buffer: start.ipc_buffer_address as sel4::Word,
        ipc_buffer_frame: kernel.frame(start.ipc_buffer),
        fault_endpoint: FaultEndpoint {
            in_thread: CPtr::from_bits(slot::FAULT),
            in_caller: fault_endpoint,
        },
        mcp: start.priority.into(),
        priority: start.priority.into(),
        sched_context,
        timeout_endpoint: (budget_us < period_us).then_some(fault_endpoint),
    })?;
    let mut context = UserContext::default();
    *context.pc_mut() = start.entry as sel4::Word;
    *context.sp_mut() = start.stack as sel4::Word;
    *context.c_param_mut(0) = start.argument as sel4::Word;
    *context.c_param_mut(1) = start.ipc_buffer_address as sel4::Word;
    tcb.tcb_write_all_registers(true, &mut context)
}

/// Where a thread stands, by its number, which a timeout tells; 0 where no such thread is.
pub fn instruction(kernel: &Sel4, client: ClientIndex, thread: sel4::Word) -> sel4::Word {
    let thread = u8::try_from(thread).ok();
    let Some(thread) = thread.filter(|thread| *thread < THREADS_MAX) else {
        return 0;
    };
    let tcb = Slot::Client(client, ClientObject::Tcb(ThreadIndex(thread)));
    let tcb: cap::Tcb = kernel.cptr(tcb).cast();
    tcb.tcb_read_all_registers(false)
        .map_or(0, |context| *context.pc())
}

/// Fills a client's CSpace, and makes the capability that its faults come by.
fn give_capabilities(kernel: &Sel4, start: &ThreadStart) -> sel4::Result<()> {
    let cnode: cap::CNode = kernel
        .cptr(Slot::Client(start.client, ClientObject::CNode))
        .cast();
    let place = |slot| cnode.absolute_cptr_from_bits_with_depth(slot, CLIENT_CNODE_BITS);
    // A call needs Grant to take the kernel's fast path; what a client sends with it is dropped, since the server names
    // no slot to receive in.
    let rights = || CapRightsBuilder::none().write(true).grant(true).build();
    place(slot::SERVER).mint(&kernel.endpoint, rights(), start.badge)?;
    // Faults are found in the client's CSpace by some kernels, and in the server's by others.
    place(slot::FAULT).mint(&kernel.endpoint, rights(), start.fault_badge)?;
    let notification = kernel.path(Slot::Client(start.client, ClientObject::Notification));
    place(slot::NOTIFICATION).mint(&notification, CapRights::read_only(), 0)?;
    // Nobody else has it, so nobody signals it.
    let parking = kernel.path(Slot::Client(start.client, ClientObject::Parking));
    place(slot::PARKING).mint(&parking, CapRights::read_only(), 0)?;
    if sel4_extension::thread::REPLY.is_some() {
        let reply = kernel.path(Slot::Client(start.client, ClientObject::Reply));
        place(slot::REPLY).mint(&reply, CapRights::all(), 0)?;
    }
    if let Some(endpoint) = kernel.connection.serves {
        place(slot::SERVES).copy(&endpoint, CapRights::read_only())?;
    }
    if let Some(endpoint) = kernel.connection.calls {
        place(slot::CALLS).copy(&endpoint, rights())?;
    }
    // A start that was refused further on may have left it.
    let fault = kernel.path(Slot::Client(start.client, ClientObject::FaultEndpoint));
    fault.delete()?;
    fault.mint(&kernel.endpoint, rights(), start.fault_badge)
}

/// Stops the first `count` threads of a client and deletes the capability that their faults came by.
pub fn stop(kernel: &mut Sel4, client: ClientIndex, count: u8) -> sel4::Result<()> {
    for thread in (0..count).map(ThreadIndex) {
        let tcb = Slot::Client(client, ClientObject::Tcb(thread));
        kernel
            .cptr(tcb)
            .cast::<sel4::cap_type::Tcb>()
            .tcb_suspend()?;
    }
    kernel
        .path(Slot::Client(client, ClientObject::FaultEndpoint))
        .delete()
}
