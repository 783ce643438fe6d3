// SPDX-License-Identifier: BSD-2-Clause

//! IO ports.

use crate::cap_types::{CapType, cap};
use crate::cptr::{AbsoluteCPtr, Cap};
use crate::error::Result;
use crate::invocation_context::{InvocationContext, NoExplicitInvocationContext};
use crate::sys::label;

/// Marks a capability to a range of ports.
#[derive(Debug, Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct IOPortType;

impl CapType for IOPortType {
    const NAME: &'static str = "IOPort";
}

/// A range of ports.
pub type IOPort<C = NoExplicitInvocationContext> = Cap<IOPortType, C>;

/// A capability to the ports from `first_port` to `last_port`, in the slot `dst` if the kernel needs one. Of `dst` the
/// path must be its address in the caller's CSpace too.
///
/// Release 5 has one capability to all ports from the start: there `dst` stays empty and `control` itself is given back.
pub fn issue(
    control: cap::IOPortControl,
    first_port: u16,
    last_port: u16,
    dst: &AbsoluteCPtr,
) -> Result<IOPort> {
    #[cfg(kernel_all_io_ports)]
    {
        let _ = (first_port, last_port, dst);
        Ok(control.cast())
    }
    #[cfg(not(kernel_all_io_ports))]
    {
        control.ioport_control_issue(first_port.into(), last_port.into(), dst)?;
        Ok(Cap::from_bits(dst.path().bits()))
    }
}

#[cfg(not(kernel_all_io_ports))]
impl<C: InvocationContext> cap::IOPortControl<C> {
    /// Makes a capability to a range of ports.
    pub fn ioport_control_issue(
        self,
        first_port: crate::Word,
        last_port: crate::Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        self.invoke(
            label::X86IOPortControlIssue,
            [dst.root().bits()],
            [
                first_port,
                last_port,
                dst.path().bits(),
                dst.path().depth() as u64,
            ],
        )
        .map(drop)
    }
}

impl<C: InvocationContext> IOPort<C> {
    /// Reads a byte from `port`.
    pub fn in8(self, port: u16) -> Result<u8> {
        let [value, ..] = self.invoke(label::X86IOPortIn8, [], [port.into()])?;
        Ok(value as u8)
    }

    /// Reads 16 bits from `port`.
    pub fn in16(self, port: u16) -> Result<u16> {
        let [value, ..] = self.invoke(label::X86IOPortIn16, [], [port.into()])?;
        Ok(value as u16)
    }

    /// Reads 32 bits from `port`.
    pub fn in32(self, port: u16) -> Result<u32> {
        let [value, ..] = self.invoke(label::X86IOPortIn32, [], [port.into()])?;
        Ok(value as u32)
    }

    /// Writes a byte to `port`.
    pub fn out8(self, port: u16, value: u8) -> Result<()> {
        let words = [port.into(), value.into()];
        self.invoke(label::X86IOPortOut8, [], words).map(drop)
    }

    /// Writes 16 bits to `port`.
    pub fn out16(self, port: u16, value: u16) -> Result<()> {
        let words = [port.into(), value.into()];
        self.invoke(label::X86IOPortOut16, [], words).map(drop)
    }

    /// Writes 32 bits to `port`.
    pub fn out32(self, port: u16, value: u32) -> Result<()> {
        let words = [port.into(), value.into()];
        self.invoke(label::X86IOPortOut32, [], words).map(drop)
    }
}
