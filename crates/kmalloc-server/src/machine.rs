// SPDX-License-Identifier: BSD-2-Clause
//! The machine's devices as the server sees them: beside the kernel's objects, what PCI and interrupts are.

use crate::kernel::{ClientIndex, Refused, Slot};
use crate::pci::FunctionAddress;
use crate::physical::Page;

/// Pages of device memory that can be mapped in all: 8 MiB of registers.
pub const DEVICE_FRAMES_MAX: u32 = 2048;

/// The badge that a client's notification is signalled with by an interrupt of its devices; the server's own signals have
/// none.
pub const INTERRUPT_BADGE: u64 = 1 << 6;

/// Where an interrupt comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptSource {
    /// A line, held until the device is served.
    Line(u8),
    /// A message that the function writes.
    Message(FunctionAddress),
}

/// The write that is an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageInterrupt {
    /// Where to.
    pub address: u32,
    /// What.
    pub data: u32,
}

/// What the server asks of the machine for drivers. Interrupts are numbered as the server's functions are.
pub trait Machine {
    /// Reads a word of a function's configuration space; all bits are set where there is no function.
    fn pci_read(&mut self, function: FunctionAddress, offset: u16) -> Result<u32, Refused>;
    /// Writes a word of a function's configuration space.
    fn pci_write(
        &mut self,
        function: FunctionAddress,
        offset: u16,
        value: u32,
    ) -> Result<(), Refused>;
    /// Makes frames of device memory: `pages` in a row from a physical address on. The first one's number in
    /// [`Slot::Device`].
    fn device_frames(&mut self, address: u64, pages: usize) -> Result<u32, Refused>;
    /// Makes an interrupt signal the client's notification with [`INTERRUPT_BADGE`]; what the function has to write, if
    /// it is a message.
    fn open_interrupt(
        &mut self,
        number: u8,
        source: InterruptSource,
        client: ClientIndex,
    ) -> Result<Option<MessageInterrupt>, Refused>;
    /// Lets an interrupt come again.
    fn acknowledge_interrupt(&mut self, number: u8) -> Result<(), Refused>;
    /// Makes an interrupt signal nobody any more.
    fn close_interrupt(&mut self, number: u8);

    /// Levels of tables between a function and memory, if it reaches only what is mapped for it; 0 where kernel or machine
    /// have no IOMMU, and functions reach everything. Functions are numbered as the server's are.
    fn io_levels(&self) -> u8;
    /// Gives a function an address space of its own, with nothing in it but the table of the highest level. It has it for
    /// good: no kernel makes an IOMMU forget that table.
    fn open_io_space(&mut self, number: u8, function: FunctionAddress) -> Result<(), Refused>;
    /// Hooks a table into a function's address space, at the highest level over `address` that has none.
    fn map_io_table(&mut self, table: Page, number: u8, address: u64) -> Result<(), Refused>;
    /// Takes a table out of its address space, with no other below it.
    fn unmap_io_table(&mut self, table: Page) -> Result<(), Refused>;
    /// Lets a function reach a frame of 4 KiB at an unmapped address, to read and to write; by a copy of its capability,
    /// which is mapped nowhere. [`Kernel::unmap_page`](crate::kernel::Kernel::unmap_page) ends it.
    fn map_io_page(&mut self, copy: Slot, number: u8, address: u64) -> Result<(), Refused>;
}
