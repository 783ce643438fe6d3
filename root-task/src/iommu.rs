// SPDX-License-Identifier: BSD-2-Clause
//! What PCI functions reach, where kernel and machine have an IOMMU.
//!
//! The table of the highest level is the server's own, made at boot for each function that there may be and never taken
//! away: neither 5.0.0 nor 16.0.0 has the IOMMU forget what it remembers of such a table, so a page that was one must not
//! become anything else.

use crate::boot::{BootError, Maker};
use alloc::vec::Vec;
use kmalloc_server::pci::FUNCTIONS_MAX;
use sel4::{AbsoluteCPtr, BootInfoPtr, CPtr};
use sel4_extension::io_space;

/// What a function reaches.
#[derive(Clone, Copy)]
struct Space {
    /// The slot of the authority over it.
    slot: AbsoluteCPtr,
    /// Its table of the highest level.
    root: CPtr,
}

/// The address spaces of functions.
pub struct Iommu {
    /// Levels of tables; 0 where functions reach all memory.
    pub levels: u8,
    /// By the function's number; none without an IOMMU.
    spaces: Vec<Space>,
}

impl Iommu {
    /// Makes what there has to be for each function.
    pub fn new(bootinfo: &BootInfoPtr, maker: &mut Maker<'_>) -> Result<Iommu, BootError> {
        // A kernel without the option may say any number that is no number of levels.
        let levels = u8::try_from(io_space::levels(bootinfo)).unwrap_or(0);
        let Some(table) = io_space::TABLE.filter(|_| levels > 0) else {
            return Ok(Iommu {
                levels: 0,
                spaces: Vec::new(),
            });
        };
        let first = maker.make(table, FUNCTIONS_MAX)?;
        let mut spaces = Vec::with_capacity(FUNCTIONS_MAX);
        for number in 0..FUNCTIONS_MAX {
            let slot = maker.take_slot()?;
            spaces.push(Space {
                slot: maker.path(slot),
                root: maker.cptr(first + number),
            });
        }
        Ok(Iommu { levels, spaces })
    }

    fn space(&self, number: u8) -> sel4::Result<Space> {
        let space = self.spaces.get(usize::from(number));
        space.copied().ok_or(sel4::Error::RangeError)
    }

    /// Gives a function its address space. A refusal leaves nothing.
    pub fn open(&self, number: u8, function: io_space::Function) -> sel4::Result<()> {
        let space = self.space(number)?;
        io_space::mint(&space.slot, number, function)?;
        let mapped = io_space::map_table(space.root, space.cptr(), 0);
        if mapped.is_err() {
            space.slot.delete()?;
        }
        mapped
    }

    /// Hooks a table into a function's address space.
    pub fn map_table(&self, table: CPtr, number: u8, address: u64) -> sel4::Result<()> {
        io_space::map_table(table, self.space(number)?.cptr(), address)
    }

    /// Lets a function reach a frame.
    pub fn map_frame(&self, frame: CPtr, number: u8, address: u64) -> sel4::Result<()> {
        io_space::map_frame(frame, self.space(number)?.cptr(), address)
    }
}

impl Space {
    fn cptr(&self) -> CPtr {
        CPtr::from_bits(self.slot.path().bits())
    }
}
