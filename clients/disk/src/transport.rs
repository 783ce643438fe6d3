// SPDX-License-Identifier: BSD-2-Clause
//! PCI as the crate has it, and one word more to the device: that its memory accesses may go through an IOMMU. A device that
//! stands behind one asks for that word, and the crate's driver of disks doesn't know it.

use virtio_drivers::PhysAddr;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The feature's bit, `VIRTIO_F_ACCESS_PLATFORM`. Addresses are the IOMMU's then, which are `dma_addr` in any case.
const ACCESS_PLATFORM: u64 = 1 << 33;

/// The transport, and whether the device asks for that feature.
pub struct BehindIommu(PciTransport, bool);

impl BehindIommu {
    /// What the device offers is looked at when the driver starts.
    pub fn new(transport: PciTransport) -> BehindIommu {
        BehindIommu(transport, false)
    }
}

impl Transport for BehindIommu {
    fn device_type(&self) -> DeviceType {
        self.0.device_type()
    }

    fn read_device_features(&mut self) -> u64 {
        let features = self.0.read_device_features();
        self.1 = features & ACCESS_PLATFORM != 0;
        features
    }

    fn write_driver_features(&mut self, driver_features: u64) {
        let platform = if self.1 { ACCESS_PLATFORM } else { 0 };
        self.0.write_driver_features(driver_features | platform);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.0.max_queue_size(queue)
    }

    fn notify(&mut self, queue: u16) {
        self.0.notify(queue);
    }

    fn get_status(&self) -> DeviceStatus {
        self.0.get_status()
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.0.set_status(status);
    }

    fn set_guest_page_size(&mut self, guest_page_size: u32) {
        self.0.set_guest_page_size(guest_page_size);
    }

    fn requires_legacy_layout(&self) -> bool {
        self.0.requires_legacy_layout()
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        let (driver, device) = (driver_area, device_area);
        self.0.queue_set(queue, size, descriptors, driver, device);
    }

    fn queue_unset(&mut self, queue: u16) {
        self.0.queue_unset(queue);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.0.queue_used(queue)
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        self.0.ack_interrupt()
    }

    fn read_config_generation(&self) -> u32 {
        self.0.read_config_generation()
    }

    fn read_config_space<T: FromBytes + IntoBytes>(
        &self,
        offset: usize,
    ) -> virtio_drivers::Result<T> {
        self.0.read_config_space(offset)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> virtio_drivers::Result<()> {
        self.0.write_config_space(offset, value)
    }
}
