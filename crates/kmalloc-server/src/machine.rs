// SPDX-License-Identifier: BSD-2-Clause
//! The machine's devices as the server sees them: beside the kernel's objects, what PCI and interrupts are.

use crate::kernel::{ClientIndex, Refused};
use crate::pci::FunctionAddress;

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
    /// [`Slot::Device`](crate::kernel::Slot::Device).
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
}
