// SPDX-License-Identifier: BSD-2-Clause

use sel4::sys::invocation_label as label;
use sel4::{CPtr, Result, cap};

use crate::invoke;

/// A range of IO ports, as `cap::IOPortControl` issues it.
#[derive(Debug, Copy, Clone)]
pub struct IOPort(cap::Unspecified);

impl IOPort {
    /// The range behind a capability's address.
    pub const fn from_cptr(cptr: CPtr) -> Self {
        Self(cptr.cast())
    }

    /// Reads a byte from `port`.
    pub fn in8(self, port: u16) -> Result<u8> {
        let [value, ..] = invoke(self.0, label::X86IOPortIn8, [port.into()])?;
        Ok(value as u8)
    }

    /// Writes a byte to `port`.
    pub fn out8(self, port: u16, value: u8) -> Result<()> {
        let words = [port.into(), value.into()];
        invoke(self.0, label::X86IOPortOut8, words).map(drop)
    }

    /// Reads four bytes from `port`.
    pub fn in32(self, port: u16) -> Result<u32> {
        let [value, ..] = invoke(self.0, label::X86IOPortIn32, [port.into()])?;
        Ok(value as u32)
    }

    /// Writes four bytes to `port`.
    pub fn out32(self, port: u16, value: u32) -> Result<()> {
        let words = [port.into(), value.into()];
        invoke(self.0, label::X86IOPortOut32, words).map(drop)
    }
}
