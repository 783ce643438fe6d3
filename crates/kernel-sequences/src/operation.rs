// SPDX-License-Identifier: BSD-2-Clause
//! The operations, and how they are done.

use crate::outcome::Outcome;
use crate::{Access, Subject, Touched, arena};
use kmalloc_server::kernel::{Kernel, Mapping, Object, Refused, Slot, Table};
use kmalloc_server::physical::Page;

/// Slots that [`Operation::Census`] looks at.
pub(crate) const CENSUS_SLOTS: usize = 64;
/// Bytes that [`Operation::WritePage`] writes.
const WRITE_BYTES: usize = 64;

/// A kernel operation; slots and pages are those of the [arena].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the arguments of the calls")]
pub enum Operation {
    /// [`Kernel::retype`].
    Retype {
        untyped: Slot,
        object: Object,
        first: Slot,
        count: usize,
    },
    /// [`Kernel::copy`].
    Copy { frame: Slot, to: Slot },
    /// [`Kernel::delete`].
    Delete(Slot),
    /// [`Kernel::revoke`].
    Revoke(Slot),
    /// [`Kernel::map_page`].
    MapPage {
        frame: Slot,
        space: Page,
        address: usize,
        how: Mapping,
    },
    /// [`Kernel::map_pages`]; gives how many were mapped.
    MapPages {
        first: Page,
        count: usize,
        space: Page,
        address: usize,
        how: Mapping,
    },
    /// [`Kernel::unmap_page`].
    UnmapPage(Slot),
    /// [`Kernel::map_table`].
    MapTable {
        table: Page,
        level: Table,
        space: Page,
        address: usize,
    },
    /// [`Kernel::unmap_page_table`].
    UnmapPageTable(Page),
    /// [`Kernel::assign_asid`].
    AssignAsid(Page),
    /// [`Kernel::copy_page`].
    CopyPage { from: Page, to: Page },
    /// [`Kernel::scrub`].
    Scrub(Page),
    /// [`Kernel::write_page`], of bytes that follow from `pattern`.
    WritePage {
        frame: Page,
        offset: usize,
        pattern: u64,
    },
    /// [`Kernel::push_ledger`].
    PushLedger { segment: u32, frame: Page },
    /// [`Kernel::pop_ledger`].
    PopLedger { segment: u32, frame: Page },
    /// How many entries a ledger has.
    LedgerLength(u32),
    /// [`Kernel::size_bits`].
    SizeOf(Object),
    /// [`Subject::frame_address`].
    FrameAddress(Slot),
    /// [`Subject::digest`].
    Digest(Slot),
    /// [`Subject::touch`].
    Touch {
        space: Page,
        address: usize,
        access: Access,
    },
    /// Which of 64 slots are occupied, from this number on: a bit each, the first one the lowest.
    Census(usize),
}

impl Operation {
    /// Does it.
    pub fn perform(&self, subject: &mut impl Subject) -> Outcome {
        let first_large = subject.first_large();
        let slot = |slot| arena::absolute(slot, first_large);
        let page = |page| arena::absolute_page(page, first_large);
        match *self {
            Operation::FrameAddress(frame) => Outcome::of(subject.frame_address(slot(frame))),
            Operation::Digest(frame) => Outcome::of(subject.digest(slot(frame))),
            Operation::Touch {
                space,
                address,
                access,
            } => touched(subject.touch(page(space), address, access)),
            Operation::Census(first) => {
                let numbers = first..(first + CENSUS_SLOTS).min(arena::SLOTS);
                Outcome::of(Ok(census(
                    subject.kernel(),
                    numbers.map(|number| slot(arena::slot(number))),
                )))
            }
            Operation::LedgerLength(segment) => {
                Outcome::of(Ok(subject.kernel().ledger(segment).len() as u64))
            }
            Operation::MapPages {
                first,
                count,
                space,
                address,
                how,
            } => {
                let first = page(first).index();
                let frames = first..first + count;
                match subject
                    .kernel()
                    .map_pages(frames, page(space), address, how)
                {
                    Ok(()) => Outcome::of(Ok(count as u64)),
                    Err((mapped, Refused { code })) => Outcome {
                        code,
                        value: mapped as u64,
                    },
                }
            }
            Operation::SizeOf(object) => Outcome::of(Ok(subject.kernel().size_bits(object).into())),
            _ => Outcome::of(self.call(subject.kernel(), slot, page).map(|()| 0)),
        }
    }

    /// Those that are calls of the kernel and give nothing.
    fn call(
        &self,
        kernel: &mut impl Kernel,
        slot: impl Fn(Slot) -> Slot,
        page: impl Fn(Page) -> Page,
    ) -> Result<(), Refused> {
        match *self {
            Operation::Retype {
                untyped,
                object,
                first,
                count,
            } => kernel.retype(slot(untyped), object, slot(first), count),
            Operation::Copy { frame, to } => kernel.copy(slot(frame), slot(to)),
            Operation::Delete(place) => kernel.delete(slot(place)),
            Operation::Revoke(place) => kernel.revoke(slot(place)),
            Operation::MapPage {
                frame,
                space,
                address,
                how,
            } => kernel.map_page(slot(frame), page(space), address, how),
            Operation::UnmapPage(frame) => kernel.unmap_page(slot(frame)),
            Operation::MapTable {
                table,
                level,
                space,
                address,
            } => kernel.map_table(page(table), level, page(space), address),
            Operation::UnmapPageTable(table) => kernel.unmap_page_table(page(table)),
            Operation::AssignAsid(space) => kernel.assign_asid(page(space)),
            Operation::CopyPage { from, to } => kernel.copy_page(page(from), page(to)),
            Operation::Scrub(frame) => kernel.scrub(page(frame)),
            Operation::WritePage {
                frame,
                offset,
                pattern,
            } => {
                let bytes = core::array::from_fn::<u8, WRITE_BYTES, _>(|index| {
                    (pattern >> (8 * (index % 8))) as u8 ^ index as u8
                });
                kernel.write_page(page(frame), offset, &bytes)
            }
            Operation::PushLedger { segment, frame } => kernel.push_ledger(segment, page(frame)),
            Operation::PopLedger { segment, frame } => kernel.pop_ledger(segment, page(frame)),
            _ => Ok(()),
        }
    }
}

fn touched(result: Result<Touched, Refused>) -> Outcome {
    match result {
        Ok(Touched::Fault { address, reason }) => Outcome {
            code: Outcome::FAULT,
            value: u64::from(reason) << 32 | u64::from(address),
        },
        Ok(Touched::Word(word)) => Outcome::of(Ok(word)),
        Err(refused) => Outcome::of(Err(refused)),
    }
}

/// Asks for copies of what is in a slot that is always empty: the kernel looks at where the copy is to go first, so what it
/// complains of tells whether something is there, and nothing is changed.
fn census(kernel: &mut impl Kernel, slots: impl Iterator<Item = Slot>) -> u64 {
    const FAILED_LOOKUP: u32 = 6;
    let empty = Err(Refused {
        code: FAILED_LOOKUP,
    });
    slots.zip(0..).fold(0, |bits, (slot, bit)| {
        let looked = kernel.copy(Slot::Scratch, slot);
        bits | u64::from(looked != empty) << bit
    })
}
