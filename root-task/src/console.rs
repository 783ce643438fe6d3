// SPDX-License-Identifier: BSD-2-Clause
//! The serial console: COM1, polled.

use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use sel4_extension::IOPort;

const COM1: u16 = 0x3f8;
const LINE_STATUS: u16 = COM1 + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// Polls before a byte is given up: a console that hangs must not stop the server.
const POLLS_MAX: usize = 100_000;
/// The port of QEMU's `isa-debug-exit`.
const EXIT_PORT: u16 = 0xf4;

/// The ports of the console, once boot has them. Only the root task's one thread prints.
struct Ports(UnsafeCell<Option<(IOPort, IOPort)>>);

// SAFETY: the root task has one thread.
unsafe impl Sync for Ports {}

static PORTS: Ports = Ports(UnsafeCell::new(None));

/// Hands the console its ports: those of COM1, and the one that ends QEMU.
pub fn set_ports(serial: IOPort, exit: IOPort) {
    // SAFETY: one thread, and nobody holds a reference across this call.
    unsafe { *PORTS.0.get() = Some((serial, exit)) }
}

fn ports() -> Option<&'static (IOPort, IOPort)> {
    // SAFETY: one thread; written once, at boot.
    unsafe { (*PORTS.0.get()).as_ref() }
}

/// Writes to the console.
pub struct Console;

/// Writes a byte to the console.
pub fn put_char(byte: u8) {
    let Some((serial, _)) = ports() else { return };
    for _ in 0..POLLS_MAX {
        match serial.in8(LINE_STATUS) {
            Ok(status) if status & TRANSMITTER_EMPTY == 0 => {}
            _ => break,
        }
    }
    let _ = serial.out8(COM1, byte);
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(put_char);
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
    if let Some((_, exit)) = ports() {
        let _ = exit.out8(EXIT_PORT, code);
    }
    loop {
        sel4::r#yield();
    }
}
