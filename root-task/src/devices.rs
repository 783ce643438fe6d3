// SPDX-License-Identifier: BSD-2-Clause
//! The server's [`Machine`] on seL4: PCI by the two ports of its first mechanism, device memory from the device untypeds,
//! interrupts by handlers, what functions reach by the IOMMU.

use crate::boot::{BootError, FAN_OUT_MAX, FRAME_BITS, Maker};
use crate::cspace;
use crate::interrupts::{Handler, Pin, Target};
use crate::iommu::Iommu;
use crate::kernel::{Sel4, refused};
use crate::timer::Timer;
use crate::untypeds::Piece;
use alloc::vec::Vec;
use kmalloc_server::kernel::{
    ClientIndex, ClientObject, InterruptSource, MessageInterrupt, Object, Refused, Slot,
};
use kmalloc_server::machine::{DEVICE_FRAMES_MAX, INTERRUPT_BADGE, Machine};
use kmalloc_server::pci::{FUNCTIONS_MAX, FunctionAddress};
use kmalloc_server::physical::Page;
use sel4::ObjectBlueprint;
use sel4_extension::{IOPort, io_space};

/// The first and last of the ports of PCI's configuration space.
pub const PCI_PORTS: (u16, u16) = (0xcf8, 0xcff);

const CONFIG_ADDRESS: u16 = PCI_PORTS.0;
const CONFIG_DATA: u16 = 0xcfc;
const CONFIG_ENABLE: u32 = 1 << 31;
/// The interrupt of the first function among those of user programs; the timer's comes before.
const FIRST_VECTOR: sel4::Word = 1;
/// The processor's vector of user programs' first interrupt.
const VECTOR_BASE: u32 = 0x30;
/// Where messages for the first processor are written.
const MESSAGE_ADDRESS: u32 = 0xfee0_0000;
/// Slots for device untypeds, which are halved until they are a base address register's own.
const SPLITS_MAX: usize = 512;

/// The machine's devices: the server's own clock, and what drivers are given.
pub struct Devices {
    /// The alarm clock.
    pub timer: Timer,
    pci_ports: IOPort,
    /// What functions reach.
    iommu: Iommu,
    /// Device untypeds without children.
    pieces: Vec<Piece>,
    /// Slots for their halves.
    splits: core::ops::Range<usize>,
    /// An interrupt for each function.
    handlers: Vec<Handler>,
    /// Frames made so far.
    frames: u32,
}

impl Devices {
    /// Devices in the memory that `pieces` are, none of them used yet.
    pub fn new(
        timer: Timer,
        pci_ports: IOPort,
        iommu: Iommu,
        maker: &mut Maker<'_>,
        mut pieces: Vec<Piece>,
    ) -> Result<Devices, BootError> {
        pieces.reserve_exact(SPLITS_MAX);
        let mut handlers = Vec::with_capacity(FUNCTIONS_MAX);
        for function in 0..FUNCTIONS_MAX {
            handlers.push(maker.make_handler(FIRST_VECTOR + function as sel4::Word)?);
        }
        let first = maker.take_slot()?;
        for _ in 1..SPLITS_MAX {
            maker.take_slot()?;
        }
        Ok(Devices {
            timer,
            pci_ports,
            iommu,
            pieces,
            splits: first..first + SPLITS_MAX,
            handlers,
            frames: 0,
        })
    }

    fn handler(&self, number: u8) -> Result<Handler, Refused> {
        let handler = self.handlers.get(usize::from(number));
        handler.copied().ok_or(OUT_OF_RANGE)
    }

    fn select(&self, function: FunctionAddress, offset: u16) -> sel4::Result<()> {
        let word = CONFIG_ENABLE | u32::from(function.0) << 8 | u32::from(offset & 0xfc);
        self.pci_ports.out32(CONFIG_ADDRESS, word)
    }
}

const OUT_OF_RANGE: Refused = Refused {
    code: sel4::Error::RangeError.into_sys(),
};

impl Sel4 {
    /// A device untyped of just 2^`size_bits` bytes at `address`, taken out of those that are left.
    fn device_untyped(&mut self, address: u64, size_bits: usize) -> Result<Piece, Refused> {
        loop {
            let covers = |piece: &Piece| {
                piece.size_bits >= size_bits
                    && address >> piece.size_bits == piece.address >> piece.size_bits
            };
            let place = self.devices.pieces.iter().position(covers);
            let piece = self.devices.pieces.swap_remove(place.ok_or(OUT_OF_RANGE)?);
            if piece.size_bits == size_bits {
                return Ok(piece);
            }
            let halved = self.halve(piece);
            if halved.is_err() {
                self.devices.pieces.push(piece);
            }
            halved?;
        }
    }

    fn halve(&mut self, piece: Piece) -> Result<(), Refused> {
        let first = self.devices.splits.start;
        if first + 2 > self.devices.splits.end {
            return Err(OUT_OF_RANGE);
        }
        let size_bits = piece.size_bits - 1;
        let blueprint = ObjectBlueprint::Untyped { size_bits };
        self.retype_at(piece.cap, &blueprint, first, 2)?;
        self.devices.splits.start += 2;
        for (slot, address) in [
            (first, piece.address),
            (first + 1, piece.address + (1 << size_bits)),
        ] {
            self.devices.pieces.push(Piece {
                cap: cspace::address(slot).cast(),
                address,
                size_bits,
            });
        }
        Ok(())
    }

    fn target(&self, client: ClientIndex) -> Target {
        Target {
            notification: self.path(Slot::Client(client, ClientObject::Notification)),
            badge: INTERRUPT_BADGE,
        }
    }
}

impl Machine for Sel4 {
    fn pci_read(&mut self, function: FunctionAddress, offset: u16) -> Result<u32, Refused> {
        let devices = &self.devices;
        let word = devices
            .select(function, offset)
            .and_then(|()| devices.pci_ports.in32(CONFIG_DATA));
        word.map_err(refused)
    }

    fn pci_write(
        &mut self,
        function: FunctionAddress,
        offset: u16,
        value: u32,
    ) -> Result<(), Refused> {
        let devices = &self.devices;
        let written = devices
            .select(function, offset)
            .and_then(|()| devices.pci_ports.out32(CONFIG_DATA, value));
        written.map_err(refused)
    }

    fn device_frames(&mut self, address: u64, pages: usize) -> Result<u32, Refused> {
        let first = self.devices.frames;
        if !pages.is_power_of_two() || first as usize + pages > DEVICE_FRAMES_MAX as usize {
            return Err(OUT_OF_RANGE);
        }
        let size_bits = FRAME_BITS + pages.ilog2() as usize;
        let piece = self.device_untyped(address, size_bits)?;
        let mut made = 0;
        while made < pages {
            let batch = (pages - made).min(FAN_OUT_MAX);
            let slot = Slot::Device(first + made as u32);
            self.retype_from(piece.cap, Object::Frame, slot, batch)?;
            made += batch;
        }
        self.devices.frames += pages as u32;
        Ok(first)
    }

    fn open_interrupt(
        &mut self,
        number: u8,
        source: InterruptSource,
        client: ClientIndex,
    ) -> Result<Option<MessageInterrupt>, Refused> {
        let (handler, target) = (self.devices.handler(number)?, self.target(client));
        match source {
            InterruptSource::Line(line) => {
                let pin = Pin::Level(line.into());
                handler.take_pin(pin, &target).map_err(refused)?;
                Ok(None)
            }
            InterruptSource::Message(function) => {
                let taken = handler.take_message(function.parts(), &target);
                taken.map_err(refused)?;
                Ok(Some(MessageInterrupt {
                    address: MESSAGE_ADDRESS,
                    data: VECTOR_BASE + handler.vector as u32,
                }))
            }
        }
    }

    fn acknowledge_interrupt(&mut self, number: u8) -> Result<(), Refused> {
        self.devices.handler(number)?.acknowledge().map_err(refused)
    }

    fn close_interrupt(&mut self, number: u8) {
        if let Ok(handler) = self.devices.handler(number) {
            handler.give_up();
        }
    }

    fn io_levels(&self) -> u8 {
        self.devices.iommu.levels
    }

    fn open_io_space(&mut self, number: u8, function: FunctionAddress) -> Result<(), Refused> {
        let opened = self.devices.iommu.open(number, function.parts());
        opened.map_err(refused)
    }

    fn map_io_table(&mut self, table: Page, number: u8, address: u64) -> Result<(), Refused> {
        let table = self.cptr(Slot::Page(table));
        let mapped = self.devices.iommu.map_table(table, number, address);
        mapped.map_err(refused)
    }

    fn unmap_io_table(&mut self, table: Page) -> Result<(), Refused> {
        io_space::unmap_table(self.cptr(Slot::Page(table))).map_err(refused)
    }

    fn map_io_page(&mut self, copy: Slot, number: u8, address: u64) -> Result<(), Refused> {
        let mapped = self
            .devices
            .iommu
            .map_frame(self.cptr(copy), number, address);
        mapped.map_err(refused)
    }
}
