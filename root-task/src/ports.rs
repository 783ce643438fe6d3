// SPDX-License-Identifier: BSD-2-Clause
//! The server's IO ports. Their capabilities lie in the first empty slots of the kernel's own CNode.

use crate::console;
use sel4::{BootInfoPtr, CPtr};
use sel4_extension::IOPort;

/// Which of the empty slots holds the ports of the console.
const SERIAL: usize = 0;
/// Which holds the port that ends QEMU.
const EXIT: usize = 1;
/// Which holds the timer's.
pub const TIMER: usize = 2;
/// Which holds those of PCI's configuration space.
pub const PCI: usize = 3;
/// How many of them hold ports.
pub const SLOTS: usize = 4;

/// Gets the console going, before anything can fail.
pub fn start_console(bootinfo: &BootInfoPtr) -> sel4::Result<()> {
    let serial = issue(bootinfo, SERIAL, (0x3f8, 0x3ff))?;
    let exit = issue(bootinfo, EXIT, (0xf4, 0xf7))?;
    console::set_ports(serial, exit);
    Ok(())
}

/// Takes the ports from the first to the last, into one of the slots.
pub fn issue(
    bootinfo: &BootInfoPtr,
    slot: usize,
    (first, last): (u16, u16),
) -> sel4::Result<IOPort> {
    let control = sel4::init_thread::slot::IO_PORT_CONTROL.cap();
    let cnode = sel4::init_thread::slot::CNODE.cap();
    let empty = bootinfo.empty().range();
    let place = CPtr::from_bits((empty.start + slot) as sel4::CPtrBits);
    control.ioport_control_issue(first.into(), last.into(), &cnode.absolute_cptr(place))?;
    Ok(IOPort::from_cptr(place))
}
