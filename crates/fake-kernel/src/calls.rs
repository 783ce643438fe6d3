// SPDX-License-Identifier: BSD-2-Clause
//! The calls of the server's `Kernel` trait, by the kernel's rules.

use crate::capability::{FrameUse, Kind, size_bits};
use crate::failure::code;
use crate::inside::Inside;
use crate::memory::Writer;
use crate::{FakeKernel, LEDGER_ENTRIES, LEDGER_FRAMES};
use kmalloc_bucket::ledger::Entry;
use kmalloc_events::{Event, FRAME_BYTES_MAX};
use kmalloc_server::kernel::{
    ClientIndex, ClientObject, Kernel, Mapping, Object, Refused, Slot, Table, ThreadIndex,
    ThreadStart, Worker,
};
use kmalloc_server::physical::Page;

impl Kernel for FakeKernel {
    fn retype(
        &mut self,
        untyped: Slot,
        object: Object,
        first: Slot,
        count: usize,
    ) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("retype")?;
        self.make_objects(untyped, object, first, count)
    }

    fn size_bits(&self, object: Object) -> u32 {
        size_bits(object, self.rules.release)
    }

    fn copy(&mut self, frame: Slot, to: Slot) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("copy")?;
        self.copy_frame(frame, to)
    }

    fn delete(&mut self, slot: Slot) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin_taking();
        let has_children = matches!(
            self.capability(slot).map(|object| &object.kind),
            Some(Kind::Untyped { children, .. }) if !children.is_empty()
        );
        self.demand(!has_children, || {
            format!("{slot:?} is deleted while objects made of it are alive")
        });
        self.destroy(slot);
        Ok(())
    }

    fn revoke(&mut self, slot: Slot) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin_taking();
        self.destroy_below(slot);
        Ok(())
    }

    fn map_page(
        &mut self,
        frame: Slot,
        vspace: Page,
        address: usize,
        how: Mapping,
    ) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("map_page")?;
        self.map_frame(frame, vspace, address, how)
    }

    fn unmap_page(&mut self, frame: Slot) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin_taking();
        self.unmap_frame(frame)
    }

    fn map_table(
        &mut self,
        table: Page,
        level: Table,
        vspace: Page,
        address: usize,
    ) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("map_table")?;
        self.hook_table(table, level, vspace, address)
    }

    fn unmap_page_table(&mut self, table: Page) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin_taking();
        self.unmap_table(table)
    }

    fn assign_asid(&mut self, vspace: Page) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("assign_asid")?;
        self.make_space(vspace)
    }

    fn copy_page(&mut self, from: Page, to: Page) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("copy_page")?;
        let source = self.unmapped_frame("copy_page", from)?;
        if from == to {
            return self.refuse_second_window(to);
        }
        let place = self.unmapped_frame("copy_page", to)?;
        self.memory.copy(source, place);
        Ok(())
    }

    fn scrub(&mut self, frame: Page) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("scrub")?;
        let address = self.unmapped_frame("scrub", frame)?;
        self.memory.zero(address, 1 << 12);
        self.zeroed_max = self.zeroed_max.max(1 << 12);
        Ok(())
    }

    fn write_page(&mut self, frame: Page, offset: usize, data: &[u8]) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("write_page")?;
        assert!(
            offset + data.len() <= 4096,
            "a write crosses the end of {frame:?}"
        );
        let address = self.unmapped_frame("write_page", frame)?;
        self.memory
            .write(address + offset as u64, Writer::Image, data);
        Ok(())
    }

    fn push_ledger(&mut self, segment: u32, frame: Page) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("push_ledger")?;
        let is_complete = self
            .ledgers
            .get(&segment)
            .is_some_and(|ledger| ledger.frames.len() == LEDGER_FRAMES);
        self.demand(!is_complete, || {
            format!("the ledger of segment {segment} is complete")
        });
        if is_complete {
            let reason = format!("the ledger of segment {segment} is complete");
            return self.refuse("push_ledger", code::RANGE_ERROR, reason);
        }
        let address = self.unmapped_frame("push_ledger", frame)?;
        assert!(
            self.memory.is_zero(address),
            "{frame:?} becomes entries of a ledger and is not zero"
        );
        let ledger = self.ledgers.entry(segment).or_default();
        ledger.frames.push(frame);
        ledger
            .entries
            .resize(ledger.frames.len() * LEDGER_ENTRIES, Entry::default());
        self.set_usage(Slot::Page(frame), FrameUse::Ledger { segment });
        Ok(())
    }

    fn pop_ledger(&mut self, segment: u32, frame: Page) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin_taking();
        let ledger = self.ledgers.get_mut(&segment);
        let popped = ledger.and_then(|ledger| {
            let frame = ledger.frames.pop()?;
            ledger
                .entries
                .truncate(ledger.frames.len() * LEDGER_ENTRIES);
            Some((frame, ledger.frames.is_empty()))
        });
        let Some((last, is_empty)) = popped else {
            panic!("segment {segment} has no ledger");
        };
        assert_eq!(last, frame, "not the last frame of segment {segment}");
        if is_empty {
            self.ledgers.remove(&segment);
        }
        // Whatever the entries said: nobody may count on zeros.
        if let Some(address) = self
            .capability(Slot::Page(frame))
            .map(|frame| frame.address)
        {
            self.memory.fill(address, Writer::Ledger, u64::MAX);
        }
        self.set_usage(Slot::Page(frame), FrameUse::Unmapped);
        Ok(())
    }

    fn ledger(&mut self, segment: u32) -> &mut [Entry] {
        let _inside = Inside::enter();
        match self.ledgers.get_mut(&segment) {
            Some(ledger) => &mut ledger.entries,
            None => &mut [],
        }
    }

    fn start_thread(&mut self, start: &ThreadStart) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("start_thread")?;
        for which in [
            ClientObject::Tcb(start.thread),
            ClientObject::CNode,
            ClientObject::Notification,
            ClientObject::Parking,
        ] {
            assert!(
                self.capability(Slot::Client(start.client, which)).is_some(),
                "{:?} starts without its {which:?}",
                start.client
            );
        }
        let buffer = self.translate(start.vspace, start.ipc_buffer_address);
        let expected = self.address_of(start.ipc_buffer);
        assert!(
            buffer.is_some_and(|(place, how)| place == expected && how.writable),
            "the IPC buffer of {:?} is not mapped",
            start.client
        );
        let shares = self
            .threads(start.client)
            .find(|other| other.ipc_buffer == start.ipc_buffer);
        assert_eq!(shares, None, "two threads with one IPC buffer");
        let old = self.threads.insert((start.client, start.thread), *start);
        assert_eq!(old, None, "{:?} runs already", start.client);
        Ok(())
    }

    fn stop_threads(&mut self, client: ClientIndex, count: u8) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin_taking();
        for thread in (0..count).map(ThreadIndex) {
            let tcb = Slot::Client(client, ClientObject::Tcb(thread));
            assert!(self.capability(tcb).is_some(), "{tcb:?} is to be stopped");
            // Stopping a thread that does not run is no error to the kernel.
            self.threads.remove(&(client, thread));
        }
        Ok(())
    }

    fn wake(&mut self, worker: Worker) {
        let _inside = Inside::enter();
        self.woken.insert(worker);
    }

    fn hurry_cleaner(&mut self, hurried: bool) {
        self.hurried = hurried;
    }

    fn signal(&mut self, client: ClientIndex) {
        let _inside = Inside::enter();
        let notification = Slot::Client(client, ClientObject::Notification);
        assert!(
            self.capability(notification).is_some(),
            "{client:?} is signalled and has no notification"
        );
        self.signals.push(client);
    }

    fn trace(&mut self, event: &Event<'_>) {
        let _inside = Inside::enter();
        let mut frame = [0; FRAME_BYTES_MAX];
        let record = kmalloc_events::Record {
            ticks: 0,
            event: *event,
        };
        let frame = kmalloc_events::encode(&record, &mut frame);
        self.traced.push(frame.expect("a record fits").to_vec());
    }

    fn now_us(&mut self) -> Result<u64, Refused> {
        let _inside = Inside::enter();
        self.begin("now_us")?;
        Ok(self.clock.now_us)
    }

    fn set_alarm(&mut self, due_us: u64) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("set_alarm")?;
        self.clock.alarm_us = Some(due_us);
        Ok(())
    }

    fn clear_alarm(&mut self) {
        self.clock.alarm_us = None;
    }
}
