// SPDX-License-Identifier: BSD-2-Clause
//! Devices: the PCI functions that the manifest allows a program.
//!
//! DMA memory for them comes from [`served::kmalloc_dma`](crate::served::kmalloc_dma); an interrupt arrives as a signal,
//! see [`process::wait_for_signals`](crate::process::wait_for_signals).

use crate::transport::{call, call_done, not_understood};
use core::ptr::NonNull;
use kmalloc_protocol::{Error, Reply, Request};

/// The bit of an interrupt among the signals that a program receives.
pub const INTERRUPT: u64 = 1 << 6;

/// The command register of a function: offset, and the bit by which it may read and write memory by itself.
const COMMAND: u32 = 4;
const BUS_MASTER: u32 = 1 << 2;
const COMMAND_BITS: u32 = 0xffff;

/// A PCI function that the program has until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    function: u8,
    /// Bus, device and function, as PCI packs them.
    pub address: u16,
    /// The vendor's number.
    pub vendor: u16,
    /// The device's number.
    pub device: u16,
    /// Class, subclass and interface.
    pub class: u32,
}

/// Registers, mapped uncached. Bytes behind them up to the end of the page belong to the device too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Where the program sees them.
    pub address: NonNull<u8>,
    /// Bytes.
    pub size: usize,
}

impl Device {
    /// Takes the `index`th of the functions that the manifest allows, from 0. It can't master the bus yet.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`] where there are not that many, [`Error::DeviceBusy`] while another client has it: for a while
    /// after that one's death, too.
    pub fn open(index: u8) -> Result<Device, Error> {
        match call(&Request::OpenDevice { index })? {
            Reply::Device {
                function,
                address,
                id,
                class,
            } => Ok(Device {
                function,
                address: address as u16,
                vendor: id as u16,
                device: (id >> 16) as u16,
                class,
            }),
            _ => not_understood(),
        }
    }

    /// Reads the word at `offset`, a multiple of 4 below 256, of the configuration space.
    ///
    /// # Errors
    ///
    /// [`Error::BadRegister`].
    pub fn read_config(&self, offset: u32) -> Result<u32, Error> {
        let function = self.function;
        match call(&Request::PciConfigRead { function, offset })? {
            Reply::Value { value } => Ok(value),
            _ => not_understood(),
        }
    }

    /// Writes the word at `offset`. Command, status, the interrupt line's note and what capabilities of the vendor's have
    /// can be written; a base address takes all bits (to ask for its size) and what it was.
    ///
    /// # Errors
    ///
    /// [`Error::BadRegister`] for everything else.
    pub fn write_config(&self, offset: u32, value: u32) -> Result<(), Error> {
        call_done(&Request::PciConfigWrite {
            function: self.function,
            offset,
            value,
        })
    }

    /// Lets the device read and write memory by itself, or stops it.
    ///
    /// # Errors
    ///
    /// None that a working server gives.
    pub fn set_bus_master(&self, on: bool) -> Result<(), Error> {
        let before = self.read_config(COMMAND)? & COMMAND_BITS & !BUS_MASTER;
        self.write_config(COMMAND, if on { before | BUS_MASTER } else { before })
    }

    /// Maps the registers behind a base address, 0 to 5, or gives where they are already.
    ///
    /// # Errors
    ///
    /// [`Error::BadRegister`] where there is none, [`Error::WrongKind`] where it is of IO ports, [`Error::DeviceBusy`]
    /// where another function's registers lie in the same page; else as for memory.
    pub fn map_bar(&self, bar: u8) -> Result<Registers, Error> {
        let function = self.function;
        match call(&Request::MapBar { function, bar })? {
            Reply::Region { address, size } => {
                match NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize)) {
                    Some(address) => Ok(Registers {
                        address,
                        size: size as usize,
                    }),
                    None => not_understood(),
                }
            }
            _ => not_understood(),
        }
    }

    /// From now on the device's interrupt signals the program, with [`INTERRUPT`]. A device that interrupts by messages has
    /// to master the bus for that ([`Device::set_bus_master`]): a message is a write to memory.
    ///
    /// # Errors
    ///
    /// [`Error::SharedInterrupt`] where its line is in use already.
    pub fn enable_interrupt(&self) -> Result<(), Error> {
        let function = self.function;
        call_done(&Request::EnableInterrupt { function })
    }

    /// Lets the interrupt come again. The device itself has to be told before that it was served.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`] where the interrupt is not enabled.
    pub fn acknowledge_interrupt(&self) -> Result<(), Error> {
        let function = self.function;
        call_done(&Request::AckInterrupt { function })
    }

    /// Says that the device no longer uses memory of its former driver, which then can be used again. That is asked for
    /// only where the server could not stop the device when that driver died; elsewhere it does nothing.
    ///
    /// # Errors
    ///
    /// None that a working server gives.
    pub fn release_quarantine(&self) -> Result<(), Error> {
        let function = self.function;
        call_done(&Request::ReleaseQuarantine { function })
    }
}
