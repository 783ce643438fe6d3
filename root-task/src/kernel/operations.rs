// SPDX-License-Identifier: BSD-2-Clause
//! What the server asks of the kernel, each as its invocation.

use super::Sel4;
use super::objects::{attributes, blueprint, refused, rights};
use crate::cspace;
use crate::thread;
use crate::windows::{COPY_WINDOW, LEDGER_BYTES, LEDGER_WINDOW};
use core::ops::Range;
use kmalloc_bucket::ledger::Entry;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_events::Event;
use kmalloc_server::kernel::{
    ClientIndex, ClientObject, Kernel, Mapping, Object, Refused, Slot, Table, ThreadStart, Worker,
};
use kmalloc_server::physical::Page;
use kmalloc_server::segments::{LEDGER_ENTRIES, LEDGER_FRAMES};
use sel4::{CapRights, cap};

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
