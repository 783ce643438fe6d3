// SPDX-License-Identifier: BSD-2-Clause
//! A thread that touches one address of an address space, and what it says then.
//!
//! Whatever happens ends in a fault: one at the address, or that of the instruction behind, which no processor knows. For
//! that the address space gets a page of code, and tables over it, at an address that sequences have nothing at. All of it
//! goes again before the next operation, the thread's own capability of the address space too: else the address space would
//! outlive its own.

use super::make;
use crate::cspace;
use crate::kernel::{Sel4, refused};
use crate::ports;
use kernel_sequences::{Access, Touched};
use kmalloc_server::kernel::{
    ClientIndex, ClientObject, Kernel, Mapping, Object, Refused, Slot, Table, ThreadIndex,
};
use kmalloc_server::physical::{Chunk, Large, Page};
use sel4::{BootInfoPtr, CPtr, CapRightsBuilder, Fault, UserContext, Word, cap};
use sel4_extension::thread::{
    FaultEndpoint, REPLY, SCHED_CONTEXT, TcbExtension, Thread, configure_sched_context,
    reply_authority,
};

/// Where the code is mapped: far from what sequences use.
const CODE_ADDRESS: usize = 0x7000_0000_0000;
/// Read a word at rdi into rax; undefined instruction.
const READ: [u8; 5] = [0x48, 0x8b, 0x07, 0x0f, 0x0b];
/// Write rsi to the word at rdi; undefined instruction.
const WRITE: [u8; 5] = [0x48, 0x89, 0x37, 0x0f, 0x0b];
/// Where the second of them stands in the page.
const WRITE_OFFSET: usize = 16;
/// Above the root task's other threads, which have nothing to do here.
const PRIORITY: Word = sel4::sel4_cfg_usize!(NUM_PRIORITIES) as Word - 2;
/// Microseconds that it may run in a turn, on kernels with scheduling contexts.
const TIME_SLICE_US: sel4::Time = 10_000;
/// Slots that no sequence uses.
const CLIENT: ClientIndex = ClientIndex(100);
const CODE: Slot = Slot::Copy(100);
const TCB: ClientObject = ClientObject::Tcb(ThreadIndex::FIRST);
/// What an outcome says when the thread did something that it can't do.
const UNEXPECTED: Refused = Refused { code: 25 };

/// The thread, and what it takes to run it.
pub struct Probe {
    tcb: cap::Tcb,
    endpoint: cap::Endpoint,
    reply: CPtr,
    /// Where its faults go, in the caller's CSpace and in its own: that is the kernel's own CNode.
    faults: CPtr,
    /// The page of code.
    code: Page,
    /// What the tables over it are made of, and their slots.
    tables: (Chunk, Page),
}

impl Probe {
    /// Makes the thread of a large page that nobody has.
    pub fn new(
        kernel: &mut Sel4,
        bootinfo: &BootInfoPtr,
        large: Large,
        endpoint: cap::Endpoint,
        reply: CPtr,
    ) -> Result<Probe, Refused> {
        let chunk = |number: u32| Chunk(large.first_chunk().0 + number);
        kernel.retype(
            Slot::Large(large),
            Object::Untyped(16),
            Slot::Chunk(chunk(0)),
            3,
        )?;
        let mut own = |which| {
            let slot = Slot::Client(CLIENT, which);
            kernel.retype(Slot::Chunk(chunk(0)), Object::Client(which), slot, 1)
        };
        own(TCB)?;
        if SCHED_CONTEXT.is_some() {
            own(ClientObject::SchedContext(ThreadIndex::FIRST))?;
        }
        if REPLY.is_some() {
            own(ClientObject::Reply)?;
        }
        let [code, buffer] = [0, 1].map(|number| Page(chunk(1).first_page().0 + number));
        make(kernel, chunk(1), &[Object::Frame, Object::Frame], code)?;
        kernel.write_page(code, 0, &READ)?;
        kernel.write_page(code, WRITE_OFFSET, &WRITE)?;

        // The slot that boot left alone.
        let faults = cspace::address(ports::slots_left(bootinfo).start);
        let rights = CapRightsBuilder::none().write(true).grant(true).build();
        sel4::init_thread::slot::CNODE
            .cap()
            .absolute_cptr(faults)
            .mint(&kernel.endpoint, rights, 1)
            .map_err(refused)?;
        let sched_context = ClientObject::SchedContext(ThreadIndex::FIRST);
        let sched_context = kernel.cptr(Slot::Client(CLIENT, sched_context));
        configure_sched_context(bootinfo, sched_context, TIME_SLICE_US, TIME_SLICE_US, 0)
            .map_err(refused)?;
        let probe = Probe {
            tcb: kernel.cptr(Slot::Client(CLIENT, TCB)).cast(),
            endpoint,
            reply,
            faults,
            code,
            tables: (chunk(2), chunk(2).first_page()),
        };
        probe
            .set_up(kernel, buffer, sched_context)
            .map_err(refused)?;
        Ok(probe)
    }

    fn set_up(&self, kernel: &Sel4, buffer: Page, sched_context: CPtr) -> sel4::Result<()> {
        self.tcb.tcb_set_up(&Thread {
            authority: sel4::init_thread::slot::TCB.cap(),
            cspace_root: sel4::init_thread::slot::CNODE.cap(),
            cspace_root_data: kernel.layout.guard(),
            vspace_root: sel4::init_thread::slot::VSPACE.cap(),
            ipc_buffer: CODE_ADDRESS as Word,
            ipc_buffer_frame: kernel.frame(buffer),
            fault_endpoint: FaultEndpoint {
                in_thread: self.faults,
                in_caller: self.faults,
            },
            mcp: PRIORITY,
            priority: PRIORITY,
            sched_context,
            timeout_endpoint: None,
        })
    }

    /// Has the thread touch an address.
    pub fn touch(
        &self,
        kernel: &mut Sel4,
        space: Page,
        address: usize,
        access: Access,
    ) -> Result<Touched, Refused> {
        let touched = self
            .enter(kernel, space)
            .and_then(|()| self.go(address, access).map_err(refused)?);
        // All of it, whatever went wrong before.
        let left = self.leave(kernel);
        let touched = touched?;
        left.map(|()| touched)
    }

    /// Gives the address space the page of code, and the thread the address space.
    fn enter(&self, kernel: &mut Sel4, space: Page) -> Result<(), Refused> {
        let (chunk, first) = self.tables;
        let levels = [Table::Pdpt, Table::PageDirectory, Table::PageTable];
        make(kernel, chunk, &levels.map(Object::Table), first)?;
        for (level, page) in levels.into_iter().zip(first.0..) {
            kernel.map_table(Page(page), level, space, CODE_ADDRESS)?;
        }
        let how = Mapping {
            writable: false,
            ..Mapping::MEMORY
        };
        kernel.copy(Slot::Page(self.code), CODE)?;
        kernel.map_page(CODE, space, CODE_ADDRESS, how)?;
        self.set_space(kernel, kernel.vspace(space))
            .map_err(refused)
    }

    fn set_space(&self, kernel: &Sel4, space: cap::VSpace) -> sel4::Result<()> {
        let cspace = sel4::init_thread::slot::CNODE.cap();
        self.tcb
            .tcb_set_space(self.faults, cspace, kernel.layout.guard(), space)
    }

    /// Takes all of that away again.
    fn leave(&self, kernel: &mut Sel4) -> Result<(), Refused> {
        let own = sel4::init_thread::slot::VSPACE.cap();
        self.tcb.tcb_suspend().map_err(refused)?;
        self.set_space(kernel, own).map_err(refused)?;
        let (chunk, _) = self.tables;
        // Tables first: then it makes no difference whether the code was mapped at all, or is unmapped by this.
        kernel.revoke(Slot::Chunk(chunk))?;
        kernel.delete(CODE)
    }

    /// Runs the thread until it faults.
    fn go(&self, address: usize, access: Access) -> sel4::Result<Result<Touched, Refused>> {
        let mut context = UserContext::default();
        let (offset, word) = match access {
            Access::Read => (0, 0),
            Access::Write(word) => (WRITE_OFFSET, word),
        };
        *context.pc_mut() = (CODE_ADDRESS + offset) as Word;
        *context.c_param_mut(0) = address as Word;
        *context.c_param_mut(1) = word;
        self.tcb.tcb_write_all_registers(true, &mut context)?;
        let (info, _) = self.endpoint.recv(reply_authority(self.reply));
        let fault = sel4::with_ipc_buffer(|buffer| sel4_extension::fault(buffer, &info));
        Ok(match fault {
            Some(Fault::VmFault(fault)) => Ok(Touched::Fault {
                address: fault.inner().get_Addr() as u32,
                reason: fault.inner().get_FSR() as u8,
            }),
            Some(Fault::UserException(_)) => match access {
                Access::Read => {
                    let context = self.tcb.tcb_read_all_registers(false)?;
                    Ok(Touched::Word(context.inner().rax))
                }
                Access::Write(word) => Ok(Touched::Word(word)),
            },
            _ => Err(UNEXPECTED),
        })
    }
}
