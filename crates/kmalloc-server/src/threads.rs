// SPDX-License-Identifier: BSD-2-Clause
//! Threads of a client: the first, and up to seven more that it asks for.
//!
//! All threads of a client share its address space, its CSpace, its priority, its badge and its end. Where its time is
//! limited, each has that much. The kernel objects of a thread come from the client's chunks, where nothing is given
//! back one by one: those of a thread that could not be started stay with the client, which is charged for them, and
//! serve the next try.

use crate::Server;
use crate::client::Badge;
use crate::kernel::{
    ClientIndex, ClientObject, Kernel, Mapping, Slot, THREADS_MAX, ThreadIndex, ThreadStart,
};
use crate::memory::Role;
use crate::physical::Page;
use crate::spawn::IPC_BUFFER_ADDRESS;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::{Error, Reply, Response};

/// Where a client's address space ends: one PDPT's reach.
const SPACE_END: u64 = 1 << 39;
/// What a stack pointer is aligned to.
const STACK_ALIGN: u64 = 16;

/// What a thread begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    /// First instruction.
    pub entry: usize,
    /// First stack pointer.
    pub stack: usize,
    /// First argument.
    pub argument: usize,
}

impl<K: Kernel> Server<K> {
    pub(crate) fn start_thread(
        &mut self,
        client: ClientIndex,
        entry: u64,
        stack: u64,
        argument: u64,
    ) -> Response {
        if entry >= SPACE_END {
            return Err(Error::BadPointer { address: entry });
        }
        if stack == 0 || stack > SPACE_END || !stack.is_multiple_of(STACK_ALIGN) {
            return Err(Error::BadPointer { address: stack });
        }
        let thread = self.client_mut(client)?.threads;
        if thread >= THREADS_MAX {
            return Err(Error::OutOfSlots {
                limit: THREADS_MAX.into(),
            });
        }
        let thread = ThreadIndex(thread);
        self.make_thread_objects(client, thread)?;
        let address = ipc_buffer_address(thread);
        let ipc_buffer = self.take_page(client, Role::Mapped, (address >> 12) as u32)?;
        let vspace = Page(self.client_mut(client)?.vspace);
        let frame = Slot::Page(ipc_buffer);
        if let Err(refused) = self
            .kernel
            .map_page(frame, vspace, address, Mapping::MEMORY)
        {
            self.return_page(ipc_buffer, true);
            return Err(refused.into());
        }
        let registers = Registers {
            entry: entry as usize,
            stack: stack as usize,
            argument: argument as usize,
        };
        if let Err(error) = self.run_thread(client, thread, ipc_buffer, registers) {
            self.kernel.unmap_page(frame)?;
            // The client's other threads may have written to it.
            self.return_page(ipc_buffer, false);
            return Err(error);
        }
        Ok(Reply::Done)
    }

    /// The objects of the thread that comes next, as far as an earlier try has not made them.
    fn make_thread_objects(
        &mut self,
        client: ClientIndex,
        thread: ThreadIndex,
    ) -> Result<(), Error> {
        let scheduling = self.mcs.then_some(ClientObject::SchedContext(thread));
        let objects = [Some(ClientObject::Tcb(thread)), scheduling];
        let each = 1 + u8::from(self.mcs);
        let before = (thread.0 - 1) * each;
        for (number, which) in (before..).zip(objects.into_iter().flatten()) {
            if number >= self.client_mut(client)?.thread_objects {
                self.make_client_object(client, which)?;
                self.client_mut(client)?.thread_objects += 1;
            }
        }
        Ok(())
    }

    /// Lets a thread run whose objects are made and whose IPC buffer is mapped.
    pub(crate) fn run_thread(
        &mut self,
        client: ClientIndex,
        thread: ThreadIndex,
        ipc_buffer: Page,
        registers: Registers,
    ) -> Result<(), Error> {
        let account = self.client_mut(client)?;
        let (vspace, badge) = (Page(account.vspace), account.badge);
        let (priority, budget) = (account.priority, account.budget);
        let fault_badge = Badge {
            fault: true,
            ..Badge::unpack(badge)
        };
        self.kernel.start_thread(&ThreadStart {
            client,
            thread,
            vspace,
            ipc_buffer,
            ipc_buffer_address: ipc_buffer_address(thread),
            entry: registers.entry,
            stack: registers.stack,
            argument: registers.argument,
            priority,
            budget,
            badge,
            fault_badge: fault_badge.pack(),
        })?;
        self.client_mut(client)?.threads += 1;
        Ok(())
    }
}

/// Where the IPC buffer of a thread is mapped.
fn ipc_buffer_address(thread: ThreadIndex) -> usize {
    IPC_BUFFER_ADDRESS + usize::from(thread.0) * PAGE_SIZE
}
