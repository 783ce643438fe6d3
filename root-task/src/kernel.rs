// SPDX-License-Identifier: BSD-2-Clause
//! The server's [`Kernel`] on seL4: every operation is one invocation on a slot known by arithmetic.

mod objects;
mod operations;

pub use objects::{blueprint, refused};

use crate::cspace::Layout;
use crate::devices::Devices;
use crate::trace::Channel;
use crate::windows::SCRATCH_WINDOW;
use crate::worker::Workers;
use alloc::vec;
use alloc::vec::Vec;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_manifest::Client;
use kmalloc_server::kernel::{Kernel, Object, Refused, Slot};
use kmalloc_server::physical::Page;
use kmalloc_server::segments::LEDGER_FRAMES;
use sel4::{AbsoluteCPtr, BootInfoPtr, CPtr, CapRights, ObjectBlueprint, cap};

/// log2 of the slots of a client's CNode.
pub const CLIENT_CNODE_BITS: usize = 6;

/// seL4, as the server uses it.
pub struct Sel4 {
    pub(crate) layout: Layout,
    /// The CNode of the root task's CSpace, without a guard.
    top: cap::CNode,
    /// The endpoint that the server receives on.
    pub(crate) endpoint: AbsoluteCPtr,
    /// How many frames the ledger of each segment has.
    ledger_frames: Vec<u8>,
    /// Whether a frame is mapped for each 64 entries, in the order of segments.
    ledger_mapped: Vec<bool>,
    /// Has what gives threads time, on kernels that ask for it.
    pub(crate) bootinfo: BootInfoPtr,
    /// The threads beside this one.
    pub(crate) workers: Workers,
    /// The alarm clock, and what drivers are given.
    pub(crate) devices: Devices,
    /// When the server wants to be called, and when a client is to be started again, in microseconds since boot.
    alarms_us: [Option<u64>; 2],
    /// Endpoints between clients, by number.
    links: Vec<AbsoluteCPtr>,
    /// Those that the client receives on and calls that is built now.
    pub(crate) connection: Connection,
    /// Where traces go.
    pub(crate) channel: Option<Channel>,
}

/// The endpoints between clients that one of them has.
#[derive(Clone, Copy, Default)]
pub struct Connection {
    /// The one that it receives on.
    pub serves: Option<AbsoluteCPtr>,
    /// The one that it calls.
    pub calls: Option<AbsoluteCPtr>,
}

impl Sel4 {
    /// The kernel, with the CNode of `layout` in place.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a thing of its own, made by boot and used nowhere else"
    )]
    pub fn new(
        layout: Layout,
        top: cap::CNode,
        endpoint: AbsoluteCPtr,
        segments: usize,
        bootinfo: BootInfoPtr,
        links: Vec<AbsoluteCPtr>,
        devices: Devices,
        workers: Workers,
    ) -> Sel4 {
        Sel4 {
            layout,
            top,
            endpoint,
            ledger_frames: vec![0; segments],
            ledger_mapped: vec![false; segments * LEDGER_FRAMES],
            bootinfo,
            devices,
            workers,
            alarms_us: [None; 2],
            links,
            connection: Connection::default(),
            channel: None,
        }
    }

    /// The client that is built next has the endpoints that its manifest entry names.
    pub fn connect_next(&mut self, entry: &Client<'_>) {
        let link = |number: Option<u8>| self.links.get(usize::from(number?)).copied();
        self.connection = Connection {
            serves: link(entry.serves),
            calls: link(entry.calls),
        };
    }

    /// When the next client is to be started again.
    pub fn set_restart_alarm(&mut self, due_us: Option<u64>) {
        self.alarms_us[1] = due_us;
        // A clock that fails has said so where it was first asked.
        let _ = self.arm();
    }

    fn arm(&mut self) -> sel4::Result<()> {
        match self.alarms_us.into_iter().flatten().min() {
            Some(due_us) => self.devices.timer.alarm_at(due_us),
            None => {
                self.devices.timer.clear();
                Ok(())
            }
        }
    }

    /// The address of a slot.
    #[inline]
    pub(crate) fn cptr(&self, slot: Slot) -> CPtr {
        self.layout.cptr(slot)
    }

    /// Makes objects of an untyped that has no slot of its own in the row.
    pub(crate) fn retype_from(
        &mut self,
        untyped: cap::Untyped,
        object: Object,
        first: Slot,
        count: usize,
    ) -> Result<(), Refused> {
        let first = self.layout.number(first);
        self.retype_at(untyped, &blueprint(object), first, count)
    }

    /// Makes objects in the slots from this number on.
    pub(crate) fn retype_at(
        &mut self,
        untyped: cap::Untyped,
        blueprint: &ObjectBlueprint,
        first: usize,
        count: usize,
    ) -> Result<(), Refused> {
        let cnode = self.top.absolute_cptr_for_self();
        untyped
            .untyped_retype(blueprint, &cnode, first, count)
            .map_err(refused)
    }

    /// Stops the threads beside this one for good. Nothing is left in the scratch slot.
    pub(crate) fn stop_workers(&mut self) -> Result<(), Refused> {
        self.workers.stop().map_err(refused)?;
        self.delete(Slot::Scratch)
    }

    /// Makes one object of a whole untyped, and deletes it again.
    pub(crate) fn retype_whole(
        &mut self,
        untyped: cap::Untyped,
        object: Object,
    ) -> Result<(), Refused> {
        self.retype_from(untyped, object, Slot::Scratch, 1)?;
        self.delete(Slot::Scratch)
    }

    /// The path of a slot.
    pub(crate) fn path(&self, slot: Slot) -> AbsoluteCPtr {
        self.layout.path(self.top, self.layout.number(slot))
    }

    /// An address space.
    pub(crate) fn vspace(&self, page: Page) -> cap::VSpace {
        self.cptr(Slot::Page(page)).cast()
    }

    /// A frame of 4 KiB.
    pub(crate) fn frame(&self, page: Page) -> cap::Granule {
        self.cptr(Slot::Page(page)).cast()
    }

    /// Maps a frame into the scratch window while `work` runs over its bytes.
    fn with_frame(
        &mut self,
        page: Page,
        work: impl FnOnce(&mut [u8; PAGE_SIZE]),
    ) -> Result<(), Refused> {
        let frame = self.frame(page);
        let here = sel4::init_thread::slot::VSPACE.cap();
        frame
            .frame_map(
                here,
                SCRATCH_WINDOW,
                CapRights::read_write(),
                sel4::VmAttributes::default(),
            )
            .map_err(refused)?;
        // SAFETY: the frame was mapped there just now, writable; nothing else is ever at that address, and the frame is
        // mapped nowhere else, so nobody else writes to it.
        work(unsafe {
            &mut *core::ptr::with_exposed_provenance_mut::<[u8; PAGE_SIZE]>(SCRATCH_WINDOW)
        });
        frame.frame_unmap().map_err(refused)
    }
}
