// SPDX-License-Identifier: BSD-2-Clause
//! The server's IO ports. Their capabilities lie in the first slots that are empty at boot; then come those of others.

use crate::console;
use core::ops::Range;
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
/// Which holds those of the trace channel, if there is one.
pub const TRACE: usize = 4;
/// How many of them hold ports.
pub const SLOTS: usize = 5;

/// Slots that the server leaves to the rest of the root task.
const SLOTS_LEFT: usize = 16;
/// Slots for the pieces of untypeds, before the server has its own CNode.
const SPLIT_SLOTS: usize = 1024;

/// The slots that the server leaves to the rest of the root task: 16, empty at boot. What is in them when the server is run
/// stays at its address.
pub fn slots_left(bootinfo: &BootInfoPtr) -> Range<usize> {
    let first = bootinfo.empty().range().start + SLOTS;
    first..first + SLOTS_LEFT
}

/// The slots for the pieces of untypeds. Behind the last of them, boot knows of nothing.
pub fn split_slots(bootinfo: &BootInfoPtr) -> Range<usize> {
    let first = slots_left(bootinfo).end;
    first..(first + SPLIT_SLOTS).min(bootinfo.empty().range().end)
}

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
