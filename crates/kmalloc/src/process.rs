// SPDX-License-Identifier: BSD-2-Clause
//! What a program does besides memory: it prints, and it ends.

use crate::ServerSource;
use crate::source::ShareSource;
use crate::transport;
use core::fmt::{self, Write};
use kmalloc_protocol::message::TEXT_BYTES_MAX;
use kmalloc_protocol::{Error, Reply, Request};

/// Text on its way to the server, a message at a time.
struct Text {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl Text {
    fn flush(&mut self) -> fmt::Result {
        let text = core::str::from_utf8(&self.bytes[..self.length]).map_err(|_| fmt::Error)?;
        self.length = 0;
        if text.is_empty() {
            return Ok(());
        }
        transport::call_done(&Request::Print { text }).map_err(|_| fmt::Error)
    }
}

impl Write for Text {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while !text.is_empty() {
            let room = TEXT_BYTES_MAX - self.length;
            let fits = (0..=room.min(text.len()))
                .rev()
                .find(|end| text.is_char_boundary(*end))
                .unwrap_or(0);
            let (now, later) = text.split_at(fits);
            self.bytes[self.length..self.length + now.len()].copy_from_slice(now.as_bytes());
            self.length += now.len();
            text = later;
            if !text.is_empty() {
                self.flush()?;
            }
        }
        Ok(())
    }
}

/// Prints; used by [`print!`](crate::print) and [`println!`](crate::println).
#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    let mut text = Text {
        bytes: [0; TEXT_BYTES_MAX],
        length: 0,
    };
    // Where the console does not work there is nobody to tell.
    let _ = text.write_fmt(arguments).and_then(|()| text.flush());
}

/// Prints text on the console, with the program's name before each line.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::process::print(core::format_args!($($argument)*)) };
}

/// Prints a line on the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => {
        $crate::process::print(core::format_args!("{}\n", core::format_args!($($argument)*)))
    };
}

/// How a program on the memory server reaches the world: `sel4_task::main!(main, hooks = &HOOKS)`.
pub static HOOKS: sel4_task::Hooks = sel4_task::Hooks {
    print,
    exit: |status| exit(status.into()),
};

/// Makes a function the program's main function, and connects it with the server.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        $crate::process::sel4_task::main!($main, hooks = &$crate::process::HOOKS);
    };
}

#[doc(hidden)]
pub use sel4_task;

/// Waits until the server signals the program, for whatever reason: [`events`](crate::event::events) tells which. A signal
/// that came before is not lost, and several may have become one.
pub fn wait() {
    sel4::cap::Notification::from_bits(sel4_task::slot::NOTIFICATION).wait();
}

/// Waits as [`wait`] does; what the signals were: [`INTERRUPT`](crate::device::INTERRUPT) where a device was among them.
pub fn wait_for_signals() -> u64 {
    sel4::cap::Notification::from_bits(sel4_task::slot::NOTIFICATION)
        .wait()
        .1
}

/// Has the program signalled once, when `delay_us` microseconds have passed; [`wait`] returns then. An alarm set before is
/// forgotten. With 0 none is set. Gives the time, in microseconds since the server was booted.
///
/// # Errors
///
/// [`Error::Refused`] where the machine's clock can't be used.
pub fn set_alarm(delay_us: u64) -> Result<u64, Error> {
    match transport::call(&Request::SetAlarm { delay_us })? {
        Reply::Time { now_us } => Ok(now_us),
        _ => transport::not_understood(),
    }
}

/// The handle of the program that has this name in the manifest, for sharing memory with it.
///
/// # Errors
///
/// [`Error::Stale`] with handle 0 if nobody alive has the name.
pub fn find(name: &str) -> Result<u64, Error> {
    ServerSource::new().find(name)
}

/// Ends the program. Everything it has goes back to the server. With the feature `checked`, what its heap has in use is
/// printed before, by who allocated it.
pub fn exit(status: u32) -> ! {
    #[cfg(feature = "checked")]
    crate::tags::print_live();
    loop {
        let _ = transport::call(&Request::Exit { status });
    }
}
