// SPDX-License-Identifier: BSD-2-Clause
//! The calls of the server's `Kernel` trait, by the kernel's rules.

use crate::capability::{Capability, FrameUse, Kind, size_bits};
use crate::failure::code;
use crate::memory::Writer;
use crate::objects::consecutive;
use crate::space::{Space, USER_END};
use crate::{ASID_POOL_SIZE, FakeKernel, LEDGER_ENTRIES, LEDGER_FRAMES, RETYPE_MAX};
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
        self.failures.step("retype")?;
        if count == 0 || count > RETYPE_MAX {
            return self.refuse("retype", code::RANGE_ERROR, format!("{count} objects"));
        }
        let slots = consecutive(first, count);
        if let Some(slot) = slots.iter().find(|slot| self.capability(**slot).is_some()) {
            return self.refuse(
                "retype",
                code::DELETE_FIRST,
                format!("{slot:?} is occupied"),
            );
        }
        let Some(Capability {
            address,
            kind:
                Kind::Untyped {
                    size_bits: whole_bits,
                    watermark,
                    children,
                },
            ..
        }) = self.capability(untyped).cloned()
        else {
            let reason = format!("{untyped:?} is no untyped");
            return self.refuse("retype", code::INVALID_CAPABILITY, reason);
        };
        let bits = size_bits(object);
        // Only an untyped without children begins anew.
        let used = if children.is_empty() { 0 } else { watermark };
        let start = used.next_multiple_of(1 << bits);
        let end = start + ((count as u64) << bits);
        if end > 1 << whole_bits {
            let reason = format!("{count} of {object:?} at {start:#x} of {untyped:?}");
            return self.refuse("retype", code::NOT_ENOUGH_MEMORY, reason);
        }
        if children.is_empty() {
            self.reset(address, watermark);
        }
        self.set_watermark(untyped, end);
        for (index, slot) in slots.into_iter().enumerate() {
            let place = address + start + ((index as u64) << bits);
            self.check_place(slot, place);
            self.capabilities
                .insert(slot, Capability::new(Some(untyped), place, object));
        }
        Ok(())
    }

    fn size_bits(&self, object: Object) -> u32 {
        size_bits(object)
    }

    fn copy(&mut self, frame: Slot, to: Slot) -> Result<(), Refused> {
        self.failures.step("copy")?;
        if self.capability(to).is_some() {
            return self.refuse("copy", code::DELETE_FIRST, format!("{to:?} is occupied"));
        }
        let Some(Capability {
            address,
            original: None,
            kind: Kind::Frame { size_bits, .. },
            ..
        }) = self.capability(frame).cloned()
        else {
            let reason = format!("{frame:?} is no frame");
            return self.refuse("copy", code::INVALID_CAPABILITY, reason);
        };
        let kind = Kind::Frame {
            size_bits,
            usage: FrameUse::Unmapped,
            copies: 0,
        };
        let copy = Capability {
            parent: None,
            original: Some(frame),
            address,
            kind,
        };
        self.capabilities.insert(to, copy);
        Ok(())
    }

    fn delete(&mut self, slot: Slot) -> Result<(), Refused> {
        if let Some(Capability {
            kind: Kind::Untyped { children, .. },
            ..
        }) = self.capability(slot)
        {
            assert!(
                children.is_empty(),
                "{slot:?} is deleted while objects made of it are alive"
            );
        }
        self.destroy(slot);
        Ok(())
    }

    fn revoke(&mut self, slot: Slot) -> Result<(), Refused> {
        while let Some(Capability {
            kind: Kind::Untyped { children, .. },
            ..
        }) = self.capability(slot)
        {
            let Some(&child) = children.last() else {
                break;
            };
            self.revoke(child)?;
            self.destroy(child);
        }
        Ok(())
    }

    fn map_page(
        &mut self,
        frame: Slot,
        vspace: Page,
        address: usize,
        how: Mapping,
    ) -> Result<(), Refused> {
        self.failures.step("map_page")?;
        let Some(Capability {
            address: place,
            kind:
                Kind::Frame {
                    size_bits,
                    usage,
                    copies,
                },
            ..
        }) = self.capability(frame).cloned()
        else {
            let reason = format!("{frame:?} is no frame");
            return self.refuse("map_page", code::INVALID_CAPABILITY, reason);
        };
        if usage != FrameUse::Unmapped {
            let reason = format!("{frame:?} is mapped: {usage:?}");
            return self.refuse("map_page", code::INVALID_CAPABILITY, reason);
        }
        if !address.is_multiple_of(1 << size_bits) {
            let reason = format!("{frame:?} at {address:#x}");
            return self.refuse("map_page", code::ALIGNMENT_ERROR, reason);
        }
        if address >= USER_END {
            let reason = format!("{address:#x} is the kernel's");
            return self.refuse("map_page", code::INVALID_ARGUMENT, reason);
        }
        let original = self.capability(frame).and_then(|copy| copy.original);
        assert!(
            original.is_none_or(|original| !self.is_mapped(original)),
            "{original:?} is shared while one has it alone"
        );
        let Some(space) = self.spaces.get_mut(&vspace) else {
            let reason = format!("{vspace:?} is no address space");
            return self.refuse("map_page", code::INVALID_CAPABILITY, reason);
        };
        let missing = match frame {
            Slot::LargeFrame(_) => space.missing_above(Table::PageTable, address),
            _ => space.missing_above_page(address),
        };
        if let Some(missing) = missing {
            let reason = format!("no {missing:?} over {address:#x}");
            return self.refuse("map_page", code::FAILED_LOOKUP, reason);
        }
        // Newer kernels overwrite the old entry without a word.
        assert!(
            !space.is_mapped_in(address..address + (1 << size_bits))
                && space.large_at(address).is_none(),
            "{frame:?} is mapped over what is at {address:#x}"
        );
        match frame {
            Slot::LargeFrame(large) => {
                assert!(
                    !space.has_table(Table::PageTable, address),
                    "{frame:?} is mapped over the page table at {address:#x}"
                );
                space.insert_large(address, large);
            }
            Slot::Page(_) | Slot::Copy(_) => space.insert_page(address, frame),
            Slot::Device(number) => space.insert_device(address, number),
            _ => unreachable!("frames lie in slots of frames"),
        }
        assert_eq!(copies, 0, "{frame:?} is shared and mapped for one client");
        let reader = match frame {
            Slot::Copy(_) => Writer::Shared,
            _ => Writer::Space(space.identity),
        };
        // What a device shows is nobody's writing.
        if !matches!(frame, Slot::Device(_)) {
            self.memory.hand_over(place, size_bits, reader);
        }
        self.set_usage(
            frame,
            FrameUse::Client {
                space: vspace,
                address,
                how,
            },
        );
        Ok(())
    }

    fn unmap_page(&mut self, frame: Slot) -> Result<(), Refused> {
        match self.capability(frame).map(|frame| &frame.kind) {
            // To unmap what is not mapped is no error to a kernel, but one of them never answers it: the server must not.
            Some(Kind::Frame { usage, copies, .. }) => {
                assert!(
                    matches!(usage, FrameUse::Client { .. } | FrameUse::Function { .. }),
                    "{frame:?} is to be unmapped from a client or function, and is {usage:?}"
                );
                assert_eq!(*copies, 0, "{frame:?} goes while a function reaches it");
            }
            other => panic!("{frame:?} to be unmapped is no frame but {other:?}"),
        }
        self.forget_mapping(frame);
        Ok(())
    }

    fn map_table(
        &mut self,
        table: Page,
        level: Table,
        vspace: Page,
        address: usize,
    ) -> Result<(), Refused> {
        self.failures.step("map_table")?;
        let is_hooked = |(space, at): (Page, usize)| {
            self.spaces
                .get(&space)
                .is_some_and(|space| space.has_exactly(level, at, table))
        };
        match self.capability(Slot::Page(table)).map(|table| &table.kind) {
            Some(Kind::Table {
                level: found,
                place,
            }) if *found == level && level != Table::VSpace && !place.is_some_and(is_hooked) => {}
            other => {
                let reason = format!("{table:?} for a {level:?} is {other:?}");
                return self.refuse("map_table", code::INVALID_CAPABILITY, reason);
            }
        }
        let Some(space) = self.spaces.get_mut(&vspace) else {
            let reason = format!("{vspace:?} is no address space");
            return self.refuse("map_table", code::INVALID_CAPABILITY, reason);
        };
        if let Some(missing) = space.missing_above(level, address) {
            let reason = format!("no {missing:?} over {address:#x}");
            return self.refuse("map_table", code::FAILED_LOOKUP, reason);
        }
        if space.has_table(level, address)
            || (level == Table::PageTable && space.large_at(address).is_some())
        {
            let reason = format!("a {level:?} at {address:#x} has no room");
            return self.refuse("map_table", code::DELETE_FIRST, reason);
        }
        space.insert_table(level, address, table);
        self.set_table_place(table, (vspace, address));
        Ok(())
    }

    fn unmap_page_table(&mut self, table: Page) -> Result<(), Refused> {
        match self.capability(Slot::Page(table)).map(|table| &table.kind) {
            Some(Kind::Table {
                level: Table::PageTable,
                ..
            }) => self.unhook_table(table),
            other => panic!("{table:?} to be unmapped is no page table but {other:?}"),
        }
        Ok(())
    }

    fn assign_asid(&mut self, vspace: Page) -> Result<(), Refused> {
        self.failures.step("assign_asid")?;
        match self.capability(Slot::Page(vspace)).map(|root| &root.kind) {
            Some(Kind::Table {
                level: Table::VSpace,
                ..
            }) if !self.spaces.contains_key(&vspace) => {}
            other => {
                let reason = format!("{vspace:?} is {other:?}");
                return self.refuse("assign_asid", code::INVALID_CAPABILITY, reason);
            }
        }
        if self.spaces.len() == ASID_POOL_SIZE {
            let reason = "the pool is used up".to_string();
            return self.refuse("assign_asid", code::DELETE_FIRST, reason);
        }
        self.identities += 1;
        self.spaces.insert(vspace, Space::new(self.identities));
        Ok(())
    }

    fn copy_page(&mut self, from: Page, to: Page) -> Result<(), Refused> {
        self.failures.step("copy_page")?;
        let from = self.unmapped_frame("copy_page", from);
        let to = self.unmapped_frame("copy_page", to);
        self.memory.copy(from, to);
        Ok(())
    }

    fn scrub(&mut self, frame: Page) -> Result<(), Refused> {
        self.failures.step("scrub")?;
        let address = self.unmapped_frame("scrub", frame);
        self.memory.zero(address, 1 << 12);
        self.zeroed_max = self.zeroed_max.max(1 << 12);
        Ok(())
    }

    fn write_page(&mut self, frame: Page, offset: usize, data: &[u8]) -> Result<(), Refused> {
        self.failures.step("write_page")?;
        assert!(
            offset + data.len() <= 4096,
            "a write crosses the end of {frame:?}"
        );
        let address = self.unmapped_frame("write_page", frame);
        self.memory
            .write(address + offset as u64, Writer::Image, data);
        Ok(())
    }

    fn push_ledger(&mut self, segment: u32, frame: Page) -> Result<(), Refused> {
        self.failures.step("push_ledger")?;
        let address = self.unmapped_frame("push_ledger", frame);
        assert!(
            self.memory.is_zero(address),
            "{frame:?} becomes entries of a ledger and is not zero"
        );
        let ledger = self.ledgers.entry(segment).or_default();
        assert!(
            ledger.frames.len() < LEDGER_FRAMES,
            "the ledger of segment {segment} is complete"
        );
        ledger.frames.push(frame);
        ledger
            .entries
            .resize(ledger.frames.len() * LEDGER_ENTRIES, Entry::default());
        self.set_usage(Slot::Page(frame), FrameUse::Ledger { segment });
        Ok(())
    }

    fn pop_ledger(&mut self, segment: u32, frame: Page) -> Result<(), Refused> {
        let address = self.address_of(frame);
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
        self.memory.fill(address, Writer::Ledger, u64::MAX);
        self.set_usage(Slot::Page(frame), FrameUse::Unmapped);
        Ok(())
    }

    fn ledger(&mut self, segment: u32) -> &mut [Entry] {
        match self.ledgers.get_mut(&segment) {
            Some(ledger) => &mut ledger.entries,
            None => &mut [],
        }
    }

    fn start_thread(&mut self, start: &ThreadStart) -> Result<(), Refused> {
        self.failures.step("start_thread")?;
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
        for thread in (0..count).map(ThreadIndex) {
            let tcb = Slot::Client(client, ClientObject::Tcb(thread));
            assert!(self.capability(tcb).is_some(), "{tcb:?} is to be stopped");
            // Stopping a thread that does not run is no error to the kernel.
            self.threads.remove(&(client, thread));
        }
        Ok(())
    }

    fn wake(&mut self, worker: Worker) {
        self.woken.insert(worker);
    }

    fn hurry_cleaner(&mut self, hurried: bool) {
        self.hurried = hurried;
    }

    fn signal(&mut self, client: ClientIndex) {
        let notification = Slot::Client(client, ClientObject::Notification);
        assert!(
            self.capability(notification).is_some(),
            "{client:?} is signalled and has no notification"
        );
        self.signals.push(client);
    }

    fn trace(&mut self, event: &Event<'_>) {
        let mut frame = [0; FRAME_BYTES_MAX];
        let record = kmalloc_events::Record {
            ticks: 0,
            event: *event,
        };
        let frame = kmalloc_events::encode(&record, &mut frame);
        self.traced.push(frame.expect("a record fits").to_vec());
    }

    fn now_us(&mut self) -> Result<u64, Refused> {
        self.failures.step("now_us")?;
        Ok(self.clock.now_us)
    }

    fn set_alarm(&mut self, due_us: u64) -> Result<(), Refused> {
        self.failures.step("set_alarm")?;
        self.clock.alarm_us = Some(due_us);
        Ok(())
    }

    fn clear_alarm(&mut self) {
        self.clock.alarm_us = None;
    }
}
