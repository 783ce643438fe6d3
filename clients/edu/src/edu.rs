// SPDX-License-Identifier: BSD-2-Clause
//! The device: an identity, a factorial, one DMA transfer at a time, interrupts.

use core::ptr::NonNull;
use kmalloc::device::{Device, INTERRUPT};
use kmalloc::{Error, process};

/// What the device says it is, with its version 1.0.
pub const IDENTITY: u32 = 0x0100_00ed;
/// The highest address that the device reaches: 28 bits.
pub const ADDRESS_MAX: u64 = (1 << 28) - 1;
/// Bytes to move at once at the most. The device's buffer has 4,096, but some versions of QEMU take the end of that for
/// outside.
pub const BUFFER_BYTES: usize = 4088;

const BUFFER_ADDRESS: u64 = 0x4_0000;
const IDENTITY_AT: usize = 0x00;
const LIVENESS: usize = 0x04;
const FACTORIAL: usize = 0x08;
const STATUS: usize = 0x20;
const STATUS_COMPUTING: u32 = 0x01;
const STATUS_INTERRUPT: u32 = 0x80;
const INTERRUPTS: usize = 0x24;
const ACKNOWLEDGE: usize = 0x64;
const DMA_SOURCE: usize = 0x80;
const DMA_DESTINATION: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;
const DMA_RUN: u64 = 1;
const DMA_TO_MEMORY: u64 = 2;
const DMA_INTERRUPT: u64 = 4;
/// Interrupts of the factorial, and of DMA.
const INTERRUPT_FACTORIAL: u32 = 0x001;
const INTERRUPT_DMA: u32 = 0x100;
/// Signals that are not the one waited for, before a test gives up.
const SIGNALS_MAX: usize = 100;

/// Which way.
#[derive(Clone, Copy)]
pub enum Way {
    ToDevice,
    ToMemory,
}

/// The device in this program's hands.
pub struct Edu {
    pub device: Device,
    registers: NonNull<u8>,
}

impl Edu {
    /// Takes the device, maps it, lets it master the bus and interrupt.
    pub fn start() -> Result<Edu, Error> {
        let device = Device::open(0)?;
        let registers = device.map_bar(0)?.address;
        device.set_bus_master(true)?;
        device.enable_interrupt()?;
        Ok(Edu { device, registers })
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: a register of the device, inside its mapped memory.
        unsafe { self.registers.add(offset).cast::<u32>().read_volatile() }
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: a register of the device, inside its mapped memory.
        unsafe {
            self.registers
                .add(offset)
                .cast::<u32>()
                .write_volatile(value)
        }
    }

    fn write_long(&self, offset: usize, value: u64) {
        // SAFETY: a register of the device, inside its mapped memory.
        unsafe {
            self.registers
                .add(offset)
                .cast::<u64>()
                .write_volatile(value)
        }
    }

    pub fn identity(&self) -> u32 {
        self.read(IDENTITY_AT)
    }

    /// What the device makes of a number: its complement.
    pub fn liveness(&self, number: u32) -> u32 {
        self.write(LIVENESS, number);
        self.read(LIVENESS)
    }

    /// Has the device compute a factorial, and waits for its interrupt.
    pub fn factorial(&self, number: u32) -> Result<u32, Error> {
        self.write(STATUS, STATUS_INTERRUPT);
        self.write(FACTORIAL, number);
        self.wait_for(INTERRUPT_FACTORIAL)?;
        while self.read(STATUS) & STATUS_COMPUTING != 0 {}
        Ok(self.read(FACTORIAL))
    }

    /// Moves bytes between memory and the device's buffer, and waits for the interrupt that says so.
    pub fn transfer(&self, dma_addr: u64, bytes: usize, way: Way) -> Result<(), Error> {
        self.begin(dma_addr, bytes, way);
        self.wait_for(INTERRUPT_DMA)
    }

    /// Begins a transfer: it happens 100 ms later.
    pub fn begin(&self, dma_addr: u64, bytes: usize, way: Way) {
        let (source, destination, command) = match way {
            Way::ToDevice => (dma_addr, BUFFER_ADDRESS, DMA_RUN | DMA_INTERRUPT),
            Way::ToMemory => (
                BUFFER_ADDRESS,
                dma_addr,
                DMA_RUN | DMA_INTERRUPT | DMA_TO_MEMORY,
            ),
        };
        self.write_long(DMA_SOURCE, source);
        self.write_long(DMA_DESTINATION, destination);
        self.write_long(DMA_COUNT, bytes as u64);
        self.write_long(DMA_COMMAND, command);
    }

    fn wait_for(&self, wanted: u32) -> Result<(), Error> {
        for _ in 0..SIGNALS_MAX {
            if process::wait_for_signals() & INTERRUPT == 0 {
                continue;
            }
            let pending = self.read(INTERRUPTS);
            self.write(ACKNOWLEDGE, pending);
            self.device.acknowledge_interrupt()?;
            if pending & wanted != 0 {
                return Ok(());
            }
        }
        Err(Error::NoDevice { device: 0 })
    }
}
