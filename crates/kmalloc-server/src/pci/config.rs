// SPDX-License-Identifier: BSD-2-Clause
//! What of a function's configuration space a driver may read and write.

use super::{BARS, Function, FunctionAddress, bar_register, command, register};
use crate::Server;
use crate::kernel::{Kernel, Refused};
use kmalloc_protocol::Error;

const CAPABILITY_LIST: u32 = 1 << 20;
/// Capabilities that are looked at: a list that is longer goes in circles.
const CAPABILITIES_MAX: usize = 48;
const CAPABILITY_MSI: u8 = 0x05;
const CAPABILITY_VENDOR: u8 = 0x09;

impl Function {
    /// Which base address a register belongs to, and which half of it: 0 for the lower.
    fn half(&self, register: usize) -> Option<(usize, usize)> {
        let below = register.checked_sub(1);
        match below.filter(|below| self.bars.get(*below).is_some_and(|bar| bar.wide)) {
            Some(below) => Some((below, 1)),
            None => (register < BARS).then_some((register, 0)),
        }
    }
}

impl<K: Kernel> Server<K> {
    /// The capability of this kind, as the offset of its first word.
    fn find_capability(
        &mut self,
        address: FunctionAddress,
        is_it: impl Fn(u8, u16, u32) -> bool,
    ) -> Result<Option<u16>, Refused> {
        if self.kernel.pci_read(address, register::COMMAND)? & CAPABILITY_LIST == 0 {
            return Ok(None);
        }
        let mut at = self.kernel.pci_read(address, register::CAPABILITIES)? as u16 & 0xfc;
        for _ in 0..CAPABILITIES_MAX {
            if at < 0x40 {
                break;
            }
            let word = self.kernel.pci_read(address, at)?;
            if is_it(word as u8, at, word) {
                return Ok(Some(at));
            }
            at = (word >> 8) as u16 & 0xfc;
        }
        Ok(None)
    }

    /// Where a function says how its interrupts are sent as messages, if it can.
    pub(crate) fn message_capability(
        &mut self,
        address: FunctionAddress,
    ) -> Result<Option<u16>, Refused> {
        self.find_capability(address, |kind, _, _| kind == CAPABILITY_MSI)
    }

    /// Reads a word of the configuration space for a driver.
    pub(crate) fn read_config(&mut self, index: usize, offset: u32) -> Result<u32, Error> {
        let (function, offset) = self.config_word(index, offset)?;
        let address = function.address;
        if let Some((bar, half)) = bar_index(offset).and_then(|index| function.half(index))
            && let Some(bar) = function.bars.get(bar)
            && bar.sizing.get(half) == Some(&true)
        {
            let mask = !bar.size.wrapping_sub(1);
            return Ok(match half {
                0 if bar.size == 0 => 0,
                0 if bar.is_ports() => mask as u32 & !3 | bar.kind,
                0 => mask as u32 & !15 | bar.kind,
                _ => (mask >> 32) as u32,
            });
        }
        Ok(self.kernel.pci_read(address, offset)?)
    }

    /// Writes a word of the configuration space for a driver, if it is one that does no harm to others.
    pub(crate) fn write_config(
        &mut self,
        index: usize,
        offset: u32,
        value: u32,
    ) -> Result<(), Error> {
        let (function, offset) = self.config_word(index, offset)?;
        let address = function.address;
        if let Some(bar) = bar_index(offset) {
            return self.write_bar(index, bar, value);
        }
        let before = self.kernel.pci_read(address, offset)?;
        let value = match offset {
            register::COMMAND => {
                before & command::ALL & !command::OF_DRIVERS
                    | value & (command::OF_DRIVERS | !command::ALL)
            }
            // A note that nobody but the driver reads.
            register::INTERRUPT => before & !0xff | value & 0xff,
            // What a vendor defines is about the function itself.
            _ => {
                let inside = |kind, at, word: u32| {
                    let length = (word >> 16) as u16 & 0xff;
                    kind == CAPABILITY_VENDOR && (at + 4..at + length).contains(&offset)
                };
                if self.find_capability(address, inside)?.is_none() {
                    let offset = u64::from(offset);
                    return Err(Error::BadRegister { offset });
                }
                value
            }
        };
        Ok(self.kernel.pci_write(address, offset, value)?)
    }

    /// Drivers learn a size by writing all bits and then what was there. Both are answered without touching the
    /// function; no other address is ever set.
    fn write_bar(&mut self, index: usize, bar: usize, value: u32) -> Result<(), Error> {
        let offset = u64::from(bar_register(bar));
        let refusal = Error::BadRegister { offset };
        let function = self.functions.get_mut(index).ok_or(refusal)?;
        let (bar, half) = function.half(bar).ok_or(refusal)?;
        let place = function.bars.get_mut(bar).ok_or(refusal)?;
        let before = match half {
            0 => place.address as u32 | place.kind,
            _ => (place.address >> 32) as u32,
        };
        *place.sizing.get_mut(half).ok_or(refusal)? = value == u32::MAX;
        if value == u32::MAX || value == before || place.size == 0 {
            Ok(())
        } else {
            Err(refusal)
        }
    }

    fn config_word(&self, index: usize, offset: u32) -> Result<(&Function, u16), Error> {
        let function = self.functions.get(index).ok_or(Error::NoDevice {
            device: index as u64,
        })?;
        if offset >= u32::from(register::END) || !offset.is_multiple_of(4) {
            let offset = u64::from(offset);
            return Err(Error::BadRegister { offset });
        }
        Ok((function, offset as u16))
    }
}

/// Which base address a register is.
fn bar_index(offset: u16) -> Option<usize> {
    let index = offset.checked_sub(register::BAR)? as usize / 4;
    (index < BARS).then_some(index)
}
