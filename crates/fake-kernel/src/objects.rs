// SPDX-License-Identifier: BSD-2-Clause
//! What the calls are made of: changing objects, destroying them, refusing.

use crate::capability::{Capability, FrameUse, Kind};
use crate::failure::{Refusal, code};
use crate::space::reach;
use crate::{FakeKernel, RESET_GRANULE, Release};
use kmalloc_server::kernel::{ClientObject, Refused, Slot, Table};
use kmalloc_server::physical::{Chunk, Page};

impl FakeKernel {
    /// Refuses as the kernel would, and keeps a note of it.
    pub(crate) fn refuse<T>(
        &mut self,
        call: &'static str,
        code: u32,
        reason: String,
    ) -> Result<T, Refused> {
        // Without a server there is nobody to look at them.
        if self.rules.server {
            self.refusals.push(Refusal { call, code, reason });
        }
        Err(Refused { code })
    }

    /// Refuses to invoke what is not of the kind that the call is for.
    pub(crate) fn refuse_invocation<T>(
        &mut self,
        call: &'static str,
        slot: Slot,
        wanted: &str,
    ) -> Result<T, Refused> {
        let code = match self.capability(slot) {
            Some(_) => code::ILLEGAL_OPERATION,
            None => code::INVALID_CAPABILITY,
        };
        self.refuse(call, code, format!("{slot:?} is no {wanted}"))
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
        self.demand(self.address_of(expected) == address, || {
            format!("{slot:?} is made at another place than its number says")
        });
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

    pub(crate) fn set_table_place(&mut self, table: Page, at: Option<(Page, usize)>) {
        if let Some(Kind::Table { place, .. }) = self.kind_mut(Slot::Page(table)) {
            *place = at;
        }
    }

    fn kind_mut(&mut self, slot: Slot) -> Option<&mut Kind> {
        self.capabilities
            .get_mut(slot)
            .map(|capability| &mut capability.kind)
    }

    /// The address of a frame of 4 KiB that the server can map for itself: one that is mapped nowhere, and shared with nobody.
    pub(crate) fn unmapped_frame(
        &mut self,
        call: &'static str,
        frame: Page,
    ) -> Result<u64, Refused> {
        let slot = Slot::Page(frame);
        let found = self.capability(slot).cloned();
        let Some(Capability {
            address,
            kind: Kind::Frame { usage, copies, .. },
            ..
        }) = found
        else {
            self.demand(false, || {
                format!("{call}: {frame:?} is no unmapped frame but {found:?}")
            });
            return self.refuse_invocation(call, slot, "frame");
        };
        self.demand(usage == FrameUse::Unmapped && copies == 0, || {
            format!("{call}: {frame:?} is no unmapped frame but {found:?}")
        });
        let code = match usage {
            FrameUse::Unmapped => return Ok(address),
            // In the address space that it is to be mapped in, but elsewhere.
            FrameUse::Ledger { .. } if self.rules.release != Release::Five => {
                code::INVALID_ARGUMENT
            }
            _ => code::INVALID_CAPABILITY,
        };
        self.refuse(call, code, format!("{frame:?} is mapped: {usage:?}"))
    }

    /// A frame that the server sees already can't be seen a second time.
    pub(crate) fn refuse_second_window(&mut self, frame: Page) -> Result<(), Refused> {
        self.demand(false, || format!("{frame:?} is copied to itself"));
        let code = match self.rules.release {
            Release::Five => code::INVALID_CAPABILITY,
            _ => code::INVALID_ARGUMENT,
        };
        self.refuse("copy_page", code, format!("{frame:?} is mapped twice"))
    }

    /// Takes a frame out of the address space that it is mapped in, if it is.
    pub(crate) fn forget_mapping(&mut self, slot: Slot) {
        self.forget_reach(slot);
        let Some(Capability {
            address: place,
            kind:
                Kind::Frame {
                    size_bits,
                    usage: FrameUse::Client { asid, address, .. },
                    ..
                },
            ..
        }) = self.capability(slot).cloned()
        else {
            return;
        };
        // By its number, which another address space may have by now: the kernel compares what is mapped there.
        let space = self.asids.get(&asid).copied();
        if let Some(space) = space.and_then(|space| self.spaces.get_mut(&space)) {
            space.remove(address, place, size_bits);
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
        let is_in_use = tables.is_mapped_in(reach(level, address));
        tables.remove_table(level, address);
        self.demand(!is_in_use, || {
            format!(
                "{table:?}, a {level:?} over {address:#x}, goes while frames are mapped through it"
            )
        });
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
                self.demand(
                    !matches!(slot, Slot::Copy(_)) || usage == FrameUse::Unmapped,
                    || format!("{slot:?} goes while the frame is mapped by it"),
                );
                self.demand(copies == 0, || format!("{slot:?} goes while it is shared"));
                if self.rules.release != Release::Five || !self.has_others(slot) {
                    self.forget_mapping(slot);
                }
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

    /// Whether the frame in a slot has other capabilities.
    fn has_others(&self, slot: Slot) -> bool {
        // With the server's rules in force none of two is ever mapped.
        !self.rules.server && self.capabilities.has_others(slot)
    }

    /// Empties every slot whose object was made of the one in `slot`, or whose capability is a copy of it.
    pub(crate) fn destroy_below(&mut self, slot: Slot) {
        loop {
            let child = match self.capability(slot).map(|object| &object.kind) {
                Some(Kind::Untyped { children, .. }) => children.last().copied(),
                Some(Kind::Frame { copies: 1.., .. }) => {
                    self.demand(false, || format!("{slot:?} goes while it is shared"));
                    self.capabilities.copy_of(slot)
                }
                _ => None,
            };
            let Some(child) = child else {
                return;
            };
            self.destroy_below(child);
            self.destroy(child);
        }
    }

    fn destroy_table(&mut self, page: Page, level: Table) {
        if level != Table::VSpace {
            self.unhook_table(page);
            return;
        }
        if let Some(space) = self.spaces.remove(&page) {
            self.asids.remove(&space.asid);
            self.demand(space.is_empty(), || {
                format!("the address space {page:?} goes while frames are mapped in it")
            });
            self.demand(
                self.threads.values().all(|thread| thread.vspace != page),
                || format!("the address space {page:?} goes while a thread of it runs"),
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
            Slot::Copy(copy) => Slot::Copy(copy + index),
            other if count == 1 => other,
            other => panic!("{other:?} has no slot behind it"),
        })
        .collect()
}
