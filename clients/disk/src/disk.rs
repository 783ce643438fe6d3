// SPDX-License-Identifier: BSD-2-Clause
//! The disk: reads and writes of whole sectors, each waited for by its interrupt.

use crate::hal::{self, Configuration, DmaHal};
use crate::transport::BehindIommu;
use kmalloc::device::{Device, INTERRUPT};
use kmalloc::process;
use virtio_drivers::device::blk::{BlkReq, BlkResp, SECTOR_SIZE, VirtIOBlk};
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::pci::bus::{DeviceFunction, PciRoot};

/// Why the disk doesn't work.
#[derive(Debug)]
#[allow(dead_code, reason = "they are printed, by their Debug form")]
pub enum DiskError {
    /// The server refused.
    Server(kmalloc::Error),
    /// It is no disk that the crate knows.
    Transport(virtio_drivers::transport::pci::VirtioPciError),
    /// The disk refused.
    Disk(virtio_drivers::Error),
}

impl From<kmalloc::Error> for DiskError {
    fn from(error: kmalloc::Error) -> DiskError {
        DiskError::Server(error)
    }
}

impl From<virtio_drivers::Error> for DiskError {
    fn from(error: virtio_drivers::Error) -> DiskError {
        DiskError::Disk(error)
    }
}

/// A disk.
pub struct Disk {
    device: Device,
    blocks: VirtIOBlk<DmaHal, BehindIommu>,
}

impl Disk {
    /// Takes the disk and starts it.
    pub fn start() -> Result<Disk, DiskError> {
        let device = Device::open(0)?;
        hal::start(&device)?;
        device.set_bus_master(true)?;
        device.enable_interrupt()?;
        let place = DeviceFunction {
            bus: (device.address >> 8) as u8,
            device: (device.address >> 3) as u8 & 31,
            function: device.address as u8 & 7,
        };
        let mut root = PciRoot::new(Configuration(device));
        let transport = PciTransport::new::<DmaHal, _>(&mut root, place);
        let transport = transport.map_err(DiskError::Transport)?;
        let blocks = VirtIOBlk::new(BehindIommu::new(transport))?;
        Ok(Disk { device, blocks })
    }

    /// Bytes of the disk.
    pub fn bytes(&self) -> usize {
        self.blocks.capacity() as usize * SECTOR_SIZE
    }

    /// Reads whole sectors from the byte `start` on, a multiple of 512.
    pub fn read(&mut self, start: usize, buffer: &mut [u8]) -> Result<(), DiskError> {
        let (mut request, mut response) = (BlkReq::default(), BlkResp::default());
        let sector = start / SECTOR_SIZE;
        // SAFETY: nobody touches request, buffer and response before the request is complete.
        let token = unsafe {
            self.blocks
                .read_blocks_nb(sector, &mut request, buffer, &mut response)?
        };
        self.wait(token)?;
        // SAFETY: the same as above.
        unsafe {
            self.blocks
                .complete_read_blocks(token, &request, buffer, &mut response)?;
        }
        Ok(())
    }

    /// Writes whole sectors from the byte `start` on, a multiple of 512.
    pub fn write(&mut self, start: usize, buffer: &[u8]) -> Result<(), DiskError> {
        let (mut request, mut response) = (BlkReq::default(), BlkResp::default());
        let sector = start / SECTOR_SIZE;
        // SAFETY: nobody touches request, buffer and response before the request is complete.
        let token = unsafe {
            self.blocks
                .write_blocks_nb(sector, &mut request, buffer, &mut response)?
        };
        self.wait(token)?;
        // SAFETY: the same as above.
        unsafe {
            self.blocks
                .complete_write_blocks(token, &request, buffer, &mut response)?;
        }
        Ok(())
    }

    /// Waits for the interrupt that says that a request is done. There is one for each request, also where the disk was
    /// faster than the look at it.
    fn wait(&mut self, token: u16) -> Result<(), DiskError> {
        loop {
            if process::wait_for_signals() & INTERRUPT == 0 {
                continue;
            }
            self.blocks.ack_interrupt();
            self.device.acknowledge_interrupt()?;
            if self.blocks.peek_used() == Some(token) {
                return Ok(());
            }
        }
    }
}
