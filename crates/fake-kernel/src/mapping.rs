// SPDX-License-Identifier: BSD-2-Clause
//! Mapping frames and tables, by the kernel's rules. What is wrong with a call is looked for in the kernel's own order: it
//! decides which error there is.

use crate::capability::{Capability, FrameUse, Kind};
use crate::failure::code;
use crate::memory::Writer;
use crate::space::{Mapped, Space};
use crate::{ASID_POOL_SIZE, ASIDS_TAKEN, FakeKernel, Release};
use kmalloc_server::kernel::{Mapping, Refused, Slot, Table};
use kmalloc_server::physical::Page;

impl FakeKernel {
    /// [`Kernel::map_page`](kmalloc_server::kernel::Kernel::map_page).
    pub(crate) fn map_frame(
        &mut self,
        frame: Slot,
        vspace: Page,
        address: usize,
        how: Mapping,
    ) -> Result<(), Refused> {
        const CALL: &str = "map_page";
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
            return self.refuse_invocation(CALL, frame, "frame");
        };
        let asid = self.spaces.get(&vspace).map(|space| space.asid);
        self.check_frame_use(frame, usage, vspace, address)?;
        let Some(asid) = asid else {
            let reason = format!("{vspace:?} is no address space");
            return self.refuse(CALL, code::INVALID_CAPABILITY, reason);
        };
        let end = address.saturating_add(1 << size_bits);
        if usage == FrameUse::Unmapped && end > self.rules.address_end() {
            let reason = format!("{address:#x} is the kernel's");
            return self.refuse(CALL, code::INVALID_ARGUMENT, reason);
        }
        if !address.is_multiple_of(1 << size_bits) {
            let reason = format!("{frame:?} at {address:#x}");
            return self.refuse(CALL, code::ALIGNMENT_ERROR, reason);
        }
        self.check_entry(frame, size_bits, vspace, address)?;
        self.demand(copies == 0, || {
            format!("{frame:?} is shared and mapped for one client")
        });
        let original = self.capability(frame).and_then(|copy| copy.original);
        let is_alone = original.is_some_and(|original| self.is_mapped(original));
        self.demand(!is_alone, || {
            format!("{original:?} is shared while one has it alone")
        });
        self.hand_over(frame, place, size_bits, vspace);
        let mapped = Mapped {
            slot: frame,
            place,
            size_bits,
            how,
        };
        if let Some(space) = self.spaces.get_mut(&vspace) {
            space.insert(address, mapped);
        }
        self.set_usage(
            frame,
            FrameUse::Client {
                space: vspace,
                asid,
                address,
                how,
            },
        );
        Ok(())
    }

    /// Whether a frame's capability can take a mapping there.
    fn check_frame_use(
        &mut self,
        frame: Slot,
        usage: FrameUse,
        vspace: Page,
        address: usize,
    ) -> Result<(), Refused> {
        const CALL: &str = "map_page";
        let Some(space) = self.spaces.get(&vspace) else {
            // Which of the two is wrong makes no difference to the error.
            return Ok(());
        };
        let can_again = self.rules.release != Release::Five;
        let code = match usage {
            FrameUse::Unmapped => return Ok(()),
            FrameUse::Client {
                asid, address: at, ..
            } if can_again && asid == space.asid => {
                if at == address {
                    return Ok(());
                }
                code::INVALID_ARGUMENT
            }
            _ => code::INVALID_CAPABILITY,
        };
        let reason = format!("{frame:?} is mapped: {usage:?}");
        self.refuse(CALL, code, reason)
    }

    /// Whether the tables are there, and the entry for a frame free.
    fn check_entry(
        &mut self,
        frame: Slot,
        size_bits: u32,
        vspace: Page,
        address: usize,
    ) -> Result<(), Refused> {
        const CALL: &str = "map_page";
        let Some(space) = self.spaces.get(&vspace) else {
            return Ok(());
        };
        if let Some(missing) = space.missing_above_frame(size_bits, address) {
            let reason = format!("no {missing:?} over {address:#x}");
            return self.refuse(CALL, code::FAILED_LOOKUP, reason);
        }
        let has_table = size_bits > 12 && space.has_table(Table::PageTable, address);
        let is_mapped = !has_table && space.is_mapped_in(address..address + (1 << size_bits));
        // Newer kernels overwrite the old entry without a word.
        self.demand(!is_mapped, || {
            format!("{frame:?} is mapped over what is at {address:#x}")
        });
        self.demand(!has_table, || {
            format!("{frame:?} is mapped over the page table at {address:#x}")
        });
        if has_table || is_mapped && self.rules.release == Release::Five {
            let reason = format!("{address:#x} has an entry");
            return self.refuse(CALL, code::DELETE_FIRST, reason);
        }
        Ok(())
    }

    /// Who is to see what is in a frame.
    fn hand_over(&mut self, frame: Slot, place: u64, size_bits: u32, vspace: Page) {
        let Some(space) = self.spaces.get(&vspace) else {
            return;
        };
        let reader = match frame {
            Slot::Copy(_) => Writer::Shared,
            _ => Writer::Space(space.identity),
        };
        // What a device shows is nobody's writing.
        if self.rules.server && !matches!(frame, Slot::Device(_)) {
            self.memory.hand_over(place, size_bits, reader);
        }
    }

    /// [`Kernel::unmap_page`](kmalloc_server::kernel::Kernel::unmap_page).
    pub(crate) fn unmap_frame(&mut self, frame: Slot) -> Result<(), Refused> {
        let Some(Kind::Frame { usage, copies, .. }) =
            self.capability(frame).map(|frame| &frame.kind)
        else {
            self.demand(false, || format!("{frame:?} to be unmapped is no frame"));
            return self.refuse_invocation("unmap_page", frame, "frame");
        };
        // To unmap what is not mapped is no error to a kernel, but one of them never answers it: the server must not.
        let must_be_mapped = self.rules.server || self.rules.release == Release::Five;
        assert!(
            matches!(usage, FrameUse::Client { .. } | FrameUse::Function { .. }) || !must_be_mapped,
            "{frame:?} is to be unmapped from a client or function, and is {usage:?}"
        );
        self.demand(*copies == 0, || {
            format!("{frame:?} goes while a function reaches it")
        });
        self.forget_mapping(frame);
        Ok(())
    }

    /// [`Kernel::map_table`](kmalloc_server::kernel::Kernel::map_table).
    pub(crate) fn hook_table(
        &mut self,
        table: Page,
        level: Table,
        vspace: Page,
        address: usize,
    ) -> Result<(), Refused> {
        const CALL: &str = "map_table";
        if level == Table::VSpace {
            let reason = format!("{table:?} is to be hooked in as the root");
            return self.refuse(CALL, code::INVALID_ARGUMENT, reason);
        }
        let slot = Slot::Page(table);
        let place = match self.capability(slot).map(|table| &table.kind) {
            Some(Kind::Table {
                level: found,
                place,
            }) if *found == level => *place,
            _ => return self.refuse_invocation(CALL, slot, "table of that level"),
        };
        // It stays so when what it was hooked into is gone.
        if let Some(place) = place {
            let reason = format!("{table:?} is hooked in: {place:?}");
            return self.refuse(CALL, code::INVALID_CAPABILITY, reason);
        }
        let address_end = self.rules.address_end();
        let Some(space) = self.spaces.get_mut(&vspace) else {
            let reason = format!("{vspace:?} is no address space");
            return self.refuse(CALL, code::INVALID_CAPABILITY, reason);
        };
        if crate::space::reach(level, address).start >= address_end {
            let reason = format!("{address:#x} is the kernel's");
            return self.refuse(CALL, code::INVALID_ARGUMENT, reason);
        }
        if let Some(missing) = space.missing_above(level, address) {
            let reason = format!("no {missing:?} over {address:#x}");
            return self.refuse(CALL, code::FAILED_LOOKUP, reason);
        }
        let is_large = |space: &Space| {
            let at = space.at(address);
            level == Table::PageTable && at.is_some_and(|(mapped, _)| mapped.size_bits > 12)
        };
        if space.has_table(level, address) || is_large(space) {
            let reason = format!("a {level:?} at {address:#x} has no room");
            return self.refuse(CALL, code::DELETE_FIRST, reason);
        }
        space.insert_table(level, address, table);
        self.set_table_place(table, Some((vspace, address)));
        Ok(())
    }

    /// [`Kernel::unmap_page_table`](kmalloc_server::kernel::Kernel::unmap_page_table).
    pub(crate) fn unmap_table(&mut self, table: Page) -> Result<(), Refused> {
        let slot = Slot::Page(table);
        match self.capability(slot).map(|table| &table.kind) {
            Some(Kind::Table {
                level: Table::PageTable,
                ..
            }) => {
                self.unhook_table(table);
                self.set_table_place(table, None);
                Ok(())
            }
            _ => {
                self.demand(false, || {
                    format!("{table:?} to be unmapped is no page table")
                });
                self.refuse_invocation("unmap_page_table", slot, "page table")
            }
        }
    }

    /// [`Kernel::assign_asid`](kmalloc_server::kernel::Kernel::assign_asid).
    pub(crate) fn make_space(&mut self, vspace: Page) -> Result<(), Refused> {
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
        let is_free = |asid: &u16| !self.asids.contains_key(asid);
        let Some(asid) = (ASIDS_TAKEN..ASID_POOL_SIZE as u16).find(is_free) else {
            let reason = "the pool is used up".to_string();
            return self.refuse("assign_asid", code::DELETE_FIRST, reason);
        };
        self.asids.insert(asid, vspace);
        self.identities += 1;
        self.spaces
            .insert(vspace, Space::new(self.identities, asid));
        Ok(())
    }
}
