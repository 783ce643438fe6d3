// SPDX-License-Identifier: BSD-2-Clause
//! The threads of the root task beside the one that serves.
//!
//! Each waits on a notification of its own until there is work, and calls the server's endpoint like a client, under a
//! badge that no client has. They share nothing with the server but the capabilities and addresses in their
//! [`Equipment`], which nobody writes after boot, and they allocate nothing.

pub mod cleaner;
mod reclaimer;

use crate::boot::{BootError, Maker};
use crate::cspace::Layout;
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_server::client::Badge;
use kmalloc_server::kernel::Worker;
use sel4::{
    AbsoluteCPtr, BootInfoPtr, CPtr, CapRightsBuilder, IpcBuffer, MessageInfoBuilder,
    ObjectBlueprint, UserContext, Word, cap,
};
use sel4_extension::thread::{
    FaultEndpoint, SCHED_CONTEXT, TcbExtension, Thread, configure_sched_context,
};

/// Bytes of a worker's stack.
const STACK_BYTES: usize = 4 * PAGE_SIZE;
/// The priority of the server, and of clients that choose none.
const CLIENTS_PRIORITY: Word = kmalloc_manifest::PRIORITY_DEFAULT as Word;
/// The least that a client can have: the cleaner runs while nobody else has anything to do.
const CLEANER_PRIORITY: Word = 1;
/// Microseconds that a worker may run in a turn, on kernels with scheduling contexts: as long as clients.
const TIME_SLICE: sel4::Time = 10_000;

/// What a worker has in the root task's image.
#[repr(C, align(4096))]
struct Room {
    /// The first half of the page is the buffer and what the bindings keep behind it.
    ipc_buffer: UnsafeCell<[u8; PAGE_SIZE]>,
    /// Unmapped before the worker runs: a stack that grows too far faults.
    guard: UnsafeCell<[u8; PAGE_SIZE]>,
    stack: UnsafeCell<[u8; STACK_BYTES]>,
}

// SAFETY: one worker uses it, by its own registers; nobody else makes a reference into it.
unsafe impl Sync for Room {}

static ROOMS: [Room; Worker::ALL.len()] = [const {
    Room {
        ipc_buffer: UnsafeCell::new([0; PAGE_SIZE]),
        guard: UnsafeCell::new([0; PAGE_SIZE]),
        stack: UnsafeCell::new([0; STACK_BYTES]),
    }
}; Worker::ALL.len()];

/// What a worker works with.
pub struct Equipment {
    /// The server's endpoint, with the worker's badge.
    endpoint: cap::Endpoint,
    /// What it waits on.
    notification: cap::Notification,
    ipc_buffer: *mut IpcBuffer,
    /// The top CNode, without a guard, and where in it everything is.
    top: cap::CNode,
    layout: Layout,
}

impl Equipment {
    /// To be called once, first thing, by the worker itself.
    fn enter(&self) {
        // SAFETY: the page of its room that the kernel takes for this thread's buffer; nobody else touches it.
        sel4::set_ipc_buffer(unsafe { &mut *self.ipc_buffer });
    }

    /// Calls the server; the first words of its answer.
    fn call(&self, words: [Word; 2]) -> [Word; 4] {
        let info = MessageInfoBuilder::default().length(words.len()).build();
        self.endpoint.call_with_mrs(info, words).msg
    }
}

/// A worker, as the server sees it.
#[derive(Clone, Copy, Debug)]
struct Handle {
    tcb: cap::Tcb,
    notification: cap::Notification,
    /// Whether it waits, or will before it does anything else.
    waits: bool,
}

/// The workers, as the server sees them.
#[derive(Debug)]
pub struct Workers {
    handles: [Handle; Worker::ALL.len()],
}

impl Workers {
    /// Makes the workers. They run as soon as the root task gives up its first priority.
    pub fn start(
        maker: &mut Maker<'_>,
        bootinfo: &BootInfoPtr,
        endpoint: &AbsoluteCPtr,
    ) -> Result<Workers, BootError> {
        let [reclaimer, cleaner] = Worker::ALL;
        let mut start = |worker: Worker, priority, run| {
            let mut mint = |fault| mint_endpoint(maker, endpoint, Badge::of_worker(worker, fault));
            let endpoints = [mint(false)?, mint(true)?];
            start(maker, bootinfo, endpoints, worker, priority, run)
        };
        Ok(Workers {
            handles: [
                start(reclaimer, CLIENTS_PRIORITY, reclaimer::run)?,
                start(cleaner, CLEANER_PRIORITY, cleaner::run)?,
            ],
        })
    }

    fn handle(&mut self, worker: Worker) -> &mut Handle {
        let [reclaimer, cleaner] = &mut self.handles;
        match worker {
            Worker::Reclaimer => reclaimer,
            Worker::Cleaner => cleaner,
        }
    }

    /// Signals a worker that waits.
    pub fn wake(&mut self, worker: Worker) {
        let handle = self.handle(worker);
        if core::mem::take(&mut handle.waits) {
            handle.notification.signal();
        }
    }

    /// A worker is told that there is nothing to do, and waits.
    pub fn rests(&mut self, worker: Worker) {
        self.handle(worker).waits = true;
    }

    /// Lets the cleaner take turns with the clients, or run only while none of them can.
    pub fn hurry_cleaner(&mut self, hurried: bool) {
        let priority = if hurried {
            CLIENTS_PRIORITY
        } else {
            CLEANER_PRIORITY
        };
        let authority = sel4::init_thread::slot::TCB.cap();
        let tcb = self.handle(Worker::Cleaner).tcb;
        // The kernel knows no reason to refuse; if it does, the cleaner goes on as before.
        let _ = tcb.tcb_set_priority(authority, priority);
    }

    /// Stops them for good.
    pub fn stop(&mut self) -> sel4::Result<()> {
        self.handles
            .iter()
            .try_for_each(|handle| handle.tcb.tcb_suspend())
    }
}

/// Makes one worker's objects and lets it run.
fn start(
    maker: &mut Maker<'_>,
    bootinfo: &BootInfoPtr,
    [endpoint, faults]: [CPtr; 2],
    worker: Worker,
    priority: Word,
    run: extern "C" fn(&'static Equipment) -> !,
) -> Result<Handle, BootError> {
    let tcb = maker.make(ObjectBlueprint::Tcb, 1)?;
    let tcb: cap::Tcb = maker.cptr(tcb).cast();
    let notification = maker.make(ObjectBlueprint::Notification, 1)?;
    let notification: cap::Notification = maker.cptr(notification).cast();
    let sched_context = match SCHED_CONTEXT {
        Some(blueprint) => {
            let number = maker.make(blueprint, 1)?;
            maker.cptr(number)
        }
        None => CPtr::from_bits(0),
    };
    configure_sched_context(bootinfo, sched_context, TIME_SLICE, TIME_SLICE, 0)?;

    let [reclaimer, cleaner] = &ROOMS;
    let room = match worker {
        Worker::Reclaimer => reclaimer,
        Worker::Cleaner => cleaner,
    };
    let buffer = room.ipc_buffer.get();
    image_frame(bootinfo, room.guard.get().addr()).frame_unmap()?;
    tcb.tcb_set_up(&Thread {
        authority: sel4::init_thread::slot::TCB.cap(),
        cspace_root: maker.top,
        cspace_root_data: maker.layout.guard(),
        vspace_root: sel4::init_thread::slot::VSPACE.cap(),
        ipc_buffer: buffer.addr() as Word,
        ipc_buffer_frame: image_frame(bootinfo, buffer.addr()),
        fault_endpoint: FaultEndpoint {
            in_thread: faults,
            in_caller: faults,
        },
        mcp: priority,
        priority,
        sched_context,
        timeout_endpoint: None,
    })?;
    // Made at boot, for good: the heap takes nothing back.
    let equipment = Box::leak(Box::new(Equipment {
        endpoint: endpoint.cast(),
        notification,
        ipc_buffer: buffer.cast(),
        top: maker.top,
        layout: *maker.layout,
    }));
    let mut context = UserContext::default();
    *context.pc_mut() = run as usize as Word;
    // As a call leaves it: a multiple of 16, less what would be the address to return to.
    *context.sp_mut() = (room.stack.get().expose_provenance() + STACK_BYTES - 8) as Word;
    *context.c_param_mut(0) = (&raw const *equipment).expose_provenance() as Word;
    tcb.tcb_write_all_registers(true, &mut context)?;
    Ok(Handle {
        tcb,
        notification,
        waits: true,
    })
}

/// The server's endpoint, with a badge.
fn mint_endpoint(
    maker: &mut Maker<'_>,
    endpoint: &AbsoluteCPtr,
    badge: Badge,
) -> Result<CPtr, BootError> {
    let number = maker.take_slot()?;
    // As for clients: a call needs Grant to take the kernel's fast path, and a fault to be answered at all.
    let rights = CapRightsBuilder::none().write(true).grant(true).build();
    maker.path(number).mint(endpoint, rights, badge.pack())?;
    Ok(maker.cptr(number))
}

/// The frame that holds an address of the root task's image.
fn image_frame(bootinfo: &BootInfoPtr, address: usize) -> cap::Granule {
    unsafe extern "C" {
        static __executable_start: u8;
    }
    let image = (&raw const __executable_start).addr();
    let frames = bootinfo.user_image_frames();
    frames.index((address - image) / PAGE_SIZE).cap().cast()
}
