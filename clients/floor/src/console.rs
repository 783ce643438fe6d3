// SPDX-License-Identifier: BSD-2-Clause
//! COM1, polled, and the port that ends QEMU.

use core::cell::Cell;
use core::fmt::{self, Write};
use sel4::{CPtr, CPtrBits};
use sel4_extension::IOPort;

const COM1: u16 = 0x3f8;
const LINE_STATUS: u16 = COM1 + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// The port of QEMU's `isa-debug-exit`.
const EXIT_PORT: u16 = 0xf4;

struct Ports(Cell<Option<(IOPort, IOPort)>>);

// SAFETY: this root task has one thread.
unsafe impl Sync for Ports {}

static PORTS: Ports = Ports(Cell::new(None));

/// Issues the ports into two of the empty slots.
pub fn start(slots: &mut core::ops::Range<usize>) -> sel4::Result<()> {
    let control = sel4::init_thread::slot::IO_PORT_CONTROL.cap();
    let cnode = sel4::init_thread::slot::CNODE.cap();
    let mut issue = |first: u16, last: u16| {
        let slot = CPtr::from_bits(slots.start as CPtrBits);
        slots.start += 1;
        control.ioport_control_issue(first.into(), last.into(), &cnode.absolute_cptr(slot))?;
        Ok::<_, sel4::Error>(IOPort::from_cptr(slot))
    };
    PORTS.0.set(Some((
        issue(COM1, COM1 + 7)?,
        issue(EXIT_PORT, EXIT_PORT + 3)?,
    )));
    Ok(())
}

/// Writes to the console.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (serial, _) = PORTS.0.get().ok_or(fmt::Error)?;
        for byte in text.bytes() {
            while serial
                .in8(LINE_STATUS)
                .is_ok_and(|status| status & TRANSMITTER_EMPTY == 0)
            {}
            serial.out8(COM1, byte).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}

/// Writes a line to the console. Without a console there is nobody to tell.
#[macro_export]
macro_rules! print_line {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::console::Console, $($argument)*);
    }};
}

/// Ends QEMU; its exit status is `2 * code + 1`.
pub fn leave(code: u8) -> ! {
    if let Some((_, exit)) = PORTS.0.get() {
        let _ = exit.out8(EXIT_PORT, code);
    }
    loop {
        sel4::r#yield();
    }
}
