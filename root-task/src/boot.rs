// SPDX-License-Identifier: BSD-2-Clause
//! From what the kernel gives to a server that can serve.

use crate::cspace::{self, Layout};
use crate::devices::{self, Devices};
use crate::handover;
use crate::interrupts::Handler;
use crate::iommu::Iommu;
use crate::kernel::Sel4;
use crate::ports;
use crate::timer::{self, Timer};
use crate::untypeds::{Piece, TakeError, Untypeds};
use crate::windows::*;
use crate::worker::Workers;
use alloc::vec::Vec;
use kmalloc_server::physical::{LARGE_CHUNKS, PAGE_BITS, Physical};
use kmalloc_server::{Server, segment_count, table_bytes};
use sel4::init_thread::slot;
use sel4::{
    AbsoluteCPtr, BootInfoPtr, CPtr, CapRights, ObjectBlueprint, ObjectBlueprintX64,
    ObjectBlueprintX86, VmAttributes, cap,
};

/// log2 of the bytes of a frame.
pub const FRAME_BITS: usize = PAGE_BITS as usize;
/// log2 of the bytes of a large page.
pub const LARGE_BITS: usize = 21;
/// log2 of the bytes of a chunk.
pub const CHUNK_BITS: usize = 16;
/// Objects that one retype makes at the most.
pub const FAN_OUT_MAX: usize = sel4::sel4_cfg_usize!(RETYPE_FAN_OUT_LIMIT);
const _: () = assert!(
    FAN_OUT_MAX >= LARGE_CHUNKS,
    "the server makes 32 chunks of a large page in one retype, and this kernel's RETYPE_FAN_OUT_LIMIT is less than that"
);

/// The server, ready, and how to reach it.
pub struct Booted {
    /// The server.
    pub server: Server<Sel4>,
    /// The endpoint it receives on.
    pub endpoint: cap::Endpoint,
    /// The right to reply, on kernels where that is an object.
    pub reply: CPtr,
    /// The untypeds that the server hands out, whole as they were at boot.
    pub pieces: Vec<Piece>,
    /// Bytes of untyped memory that boot gave.
    pub total_bytes: u64,
    /// How many untypeds they were.
    pub untyped_count: usize,
}

/// Why boot failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// Taking memory for the server itself failed.
    Take(TakeError),
    /// The kernel refused.
    Kernel(sel4::Error),
    /// The kernel refused an operation of the server.
    Refused(u32),
}

impl From<TakeError> for BootError {
    fn from(error: TakeError) -> BootError {
        BootError::Take(error)
    }
}

impl From<sel4::Error> for BootError {
    fn from(error: sel4::Error) -> BootError {
        BootError::Kernel(error)
    }
}

/// The interrupt of the timer among those of user programs.
const TIMER_VECTOR: sel4::Word = 0;

/// Builds the server of `pieces`, whole untypeds of RAM.
pub fn boot(bootinfo: &BootInfoPtr, pieces: Vec<Piece>) -> Result<Booted, BootError> {
    let total_bytes = pieces.iter().map(|piece| 1u64 << piece.size_bits).sum();
    let untyped_count = pieces.len();
    let base = pieces.iter().map(|piece| piece.address).min().unwrap_or(0);
    let end = pieces
        .iter()
        .map(|piece| piece.address + (1 << piece.size_bits))
        .max()
        .unwrap_or(0);
    let base = base >> LARGE_BITS << LARGE_BITS;
    let pages = ((end - base).next_multiple_of(1 << LARGE_BITS) >> FRAME_BITS) as usize;
    // Not rounded up: of the top CNode's slots, a power of two, the last ones may just be enough.
    let slots = ports::split_slots(bootinfo);
    let layout = Layout::new(((end - base) >> FRAME_BITS) as usize, slots.end);
    let timer_ports = ports::issue(bootinfo, ports::TIMER, timer::PORTS)?;
    let pci_ports = ports::issue(bootinfo, ports::PCI, devices::PCI_PORTS)?;
    let mut untypeds = Untypeds::new(pieces, slots);
    let top = make_cspace(&mut untypeds, &layout)?;
    let mut maker = Maker {
        untypeds: &mut untypeds,
        layout: &layout,
        top,
        slots: layout.boot_slots(),
    };
    let endpoint = maker.make(ObjectBlueprint::Endpoint, 1)?;
    let (to_mint, endpoint) = (maker.path(endpoint), maker.cptr(endpoint).cast());
    let reply = maker.make_reply()?;
    let links = maker.make_links()?;
    let workers = Workers::start(&mut maker, bootinfo, &to_mint)?;
    let notification = maker.make(ObjectBlueprint::Notification, 1)?;
    let notification = maker.path(notification);
    let timer = Timer::new(timer_ports, maker.make_handler(TIMER_VECTOR)?, notification);
    let iommu = Iommu::new(bootinfo, &mut maker)?;
    let devices = Devices::new(timer, pci_ports, iommu, &mut maker, device_pieces(bootinfo))?;
    maker.map_windows(table_bytes(pages), segment_count(pages))?;

    // SAFETY: it is the kernel's own, and stays mapped.
    let bootinfo = unsafe { BootInfoPtr::new(bootinfo.ptr()) };
    let mcs = sel4_extension::thread::SCHED_CONTEXT.is_some();
    let mut kernel = Sel4::new(
        layout,
        top,
        to_mint,
        segment_count(pages),
        bootinfo,
        links,
        devices,
        workers,
    );
    let mut physical = Physical::new(base, end);
    // Less than a page stays with the server.
    let mut pieces = untypeds.into_pieces();
    pieces.retain(|piece| piece.size_bits >= FRAME_BITS);
    for piece in &pieces {
        handover::add_piece(&mut kernel, &mut physical, *piece)?;
    }
    let server = Server::new(kernel, physical, mcs);
    Ok(Booted {
        server,
        endpoint,
        reply,
        pieces,
        total_bytes,
        untyped_count,
    })
}

/// The untypeds of RAM.
pub fn untyped_pieces(bootinfo: &BootInfoPtr) -> Vec<Piece> {
    pieces(bootinfo, false)
}

/// Where no memory is, but perhaps a device.
fn device_pieces(bootinfo: &BootInfoPtr) -> Vec<Piece> {
    pieces(bootinfo, true)
}

fn pieces(bootinfo: &BootInfoPtr, is_device: bool) -> Vec<Piece> {
    let caps = bootinfo.untyped();
    bootinfo
        .untyped_list()
        .iter()
        .enumerate()
        .filter(|(_, untyped)| untyped.is_device() == is_device)
        .map(|(index, untyped)| Piece {
            cap: caps.index(index).cap(),
            address: untyped.paddr() as u64,
            size_bits: untyped.size_bits(),
        })
        .collect()
}

/// Makes the server's CNode, moves what the kernel's own one holds into it, each to the same number, and makes it the root
/// task's CSpace. Returns it without a guard.
fn make_cspace(untypeds: &mut Untypeds, layout: &Layout) -> Result<cap::CNode, BootError> {
    let root = slot::CNODE.cap();
    let number = untypeds.take_slot()?;
    let blueprint = ObjectBlueprint::CNode {
        size_bits: layout.bits,
    };
    let piece = untypeds.take(blueprint.physical_size_bits())?;
    piece
        .cap
        .untyped_retype(&blueprint, &root.absolute_cptr_for_self(), number, 1)?;
    let top: cap::CNode = cspace::address(number).cast();
    let old = |number: usize| root.absolute_cptr(cspace::address(number));

    // What is needed until the new one is in use is copied, all else moved: untypeds and mapped frames are more than copies.
    let [tcb, vspace] = [slot::TCB.index(), slot::VSPACE.index()];
    let kept = [slot::NULL.index(), slot::CNODE.index(), tcb, vspace, number];
    for number in (0..untypeds.next_slot()).filter(|number| !kept.contains(number)) {
        match layout.path(top, number).move_(&old(number)) {
            // Not every slot holds something.
            Ok(()) | Err(sel4::Error::FailedLookup) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for number in [tcb, vspace, number] {
        layout
            .path(top, number)
            .copy(&old(number), CapRights::all())?;
    }
    layout.path(top, slot::CNODE.index()).mint(
        &old(number),
        CapRights::all(),
        layout.guard().into_word(),
    )?;
    let vspace = slot::VSPACE.cap();
    let tcb = slot::TCB.cap();
    tcb.tcb_set_space(CPtr::from_bits(0), top, layout.guard(), vspace)?;
    Ok(top)
}

/// Makes what the server has for itself.
pub struct Maker<'a> {
    untypeds: &'a mut Untypeds,
    pub(crate) layout: &'a Layout,
    pub(crate) top: cap::CNode,
    slots: core::ops::Range<usize>,
}

impl Maker<'_> {
    /// Makes `count` objects in the next slots; the number of the first.
    pub(crate) fn make(
        &mut self,
        blueprint: ObjectBlueprint,
        count: usize,
    ) -> Result<usize, BootError> {
        let first = self.slots.start;
        self.slots.start += count;
        if self.slots.start > self.slots.end {
            return Err(BootError::Take(TakeError::NoSlot));
        }
        let mut made = 0;
        while made < count {
            let batch = (count - made).min(FAN_OUT_MAX);
            // The largest power of two of objects, so that nothing of the untyped is left over.
            let batch = 1usize << batch.ilog2();
            let size_bits = blueprint.physical_size_bits() + batch.ilog2() as usize;
            let piece = self.untypeds.take(size_bits)?;
            let cnode = self.top.absolute_cptr_for_self();
            let first = first + made;
            piece.cap.untyped_retype(&blueprint, &cnode, first, batch)?;
            made += batch;
        }
        Ok(first)
    }

    pub(crate) fn cptr(&self, number: usize) -> CPtr {
        cspace::address(number)
    }

    pub(crate) fn path(&self, number: usize) -> AbsoluteCPtr {
        self.layout.path(self.top, number)
    }

    /// The next slot, empty.
    pub(crate) fn take_slot(&mut self) -> Result<usize, BootError> {
        let slot = self.slots.next();
        slot.ok_or(BootError::Take(TakeError::NoSlot))
    }

    /// Endpoints for clients to call each other.
    fn make_links(&mut self) -> Result<Vec<AbsoluteCPtr>, BootError> {
        let count = usize::from(kmalloc_manifest::ENDPOINTS_MAX);
        let first = self.make(ObjectBlueprint::Endpoint, count)?;
        Ok((first..first + count)
            .map(|number| self.path(number))
            .collect())
    }

    /// Slots for an interrupt.
    pub(crate) fn make_handler(&mut self, vector: sel4::Word) -> Result<Handler, BootError> {
        let (interrupt, signal) = (self.take_slot()?, self.take_slot()?);
        Ok(Handler {
            interrupt: self.path(interrupt),
            signal: self.path(signal),
            vector,
        })
    }

    fn make_reply(&mut self) -> Result<CPtr, BootError> {
        match sel4_extension::thread::REPLY {
            Some(blueprint) => {
                let number = self.make(blueprint, 1)?;
                Ok(self.cptr(number))
            }
            None => Ok(CPtr::from_bits(0)),
        }
    }

    /// Maps the heap, and page tables for the ledgers and the scratch page.
    fn map_windows(&mut self, heap_bytes: usize, segments: usize) -> Result<(), BootError> {
        let vspace = slot::VSPACE.cap();
        let how = VmAttributes::default();
        let pdpt = ObjectBlueprint::Arch(ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PDPT));
        let pdpt = self.make(pdpt, 1)?;
        self.cptr(pdpt)
            .cast::<sel4::cap_type::PDPT>()
            .pdpt_map(vspace, HEAP_WINDOW, how)?;

        self.map_directories(HEAP_WINDOW, heap_bytes)?;
        let larges = heap_bytes.div_ceil(1 << LARGE_BITS);
        let first = self.make(ObjectBlueprint::Arch(ObjectBlueprintX86::LargePage), larges)?;
        for index in 0..larges {
            let frame: cap::LargePage = self.cptr(first + index).cast();
            frame.frame_map(
                vspace,
                HEAP_WINDOW + (index << LARGE_BITS),
                CapRights::read_write(),
                how,
            )?;
        }
        // SAFETY: mapped just now, zeroed by the kernel, and in nobody else's hands.
        unsafe { crate::boot_heap::extend(HEAP_WINDOW, HEAP_WINDOW + (larges << LARGE_BITS)) };

        self.map_directories(LEDGER_WINDOW, segments * LEDGER_BYTES)?;
        self.map_page_tables(LEDGER_WINDOW, segments * LEDGER_BYTES)?;
        self.map_directories(SCRATCH_WINDOW, 1)?;
        self.map_page_tables(SCRATCH_WINDOW, 1)
    }

    fn map_directories(&mut self, start: usize, bytes: usize) -> Result<(), BootError> {
        let count = bytes.div_ceil(PAGE_DIRECTORY_BYTES);
        let first = self.make(
            ObjectBlueprint::Arch(ObjectBlueprintX86::PageDirectory),
            count,
        )?;
        for index in 0..count {
            let table: cap::PageDirectory = self.cptr(first + index).cast();
            let vspace = slot::VSPACE.cap();
            table.page_directory_map(
                vspace,
                start + index * PAGE_DIRECTORY_BYTES,
                VmAttributes::default(),
            )?;
        }
        Ok(())
    }

    fn map_page_tables(&mut self, start: usize, bytes: usize) -> Result<(), BootError> {
        let count = bytes.div_ceil(PAGE_TABLE_BYTES);
        let first = self.make(ObjectBlueprint::Arch(ObjectBlueprintX86::PageTable), count)?;
        for index in 0..count {
            let table: cap::PageTable = self.cptr(first + index).cast();
            let vspace = slot::VSPACE.cap();
            table.page_table_map(
                vspace,
                start + index * PAGE_TABLE_BYTES,
                VmAttributes::default(),
            )?;
        }
        Ok(())
    }
}
