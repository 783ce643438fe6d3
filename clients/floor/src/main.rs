// SPDX-License-Identifier: BSD-2-Clause
//! The floor under grants: a root task that does nothing but the kernel invocations that supply memory, and counts their
//! instructions. No client of the memory server could: none holds an untyped. It runs in place of the server, on the same
//! kernel and the same machine.
//!
//! Its CSpace is the kernel's own CNode, one level: nothing that a server needs beyond the invocations is in the figures.
#![no_std]
#![no_main]

#[macro_use]
mod console;

use core::arch::x86_64::_rdtsc;
use sel4::{
    BootInfoPtr, CPtr, CPtrBits, CapRights, ObjectBlueprint, ObjectBlueprintX64,
    ObjectBlueprintX86, VmAttributes, cap,
};
use sel4_root_task::root_task;

/// Samples of a figure.
const SAMPLES: usize = 1000;
/// log2 of the bytes of the untyped that frames are made of.
const CHUNK_BITS: usize = 16;
/// Frames of 4 KiB in it.
const CHUNK_FRAMES: usize = 16;
/// log2 of the bytes of a large frame.
const LARGE_BITS: usize = 21;
/// log2 of the bytes of an untyped that is taken whole and cut: the kernel zeroes it in one call.
const POOL_BITS: usize = 25;
/// Objects that one retype makes at the most.
const FAN_OUT_MAX: usize = 256;
/// Where frames are mapped: a region of its own.
const WINDOW: usize = 0x90_0000_0000;
/// Bytes that one page table maps.
const TABLE_BYTES: usize = 1 << 21;
/// Bytes that one page directory maps.
const DIRECTORY_BYTES: usize = 1 << 30;

#[root_task]
fn main(bootinfo: &BootInfoPtr) -> ! {
    let mut slots = bootinfo.empty().range();
    // Without a console there is nobody to tell.
    let _ = console::start(&mut slots);
    let passed = match Floor::new(bootinfo, slots).run() {
        Ok(()) => true,
        Err(error) => {
            print_line!("# the kernel refused: {error:?}");
            false
        }
    };
    print_line!("@end passed={passed}");
    console::leave(u8::from(!passed))
}

/// Slots, memory, and addresses to use up.
struct Floor<'a> {
    bootinfo: &'a BootInfoPtr,
    slots: core::ops::Range<usize>,
    /// Untypeds of boot that were used already, a bit each.
    taken: u64,
    pool: Option<(usize, usize)>,
    address: usize,
}

fn untyped(slot: usize) -> cap::Untyped {
    CPtr::from_bits(slot as CPtrBits).cast()
}

impl Floor<'_> {
    fn new(bootinfo: &BootInfoPtr, slots: core::ops::Range<usize>) -> Floor<'_> {
        Floor {
            bootinfo,
            slots,
            taken: 0,
            pool: None,
            address: WINDOW,
        }
    }

    fn run(&mut self) -> sel4::Result<()> {
        let mut counts = [0; SAMPLES];
        self.make_pdpt_and_directories()?;
        self.chunks(&mut counts)?;
        report("floor.grant.64k", &mut counts);
        // The invocations are the same: what is contiguous for a device is the untyped.
        report("floor.dma.64k", &mut counts);
        self.single_pages(&mut counts)?;
        report("floor.map.page", &mut counts);
        self.large_frames(&mut counts)?;
        report("floor.grant.2m", &mut counts);
        Ok(())
    }

    /// `count` slots that are empty, the first of them.
    fn take_slots(&mut self, count: usize) -> sel4::Result<usize> {
        let first = self.slots.start;
        self.slots.start += count;
        if self.slots.start > self.slots.end {
            return Err(sel4::Error::NotEnoughMemory);
        }
        Ok(first)
    }

    fn retype(
        &self,
        from: cap::Untyped,
        blueprint: ObjectBlueprint,
        first: usize,
        count: usize,
    ) -> sel4::Result<()> {
        let cnode = sel4::init_thread::slot::CNODE.cap();
        from.untyped_retype(&blueprint, &cnode.absolute_cptr_for_self(), first, count)
    }

    /// An untyped of 2^`size_bits` bytes that costs no zeroing.
    fn take_untyped(&mut self, size_bits: usize) -> sel4::Result<cap::Untyped> {
        if self.pool.is_none() {
            self.pool = Some(self.fill_pool(size_bits)?);
        }
        match self.pool.take() {
            Some((slot, left)) => {
                self.pool = (left > 1).then_some((slot + 1, left - 1));
                Ok(untyped(slot))
            }
            None => Err(sel4::Error::NotEnoughMemory),
        }
    }

    /// Cuts one of boot's untypeds into pieces: the first of them, and how many.
    fn fill_pool(&mut self, size_bits_wanted: usize) -> sel4::Result<(usize, usize)> {
        let size_bits = size_bits_wanted;
        let list = self.bootinfo.untyped_list().iter().enumerate();
        let found = list
            .filter(|(index, piece)| {
                !piece.is_device() && piece.size_bits() >= size_bits && self.taken >> index & 1 == 0
            })
            .map(|(index, piece)| (index, piece.size_bits()))
            .next();
        let (index, bits) = found.ok_or(sel4::Error::NotEnoughMemory)?;
        let mut from = self.bootinfo.untyped().index(index).cap();
        if bits > POOL_BITS {
            // A piece at a time, until nothing is left of it.
            let slot = self.take_slots(1)?;
            let size_bits = POOL_BITS;
            if self
                .retype(from, ObjectBlueprint::Untyped { size_bits }, slot, 1)
                .is_err()
            {
                self.taken |= 1 << index;
                return self.fill_pool(size_bits_wanted);
            }
            from = untyped(slot);
        } else {
            self.taken |= 1 << index;
        }
        let count = 1 << (bits.min(POOL_BITS) - size_bits);
        let first = self.take_slots(count)?;
        for done in (0..count).step_by(FAN_OUT_MAX) {
            let batch = (count - done).min(FAN_OUT_MAX);
            let blueprint = ObjectBlueprint::Untyped { size_bits };
            self.retype(from, blueprint, first + done, batch)?;
        }
        Ok((first, count))
    }

    /// Deletes objects, so that their slots serve again: some kernels give few.
    fn delete(&mut self, first: usize, count: usize) -> sel4::Result<()> {
        let cnode = sel4::init_thread::slot::CNODE.cap();
        for slot in first..first + count {
            cnode
                .absolute_cptr(CPtr::from_bits(slot as CPtrBits))
                .delete()?;
        }
        self.slots.start = first;
        Ok(())
    }

    fn make_object(&mut self, blueprint: ObjectBlueprint) -> sel4::Result<CPtr> {
        let from = self.take_untyped(CHUNK_BITS)?;
        let slot = self.take_slots(1)?;
        self.retype(from, blueprint, slot, 1)?;
        Ok(CPtr::from_bits(slot as CPtrBits))
    }

    fn make_pdpt_and_directories(&mut self) -> sel4::Result<()> {
        let here = sel4::init_thread::slot::VSPACE.cap();
        let how = VmAttributes::default();
        let x64 = ObjectBlueprintX64::PDPT;
        let blueprint = ObjectBlueprint::Arch(ObjectBlueprintX86::SeL4Arch(x64));
        let pdpt = self.make_object(blueprint)?;
        pdpt.cast::<sel4::cap_type::PDPT>()
            .pdpt_map(here, WINDOW, how)?;
        for number in 0..4 {
            let blueprint = ObjectBlueprint::Arch(ObjectBlueprintX86::PageDirectory);
            let directory = self.make_object(blueprint)?;
            directory
                .cast::<sel4::cap_type::PageDirectory>()
                .page_directory_map(
                    here,
                    WINDOW + number * DIRECTORY_BYTES,
                    VmAttributes::default(),
                )?;
        }
        Ok(())
    }

    /// Sees to it that pages can be mapped at the next address; this is not counted.
    fn need_table(&mut self) -> sel4::Result<()> {
        if !self.address.is_multiple_of(TABLE_BYTES) {
            return Ok(());
        }
        let here = sel4::init_thread::slot::VSPACE.cap();
        let blueprint = ObjectBlueprint::Arch(ObjectBlueprintX86::PageTable);
        let table = self.make_object(blueprint)?;
        table.cast::<sel4::cap_type::PageTable>().page_table_map(
            here,
            self.address,
            VmAttributes::default(),
        )
    }

    /// 16 frames of 4 KiB in one retype, each mapped.
    fn chunks(&mut self, counts: &mut [u64]) -> sel4::Result<()> {
        for sample in counts {
            self.need_table()?;
            let from = self.take_untyped(CHUNK_BITS)?;
            let first = self.take_slots(CHUNK_FRAMES)?;
            let address = self.address;
            let blueprint = ObjectBlueprint::Arch(ObjectBlueprintX86::_4k);
            *sample = count(|| {
                self.retype(from, blueprint, first, CHUNK_FRAMES)?;
                for frame in 0..CHUNK_FRAMES {
                    let slot = CPtr::from_bits((first + frame) as CPtrBits);
                    map(slot.cast::<sel4::cap_type::_4k>(), address + (frame << 12))?;
                }
                Ok(())
            })?;
            self.delete(first, CHUNK_FRAMES)?;
            self.address += CHUNK_FRAMES << 12;
        }
        Ok(())
    }

    /// A frame of 4 KiB, mapped: its share of a retype of 16, and the mapping.
    fn single_pages(&mut self, counts: &mut [u64]) -> sel4::Result<()> {
        for samples in counts.chunks_mut(CHUNK_FRAMES) {
            self.need_table()?;
            let from = self.take_untyped(CHUNK_BITS)?;
            let first = self.take_slots(CHUNK_FRAMES)?;
            let blueprint = ObjectBlueprint::Arch(ObjectBlueprintX86::_4k);
            let retype = count(|| self.retype(from, blueprint, first, CHUNK_FRAMES))?;
            for (frame, sample) in samples.iter_mut().enumerate() {
                let slot = CPtr::from_bits((first + frame) as CPtrBits);
                let address = self.address + (frame << 12);
                let mapping = count(|| map(slot.cast::<sel4::cap_type::_4k>(), address))?;
                *sample = mapping + retype / CHUNK_FRAMES as u64;
            }
            self.delete(first, CHUNK_FRAMES)?;
            self.address += CHUNK_FRAMES << 12;
        }
        Ok(())
    }

    /// A frame of 2 MiB that costs no zeroing, mapped.
    fn large_frames(&mut self, counts: &mut [u64]) -> sel4::Result<()> {
        self.pool = None;
        self.address = self.address.next_multiple_of(TABLE_BYTES);
        for sample in counts {
            let from = self.take_untyped(LARGE_BITS)?;
            let slot = self.take_slots(1)?;
            let address = self.address;
            let blueprint = ObjectBlueprint::Arch(ObjectBlueprintX86::LargePage);
            *sample = count(|| {
                self.retype(from, blueprint, slot, 1)?;
                let frame = CPtr::from_bits(slot as CPtrBits);
                map(frame.cast::<sel4::cap_type::LargePage>(), address)
            })?;
            self.delete(slot, 1)?;
            self.address += TABLE_BYTES;
        }
        Ok(())
    }
}

fn map<T: sel4::CapTypeForFrameObject>(frame: sel4::Cap<T>, address: usize) -> sel4::Result<()> {
    let here = sel4::init_thread::slot::VSPACE.cap();
    let how = VmAttributes::default();
    frame.frame_map(here, address, CapRights::read_write(), how)
}

/// Instructions of `work`, with the few of the counter itself.
fn count(work: impl FnOnce() -> sel4::Result<()>) -> sel4::Result<u64> {
    // SAFETY: every x86_64 processor has a time-stamp counter, and seL4 lets programs read it.
    let start = unsafe { _rdtsc() };
    work()?;
    // SAFETY: as above.
    Ok(unsafe { _rdtsc() - start })
}

fn report(name: &str, counts: &mut [u64]) {
    counts.sort_unstable();
    let (min, max) = (counts[0], counts[counts.len() - 1]);
    let (median, samples) = (counts[counts.len() / 2], counts.len());
    print_line!(
        "@figure name={name} unit=instructions value={median} min={min} max={max} samples={samples}"
    );
}
