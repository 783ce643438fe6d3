// SPDX-License-Identifier: BSD-2-Clause
//! The server's [`Kernel`] on seL4: every operation is one invocation on a slot known by arithmetic.

use crate::cspace::{self, Layout};
use crate::devices::Devices;
use crate::thread;
use crate::trace::Channel;
use crate::windows::{COPY_WINDOW, LEDGER_BYTES, LEDGER_WINDOW, SCRATCH_WINDOW};
use crate::worker::Workers;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use kmalloc_bucket::ledger::Entry;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_events::Event;
use kmalloc_manifest::Client;
use kmalloc_protocol::Cache;
use kmalloc_server::kernel::{
    ClientIndex, ClientObject, Kernel, Mapping, Object, Refused, Slot, Table, ThreadStart, Worker,
};
use kmalloc_server::physical::Page;
use kmalloc_server::segments::{LEDGER_ENTRIES, LEDGER_FRAMES};
use sel4::{
    AbsoluteCPtr, BootInfoPtr, CPtr, CapRights, ObjectBlueprint, ObjectBlueprintX64,
    ObjectBlueprintX86, cap,
};

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

/// The kernel's refusal, by number.
pub fn refused(error: sel4::Error) -> Refused {
    Refused {
        code: error.into_sys(),
    }
}

/// What the kernel calls an object.
pub fn blueprint(object: Object) -> ObjectBlueprint {
    match object {
        Object::Untyped(size_bits) => ObjectBlueprint::Untyped {
            size_bits: size_bits as usize,
        },
        Object::Frame => ObjectBlueprint::Arch(ObjectBlueprintX86::_4k),
        Object::LargeFrame => ObjectBlueprint::Arch(ObjectBlueprintX86::LargePage),
        Object::Table(Table::PageTable) => ObjectBlueprint::Arch(ObjectBlueprintX86::PageTable),
        Object::Table(Table::PageDirectory) => {
            ObjectBlueprint::Arch(ObjectBlueprintX86::PageDirectory)
        }
        Object::Table(Table::Pdpt) => {
            ObjectBlueprint::Arch(ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PDPT))
        }
        Object::Table(Table::VSpace) => {
            ObjectBlueprint::Arch(ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PML4))
        }
        // Asked for only where there is an IOMMU.
        Object::IoTable => sel4_extension::io_space::TABLE
            .unwrap_or(ObjectBlueprint::Arch(ObjectBlueprintX86::PageTable)),
        Object::Client(ClientObject::Tcb(_)) => ObjectBlueprint::Tcb,
        Object::Client(ClientObject::CNode) => ObjectBlueprint::CNode {
            size_bits: CLIENT_CNODE_BITS,
        },
        Object::Client(ClientObject::Notification | ClientObject::Parking) => {
            ObjectBlueprint::Notification
        }
        Object::Client(ClientObject::Reply) => {
            sel4_extension::thread::REPLY.unwrap_or(ObjectBlueprint::Endpoint)
        }
        // Asked for only where the kernel has scheduling contexts; a fault endpoint is minted and never made.
        Object::Client(ClientObject::SchedContext(_) | ClientObject::FaultEndpoint) => {
            sel4_extension::thread::SCHED_CONTEXT.unwrap_or(ObjectBlueprint::Endpoint)
        }
    }
}

/// What a client may do with a page that is mapped so.
fn rights(how: Mapping) -> CapRights {
    if how.writable {
        CapRights::read_write()
    } else {
        CapRights::read_only()
    }
}

/// The kernel's name for a cache mode. On x86 devices see the caches, so streaming memory is cached like any other.
fn attributes(cache: Cache) -> sel4::VmAttributes {
    match cache {
        Cache::Coherent | Cache::Streaming => sel4::VmAttributes::DEFAULT,
        Cache::WriteCombining => sel4_extension::WRITE_COMBINING,
        Cache::Uncached => sel4::VmAttributes::CACHE_DISABLED,
    }
}

impl Kernel for Sel4 {
    fn retype(
        &mut self,
        untyped: Slot,
        object: Object,
        first: Slot,
        count: usize,
    ) -> Result<(), Refused> {
        let untyped = self.cptr(untyped).cast();
        self.retype_from(untyped, object, first, count)
    }

    fn size_bits(&self, object: Object) -> u32 {
        blueprint(object).physical_size_bits() as u32
    }

    fn copy(&mut self, frame: Slot, to: Slot) -> Result<(), Refused> {
        self.path(to)
            .copy(&self.path(frame), CapRights::all())
            .map_err(refused)
    }

    fn delete(&mut self, slot: Slot) -> Result<(), Refused> {
        self.path(slot).delete().map_err(refused)
    }

    fn revoke(&mut self, slot: Slot) -> Result<(), Refused> {
        self.path(slot).revoke().map_err(refused)
    }

    fn map_page(
        &mut self,
        frame: Slot,
        vspace: Page,
        address: usize,
        how: Mapping,
    ) -> Result<(), Refused> {
        let frame: cap::UnspecifiedPage = self.cptr(frame).cast();
        let vspace = self.vspace(vspace);
        frame
            .frame_map(vspace, address, rights(how), attributes(how.cache))
            .map_err(refused)
    }

    fn map_pages(
        &mut self,
        frames: Range<usize>,
        vspace: Page,
        address: usize,
        how: Mapping,
    ) -> Result<(), (usize, Refused)> {
        let (vspace, rights, attributes) =
            (self.vspace(vspace), rights(how), attributes(how.cache));
        let first = self.layout.number(Slot::Page(Page(frames.start as u32)));
        // The buffer is lent once for all of them.
        sel4::with_ipc_buffer_mut(|buffer| {
            let mut address = address;
            for number in first..first + frames.len() {
                let frame: cap::UnspecifiedPage = cspace::address(number).cast();
                frame
                    .with(&mut *buffer)
                    .frame_map(vspace, address, rights.clone(), attributes)
                    .map_err(|error| (number - first, refused(error)))?;
                address += PAGE_SIZE;
            }
            Ok(())
        })
    }

    fn unmap_page(&mut self, frame: Slot) -> Result<(), Refused> {
        let frame: cap::UnspecifiedPage = self.cptr(frame).cast();
        frame.frame_unmap().map_err(refused)
    }

    fn map_table(
        &mut self,
        table: Page,
        level: Table,
        vspace: Page,
        address: usize,
    ) -> Result<(), Refused> {
        let (table, vspace) = (self.cptr(Slot::Page(table)), self.vspace(vspace));
        let how = sel4::VmAttributes::default();
        match level {
            Table::PageTable => table
                .cast::<sel4::cap_type::PageTable>()
                .page_table_map(vspace, address, how),
            Table::PageDirectory => table
                .cast::<sel4::cap_type::PageDirectory>()
                .page_directory_map(vspace, address, how),
            Table::Pdpt => table
                .cast::<sel4::cap_type::PDPT>()
                .pdpt_map(vspace, address, how),
            Table::VSpace => Err(sel4::Error::InvalidArgument),
        }
        .map_err(refused)
    }

    fn unmap_page_table(&mut self, table: Page) -> Result<(), Refused> {
        let table: cap::PageTable = self.cptr(Slot::Page(table)).cast();
        sel4_extension::page_table_unmap(table).map_err(refused)
    }

    fn assign_asid(&mut self, vspace: Page) -> Result<(), Refused> {
        let pool = sel4::init_thread::slot::ASID_POOL.cap();
        pool.asid_pool_assign(self.vspace(vspace)).map_err(refused)
    }

    fn copy_page(&mut self, from: Page, to: Page) -> Result<(), Refused> {
        let source = self.frame(from);
        let here = sel4::init_thread::slot::VSPACE.cap();
        let (rights, how) = (CapRights::read_only(), sel4::VmAttributes::default());
        source
            .frame_map(here, COPY_WINDOW, rights, how)
            .map_err(refused)?;
        // SAFETY: the frame was mapped there just now, readable; nobody else has it mapped, so nobody writes to it.
        let bytes = unsafe { &*core::ptr::with_exposed_provenance::<[u8; PAGE_SIZE]>(COPY_WINDOW) };
        let copied = self.with_frame(to, |place| place.copy_from_slice(bytes));
        source.frame_unmap().map_err(refused)?;
        copied
    }

    fn scrub(&mut self, frame: Page) -> Result<(), Refused> {
        self.with_frame(frame, |bytes| bytes.fill(0))
    }

    fn write_page(&mut self, frame: Page, offset: usize, data: &[u8]) -> Result<(), Refused> {
        self.with_frame(frame, |bytes| {
            if let Some(place) = bytes.get_mut(offset..offset + data.len()) {
                place.copy_from_slice(data);
            }
        })
    }

    fn push_ledger(&mut self, segment: u32, frame: Page) -> Result<(), Refused> {
        let out_of_range = Refused {
            code: sel4::Error::RangeError.into_sys(),
        };
        let granule = self.frame(frame);
        let count = self
            .ledger_frames
            .get_mut(segment as usize)
            .ok_or(out_of_range)?;
        if usize::from(*count) == LEDGER_FRAMES {
            return Err(out_of_range);
        }
        let address =
            LEDGER_WINDOW + segment as usize * LEDGER_BYTES + usize::from(*count) * PAGE_SIZE;
        let here = sel4::init_thread::slot::VSPACE.cap();
        granule
            .frame_map(
                here,
                address,
                CapRights::read_write(),
                sel4::VmAttributes::default(),
            )
            .map_err(refused)?;
        let place = segment as usize * LEDGER_FRAMES + usize::from(*count);
        *count += 1;
        if let Some(mapped) = self.ledger_mapped.get_mut(place) {
            *mapped = true;
        }
        Ok(())
    }

    fn pop_ledger(&mut self, segment: u32, frame: Page) -> Result<(), Refused> {
        let granule = self.frame(frame);
        if let Some(count) = self.ledger_frames.get_mut(segment as usize) {
            *count = count.saturating_sub(1);
            let place = segment as usize * LEDGER_FRAMES + usize::from(*count);
            if let Some(mapped) = self.ledger_mapped.get_mut(place) {
                *mapped = false;
            }
        }
        granule.frame_unmap().map_err(refused)
    }

    #[inline(always)]
    fn ledger(&mut self, segment: u32) -> &mut [Entry] {
        let Some(frames) = self.ledger_frames.get(segment as usize) else {
            return &mut [];
        };
        let entries = usize::from(*frames) * LEDGER_ENTRIES;
        let address = LEDGER_WINDOW + segment as usize * LEDGER_BYTES;
        // SAFETY: `frames` frames are mapped there, by `push_ledger`, and no others are counted. They were zero, which is
        // a valid entry, and nobody else has them mapped. The borrow of `self` keeps the slice the only one.
        unsafe {
            core::slice::from_raw_parts_mut(
                core::ptr::with_exposed_provenance_mut(address),
                entries,
            )
        }
    }

    #[inline(always)]
    fn entry(&mut self, number: u32) -> Option<&mut Entry> {
        if !*self.ledger_mapped.get(number as usize / LEDGER_ENTRIES)? {
            return None;
        }
        let address = LEDGER_WINDOW + number as usize * size_of::<Entry>();
        // SAFETY: the frame of this entry is mapped, by `push_ledger`: the ledgers of segments, of as many entries as a
        // segment has pages, lie one behind the other. The rest is as for `ledger`.
        Some(unsafe { &mut *core::ptr::with_exposed_provenance_mut(address) })
    }

    fn start_thread(&mut self, start: &ThreadStart) -> Result<(), Refused> {
        thread::start(self, start).map_err(refused)
    }

    fn stop_threads(&mut self, client: ClientIndex, count: u8) -> Result<(), Refused> {
        thread::stop(self, client, count).map_err(refused)
    }

    fn instruction(&mut self, client: ClientIndex) -> u64 {
        thread::instruction(self, client, 0)
    }

    fn wake(&mut self, worker: Worker) {
        self.workers.wake(worker);
    }

    fn hurry_cleaner(&mut self, hurried: bool) {
        self.workers.hurry_cleaner(hurried);
    }

    fn signal(&mut self, client: ClientIndex) {
        let notification: cap::Notification = self
            .cptr(Slot::Client(client, ClientObject::Notification))
            .cast();
        notification.signal();
    }

    fn trace(&mut self, event: &Event<'_>) {
        if let Some(channel) = &self.channel {
            channel.send(event);
        }
    }

    fn now_us(&mut self) -> Result<u64, Refused> {
        self.devices.timer.now_us().map_err(refused)
    }

    fn set_alarm(&mut self, due_us: u64) -> Result<(), Refused> {
        self.alarms_us[0] = Some(due_us);
        self.arm().map_err(refused)
    }

    fn clear_alarm(&mut self) {
        self.alarms_us[0] = None;
        let _ = self.arm();
    }
}
