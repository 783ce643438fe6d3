// SPDX-License-Identifier: BSD-2-Clause

//! What PCI functions reach through an IOMMU, the same way on every kernel: those without the option IOMMU have none of
//! rust-sel4's names for it.

use sel4::{AbsoluteCPtr, BootInfoPtr, CPtr, ObjectBlueprint, Result, Word, sel4_cfg_if};

/// A PCI function, by bus, device and function.
pub type Function = (u8, u8, u8);

sel4_cfg_if! {
    if #[sel4_cfg(IOMMU)] {
        use sel4::io_space::IOSpaceCapData;
        use sel4::{CapRights, ObjectBlueprintX86, cap, cap_type, init_thread, sel4_cfg_usize};

        /// A table of a function's address space. `None`: this kernel has none.
        pub const TABLE: Option<ObjectBlueprint> =
            Some(ObjectBlueprint::Arch(ObjectBlueprintX86::IOPageTable));

        /// The kernel takes names for the functions that firmware wants memory kept for: 0 and on, one each at the most.
        const FIRST_DOMAIN: u64 = 1 + sel4_cfg_usize!(MAX_RMRR_ENTRIES) as u64;

        /// Levels of tables of the machine's IOMMUs; 0 where there is none.
        pub fn levels(bootinfo: &BootInfoPtr) -> usize {
            bootinfo.inner().numIOPTLevels as usize
        }

        /// Puts the authority over what a function reaches into an empty slot. `number` is the function's own, so that
        /// the IOMMU keeps it apart from others.
        pub fn mint(slot: &AbsoluteCPtr, number: u8, (bus, device, function): Function) -> Result<()> {
            let root = init_thread::slot::CNODE.cap();
            let authority = root.absolute_cptr(init_thread::slot::IO_SPACE.cptr());
            let domain = FIRST_DOMAIN + u64::from(number);
            let data = IOSpaceCapData::new(domain, bus.into(), device.into(), function.into());
            slot.mint(&authority, CapRights::all(), data.into_word())
        }

        /// Hooks a table in at the highest level over `address` that has none.
        pub fn map_table(table: CPtr, space: CPtr, address: Word) -> Result<()> {
            table
                .cast::<cap_type::IOPageTable>()
                .io_page_table_map(space.cast(), address)
        }

        /// Takes a table out of where it is.
        pub fn unmap_table(table: CPtr) -> Result<()> {
            table.cast::<cap_type::IOPageTable>().io_page_table_unmap()
        }

        /// Lets the function reach a frame of 4 KiB at an address, to read and to write.
        pub fn map_frame(frame: CPtr, space: CPtr, address: Word) -> Result<()> {
            let frame: cap::Granule = frame.cast();
            frame.io_frame_map(space.cast(), CapRights::read_write(), address)
        }
    } else {
        use sel4::Error;

        /// A table of a function's address space. `None`: this kernel has none.
        pub const TABLE: Option<ObjectBlueprint> = None;

        /// Levels of tables of the machine's IOMMUs; 0 where there is none.
        pub fn levels(_bootinfo: &BootInfoPtr) -> usize {
            0
        }

        /// Puts the authority over what a function reaches into an empty slot. `number` is the function's own, so that
        /// the IOMMU keeps it apart from others.
        pub fn mint(_slot: &AbsoluteCPtr, _number: u8, _function: Function) -> Result<()> {
            Err(Error::IllegalOperation)
        }

        /// Hooks a table in at the highest level over `address` that has none.
        pub fn map_table(_table: CPtr, _space: CPtr, _address: Word) -> Result<()> {
            Err(Error::IllegalOperation)
        }

        /// Takes a table out of where it is.
        pub fn unmap_table(_table: CPtr) -> Result<()> {
            Err(Error::IllegalOperation)
        }

        /// Lets the function reach a frame of 4 KiB at an address, to read and to write.
        pub fn map_frame(_frame: CPtr, _space: CPtr, _address: Word) -> Result<()> {
            Err(Error::IllegalOperation)
        }
    }
}
