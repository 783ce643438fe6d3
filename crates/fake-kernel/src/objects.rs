// SPDX-License-Identifier: BSD-2-Clause
//! What the calls are made of: changing objects, destroying them, refusing.

use crate::capability::{Capability, FrameUse, Kind};
use crate::failure::Refusal;
use crate::space::reach;
use crate::{FakeKernel, RESET_GRANULE};
use kmalloc_server::kernel::{ClientObject, Refused, Slot, Table};
use kmalloc_server::physical::{Chunk, Page};

impl FakeKernel {
    /// Refuses as the kernel would, and keeps a note of it.
    pub(crate) fn refuse(
        &mut self,
        call: &'static str,
        code: u32,
        reason: String,
    ) -> Result<(), Refused> {
        self.refusals.push(Refusal { call, code, reason });
        Err(Refused { code })
    }

    /// The books name memory by its number: an object must lie where its slot says.
    pub(crate) fn check_place(&self, slot: Slot, address: u64) {
        let expected = match slot {
            Slot::Page(page) => page,
            Slot::Chunk(chunk) => chunk.first_page(),
            Slot::LargeFrame(large) => large.first_chunk().first_page(),
            Slot::Large(_) | Slot::Client(..) | Slot::Scratch | Slot::Copy(_) | Slot::Device(_) => {
                return;
            }
        };
        assert_eq!(
            self.address_of(expected),
            address,
            "{slot:?} is made at another place than its number says"
        );
    }

    /// Begins an untyped without children anew: the kernel zeroes what was used of it, in granules.
    pub(crate) fn reset(&mut self, address: u64, watermark: u64) {
        self.memory.zero(address, watermark);
        let zeroed = watermark.next_multiple_of(RESET_GRANULE);
        self.zeroed_max = self.zeroed_max.max(zeroed);
    }

    pub(crate) fn set_watermark(&mut self, slot: Slot, end: u64) {
        if let Some(Kind::Untyped { watermark, .. }) = self.kind_mut(slot) {
            *watermark = end;
        }
    }

    pub(crate) fn set_usage(&mut self, slot: Slot, used: FrameUse) {
        if let Some(Kind::Frame { usage, .. }) = self.kind_mut(slot) {
            *usage = used;
        }
    }

    pub(crate) fn set_table_place(&mut self, table: Page, at: (Page, usize)) {
        if let Some(Kind::Table { place, .. }) = self.kind_mut(Slot::Page(table)) {
            *place = Some(at);
        }
    }

    fn kind_mut(&mut self, slot: Slot) -> Option<&mut Kind> {
        self.capabilities
            .get_mut(slot)
            .map(|capability| &mut capability.kind)
    }

    /// The address of a frame of 4 KiB that is mapped nowhere, and by nobody's copy either.
    ///
    /// # Panics
    /// When it is none.
    pub(crate) fn unmapped_frame(&self, call: &str, frame: Page) -> u64 {
        match self.capability(Slot::Page(frame)) {
            Some(Capability {
                address,
                kind:
                    Kind::Frame {
                        size_bits: 12,
                        usage: FrameUse::Unmapped,
                        copies: 0,
                    },
                ..
            }) => *address,
            other => panic!("{call}: {frame:?} is no unmapped frame but {other:?}"),
        }
    }

    /// Takes a frame out of the address space that it is mapped in, if it is.
    pub(crate) fn forget_mapping(&mut self, slot: Slot) {
        self.forget_reach(slot);
        let Some(Kind::Frame {
            usage: FrameUse::Client { space, address, .. },
            ..
        }) = self.capability(slot).map(|frame| frame.kind.clone())
        else {
            return;
        };
        if let Some(space) = self.spaces.get_mut(&space) {
            match slot {
                Slot::LargeFrame(_) => space.remove_large(address),
                Slot::Device(_) => space.remove_device(address),
                _ => space.remove_page(address),
            }
        }
        self.set_usage(slot, FrameUse::Unmapped);
    }

    /// Takes a table out of its address space.
    ///
    /// # Panics
    /// When a frame is still mapped through it: the kernel would drop that mapping, and the server not know.
    pub(crate) fn unhook_table(&mut self, table: Page) {
        let Some(Kind::Table {
            level,
            place: Some((space, address)),
        }) = self
            .capability(Slot::Page(table))
            .map(|table| table.kind.clone())
        else {
            return;
        };
        let Some(tables) = self.spaces.get_mut(&space) else {
            return;
        };
        if !tables.has_exactly(level, address, table) {
            return;
        }
        assert!(
            !tables.is_mapped_in(reach(level, address)),
            "{table:?}, a {level:?} over {address:#x}, goes while frames are mapped through it"
        );
        tables.remove_table(level, address);
    }

    /// Empties a slot as the kernel does: what the object was part of lets go of it.
    pub(crate) fn destroy(&mut self, slot: Slot) {
        match self.capability(slot).map(|object| object.kind.clone()) {
            None | Some(Kind::Untyped { .. }) => {}
            Some(Kind::Frame {
                usage: FrameUse::Ledger { segment },
                ..
            }) => panic!("{slot:?} goes while it is part of the ledger of segment {segment}"),
            Some(Kind::Frame { usage, copies, .. }) => {
                // Release 5.0.0 leaves the mapping where it is.
                assert!(
                    !matches!(slot, Slot::Copy(_)) || usage == FrameUse::Unmapped,
                    "{slot:?} goes while the frame is mapped by it"
                );
                assert_eq!(copies, 0, "{slot:?} goes while it is shared");
                self.forget_mapping(slot);
            }
            Some(Kind::Table { level, .. }) => {
                if let Slot::Page(page) = slot {
                    self.destroy_table(page, level);
                }
            }
            Some(Kind::IoTable { hooked }) => assert!(
                !hooked,
                "{slot:?} goes while it is part of a function's address space"
            ),
            Some(Kind::Client(which)) => {
                if let (Slot::Client(client, _), ClientObject::Tcb(thread)) = (slot, which) {
                    self.threads.remove(&(client, thread));
                }
            }
        }
        self.capabilities.remove(slot);
    }

    fn destroy_table(&mut self, page: Page, level: Table) {
        if level != Table::VSpace {
            self.unhook_table(page);
            return;
        }
        if let Some(space) = self.spaces.remove(&page) {
            assert!(
                space.pages().next().is_none()
                    && space.larges().next().is_none()
                    && space.devices().next().is_none(),
                "the address space {page:?} goes while frames are mapped in it"
            );
            assert!(
                self.threads.values().all(|thread| thread.vspace != page),
                "the address space {page:?} goes while a thread of it runs"
            );
        }
    }
}

/// The slots from `first` on.
pub(crate) fn consecutive(first: Slot, count: usize) -> Vec<Slot> {
    (0..count as u32)
        .map(|index| match first {
            Slot::Page(page) => Slot::Page(Page(page.0 + index)),
            Slot::Chunk(chunk) => Slot::Chunk(Chunk(chunk.0 + index)),
            other if count == 1 => other,
            other => panic!("{other:?} has no slot behind it"),
        })
        .collect()
}
