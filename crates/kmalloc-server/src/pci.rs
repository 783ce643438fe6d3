// SPDX-License-Identifier: BSD-2-Clause
//! PCI functions: finding them, and where their registers are.

mod config;

use crate::Server;
use crate::iommu::IoSpace;
use crate::kernel::{ClientIndex, Kernel, Refused};
use kmalloc_bucket::ledger::NONE;

/// Functions that the server knows; further ones are not looked at.
pub const FUNCTIONS_MAX: usize = 32;
/// Buses that are searched.
const BUSES_MAX: usize = 16;
/// Base address registers of a function.
pub const BARS: usize = 6;

/// Registers of the configuration space, by offset in bytes.
pub mod register {
    /// Vendor in the low half, device in the high one.
    pub const ID: u16 = 0x00;
    /// Command in the low half, status in the high one.
    pub const COMMAND: u16 = 0x04;
    /// Class in the high three bytes.
    pub const CLASS: u16 = 0x08;
    /// The header's kind in the third byte.
    pub const HEADER: u16 = 0x0c;
    /// The first base address.
    pub const BAR: u16 = 0x10;
    /// Of a bridge: the bus behind it in the second byte.
    pub const BUSES: u16 = 0x18;
    /// Where the first capability is.
    pub const CAPABILITIES: u16 = 0x34;
    /// Interrupt line in the first byte, pin in the second.
    pub const INTERRUPT: u16 = 0x3c;
    /// The space ends here.
    pub const END: u16 = 0x100;
}

/// Bits of the command register.
pub mod command {
    /// The function answers at its memory.
    pub const MEMORY: u32 = 1 << 1;
    /// The function may read and write memory by itself.
    pub const BUS_MASTER: u32 = 1 << 2;
    /// What a driver may set: IO, memory, bus master, and that no interrupt line is used.
    pub const OF_DRIVERS: u32 = 1 | MEMORY | BUS_MASTER | 1 << 10;
    /// The half of the word that is the command register; the other is cleared by what is written to it.
    pub const ALL: u32 = 0xffff;
}

/// Where a function is: bus, device, function, as PCI packs them in 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionAddress(pub u16);

impl FunctionAddress {
    /// The address of a function of a device on a bus.
    pub const fn new(bus: u8, device: u8, function: u8) -> FunctionAddress {
        FunctionAddress((bus as u16) << 8 | (device as u16) << 3 | function as u16)
    }

    /// Bus, device and function.
    pub const fn parts(self) -> (u8, u8, u8) {
        (
            (self.0 >> 8) as u8,
            (self.0 >> 3) as u8 & 31,
            self.0 as u8 & 7,
        )
    }
}

/// A base address register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    /// The lowest address, or IO port.
    pub address: u64,
    /// Bytes; 0 where there is nothing, or this is the upper half of the one before.
    pub size: u64,
    /// The low bits, which say of what kind it is.
    pub kind: u32,
    /// Whether the next register is its upper half.
    pub wide: bool,
    /// Whether a driver is asking for the size: at this register, and at the upper half.
    pub sizing: [bool; 2],
    /// First of its frames of device memory, or [`NONE`] before they are made.
    pub frames: u32,
    /// First page of address space where the owner has it mapped, or [`NONE`].
    pub mapped: u32,
    /// Pages that are mapped there.
    pub mapped_pages: u32,
}

impl Bar {
    pub const NONE: Bar = Bar {
        address: 0,
        size: 0,
        kind: 0,
        wide: false,
        sizing: [false; 2],
        frames: NONE,
        mapped: NONE,
        mapped_pages: 0,
    };

    /// Whether it is IO ports.
    pub const fn is_ports(&self) -> bool {
        self.kind & 1 != 0
    }
}

/// A function of a device.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub address: FunctionAddress,
    /// Device in the high half, vendor in the low one.
    pub id: u32,
    /// Class, subclass and interface.
    pub class: u32,
    /// The interrupt line that firmware has written down.
    pub line: u8,
    pub bars: [Bar; BARS],
    /// Who has it. A dead owner keeps it until nothing of it is mapped in its address space.
    pub owner: Option<ClientIndex>,
    /// Whether its interrupt is the owner's.
    pub interrupt: bool,
    /// A dead owner of whose memory the function could not be shown to have let go.
    pub quarantine: Option<ClientIndex>,
    /// What it reaches, on a machine with an IOMMU.
    pub io_space: IoSpace,
}

impl<K: Kernel> Server<K> {
    /// Looks for PCI functions. To be called once, before clients start.
    pub fn find_functions(&mut self) -> Result<(), Refused> {
        self.io_levels = self.kernel.io_levels();
        let mut buses = [0u8; BUSES_MAX];
        let (mut known, mut searched) = (1, 0);
        while searched < known {
            let bus = buses.get(searched).copied().unwrap_or(0);
            searched += 1;
            for device in 0..32 {
                let mut functions = 1;
                for function in 0..8 {
                    if function >= functions {
                        break;
                    }
                    let address = FunctionAddress::new(bus, device, function);
                    let Some(header) = self.add_function(address)? else {
                        continue;
                    };
                    if function == 0 && header & 0x80 != 0 {
                        functions = 8;
                    }
                    if header & 0x7f == 1 && known < BUSES_MAX {
                        let behind = self.kernel.pci_read(address, register::BUSES)?;
                        if let Some(place) = buses.get_mut(known) {
                            *place = (behind >> 8) as u8;
                            known += 1;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes the function at this address, if there is one; the kind of its header.
    fn add_function(&mut self, address: FunctionAddress) -> Result<Option<u8>, Refused> {
        let id = self.kernel.pci_read(address, register::ID)?;
        if id & 0xffff == 0xffff {
            return Ok(None);
        }
        let header = (self.kernel.pci_read(address, register::HEADER)? >> 16) as u8;
        let class = self.kernel.pci_read(address, register::CLASS)? >> 8;
        let line = self.kernel.pci_read(address, register::INTERRUPT)? as u8;
        // Bridges are nobody's.
        if header & 0x7f == 0 && self.functions.len() < FUNCTIONS_MAX {
            self.functions.push(Function {
                address,
                id,
                class,
                line,
                bars: [Bar::NONE; BARS],
                owner: None,
                interrupt: false,
                quarantine: None,
                io_space: self.new_io_space(),
            });
        }
        Ok(Some(header))
    }

    /// Who has a function, by its number: a dead client does until nothing is mapped for it any more.
    pub fn owner_of(&self, function: u8) -> Option<ClientIndex> {
        self.functions.get(usize::from(function))?.owner
    }

    /// Lets a client have the functions of this vendor and device; how many there are.
    pub fn allow_device(&mut self, client: ClientIndex, vendor: u16, device: u16) -> usize {
        let id = u32::from(device) << 16 | u32::from(vendor);
        let mut found = 0;
        for (index, function) in self.functions.iter().enumerate() {
            if function.id == id
                && let Some(account) = self.clients.get_mut(client.index())
            {
                account.devices |= 1 << index;
                found += 1;
            }
        }
        found
    }

    /// Reads the base addresses of a function, and by PCI's own way their sizes: all bits are written, and those that
    /// stick say how large it is. It answers nowhere meanwhile.
    pub(crate) fn size_bars(&mut self, address: FunctionAddress) -> Result<[Bar; BARS], Refused> {
        let before = self.kernel.pci_read(address, register::COMMAND)? & command::ALL;
        let silent = before & !(command::MEMORY | 1 | command::BUS_MASTER);
        self.kernel.pci_write(address, register::COMMAND, silent)?;
        let sized = self.size_all(address);
        // Bus mastering is for the driver to ask for.
        let after = before & !command::BUS_MASTER;
        self.restore(address, register::COMMAND, after)?;
        sized
    }

    fn size_all(&mut self, address: FunctionAddress) -> Result<[Bar; BARS], Refused> {
        let mut bars = [Bar::NONE; BARS];
        let mut index = 0;
        while index < BARS {
            let bar = self.size_bar(address, index)?;
            if let Some(place) = bars.get_mut(index) {
                *place = bar;
            }
            index += 1 + usize::from(bar.wide);
        }
        Ok(bars)
    }

    fn size_bar(&mut self, address: FunctionAddress, index: usize) -> Result<Bar, Refused> {
        let low = bar_register(index);
        let value = self.kernel.pci_read(address, low)?;
        let kind = if value & 1 != 0 {
            value & 3
        } else {
            value & 15
        };
        let wide = value & 1 == 0 && kind & 6 == 4 && index + 1 < BARS;
        let mut mask = u64::from(self.stick(address, low, value)? & !kind);
        let mut start = u64::from(value & !kind);
        if wide {
            let upper = self.kernel.pci_read(address, low + 4)?;
            mask |= u64::from(self.stick(address, low + 4, upper)?) << 32;
            start |= u64::from(upper) << 32;
        } else if mask != 0 {
            // Ports may have 16 bits only, and an address 32.
            mask |= if value & 1 != 0 {
                !0xffff
            } else {
                !0xffff_ffff
            };
        }
        Ok(Bar {
            address: start,
            size: (!mask).wrapping_add(1),
            kind,
            wide,
            ..Bar::NONE
        })
    }

    /// Writes back what was in a register. What was left there instead would later be taken for an address, so a refusal
    /// is not the last word.
    fn restore(
        &mut self,
        address: FunctionAddress,
        offset: u16,
        before: u32,
    ) -> Result<(), Refused> {
        let written = self.kernel.pci_write(address, offset, before);
        if written.is_err() {
            self.kernel.pci_write(address, offset, before)?;
        }
        written
    }

    /// Which bits of a register stick when all are written; it is left as it was.
    fn stick(
        &mut self,
        address: FunctionAddress,
        offset: u16,
        before: u32,
    ) -> Result<u32, Refused> {
        self.kernel.pci_write(address, offset, u32::MAX)?;
        let stuck = self.kernel.pci_read(address, offset);
        self.restore(address, offset, before)?;
        stuck
    }
}

/// The register of a base address.
pub(crate) const fn bar_register(index: usize) -> u16 {
    register::BAR + 4 * index as u16
}
