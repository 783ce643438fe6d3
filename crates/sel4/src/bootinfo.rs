// SPDX-License-Identifier: BSD-2-Clause

//! What the kernel tells the root task at boot.

use core::ops::{Deref, Range};

use crate::cap_types::cap_type;
use crate::init_thread::SlotRegion;
use crate::ipc_buffer::IpcBuffer;
#[cfg(kernel_iommu)]
use crate::sys::seL4_BootInfo;
use crate::sys::{constants, facts, size};

mod layout;
#[cfg(test)]
mod tests;

pub(crate) use layout::Layout;

const LAYOUT: Layout = facts::BOOT_INFO;
const PAGE_BYTES: usize = 1 << size(constants::seL4_PageBits);

/// The address of the boot information.
#[derive(Debug)]
#[repr(transparent)]
pub struct BootInfoPtr {
    pointer: *const BootInfo,
}

impl BootInfoPtr {
    /// # Panics
    ///
    /// If the address is not that of a page.
    ///
    /// # Safety
    ///
    /// `pointer` must be the address that the kernel passed to the root task.
    pub unsafe fn new(pointer: *const BootInfo) -> Self {
        assert!(pointer.addr().is_multiple_of(PAGE_BYTES));
        Self { pointer }
    }

    /// The address.
    pub fn ptr(&self) -> *const BootInfo {
        self.pointer
    }
}

impl Deref for BootInfoPtr {
    type Target = BootInfo;

    fn deref(&self) -> &BootInfo {
        // SAFETY: by the contract of `new` the kernel mapped a page of boot information there, for good, and nobody
        // writes to it.
        unsafe { &*self.pointer }
    }
}

/// What the kernel tells the root task at boot.
#[repr(transparent)]
pub struct BootInfo([u8; PAGE_BYTES]);

impl BootInfo {
    /// The part of it that has no name of its own here.
    #[cfg(kernel_iommu)]
    pub fn inner(&self) -> seL4_BootInfo {
        seL4_BootInfo {
            numIOPTLevels: LAYOUT.io_page_table_levels(&self.0),
        }
    }

    /// The root task's IPC buffer.
    pub fn ipc_buffer(&self) -> *mut IpcBuffer {
        let address = LAYOUT.ipc_buffer(&self.0);
        core::ptr::with_exposed_provenance_mut(address as usize)
    }

    /// The slots of the root task's CNode that are empty.
    pub fn empty(&self) -> SlotRegion<cap_type::Null> {
        SlotRegion::from_range(LAYOUT.empty(&self.0))
    }

    /// The frames of the root task's image, from its lowest address to its highest.
    pub fn user_image_frames(&self) -> SlotRegion<cap_type::Granule> {
        SlotRegion::from_range(LAYOUT.user_image_frames(&self.0))
    }

    /// The authority over the time of each processor.
    #[cfg(kernel_mcs)]
    pub fn sched_control(&self) -> SlotRegion<cap_type::SchedControl> {
        SlotRegion::from_range(LAYOUT.sched_control(&self.0).unwrap_or_default())
    }

    /// The memory of the machine.
    pub fn untyped(&self) -> SlotRegion<cap_type::Untyped> {
        SlotRegion::from_range(LAYOUT.untyped(&self.0))
    }

    /// What each of the slots in [`untyped`](Self::untyped) holds.
    pub fn untyped_list(&self) -> &[UntypedDesc] {
        let bytes = LAYOUT.untyped_list(&self.0);
        // SAFETY: a descriptor is an array of bytes, `repr(transparent)`; `bytes` holds a whole number of them.
        unsafe {
            core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / LAYOUT.descriptor_size)
        }
    }

    /// Those in [`untyped_list`](Self::untyped_list) that are memory of devices.
    pub fn device_untyped_range(&self) -> Range<usize> {
        self.untyped_range(true)
    }

    /// Those in [`untyped_list`](Self::untyped_list) of which kernel objects can be made.
    pub fn kernel_untyped_range(&self) -> Range<usize> {
        self.untyped_range(false)
    }

    /// The list has devices on one side and the rest on the other; kernels differ in which is first.
    fn untyped_range(&self, of_devices: bool) -> Range<usize> {
        let list = self.untyped_list();
        let devices_first = list.first().is_some_and(UntypedDesc::is_device);
        let boundary = list.partition_point(|untyped| untyped.is_device() == devices_first);
        if of_devices == devices_first {
            0..boundary
        } else {
            boundary..list.len()
        }
    }
}

impl core::fmt::Debug for BootInfo {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("BootInfo")
            .field("empty", &self.empty())
            .field("user_image_frames", &self.user_image_frames())
            .field("untyped", &self.untyped())
            .finish_non_exhaustive()
    }
}

/// One untyped that the root task has from the start.
#[derive(Clone, PartialEq, Eq)]
#[repr(transparent)]
pub struct UntypedDesc([u8; LAYOUT.descriptor_size]);

impl UntypedDesc {
    /// Its physical address.
    pub fn paddr(&self) -> usize {
        LAYOUT.descriptor_paddr(&self.0) as usize
    }

    /// Logarithm of its bytes.
    pub fn size_bits(&self) -> usize {
        LAYOUT.descriptor_size_bits(&self.0).into()
    }

    /// Whether it is memory of a device: only frames can be made of it.
    pub fn is_device(&self) -> bool {
        LAYOUT.descriptor_is_device(&self.0)
    }
}

impl core::fmt::Debug for UntypedDesc {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("UntypedDesc")
            .field("paddr", &self.paddr())
            .field("size_bits", &self.size_bits())
            .field("is_device", &self.is_device())
            .finish()
    }
}
