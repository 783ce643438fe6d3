// SPDX-License-Identifier: BSD-2-Clause
//! What ends a program: faults that it forges, capabilities that it names and has not, and an end that it asks for in an odd
//! way. Each has a child of its own, whose exact end is what is checked.

use crate::generator::Random;
use crate::raw::Message;
use client_test::{Outcome, check_eq, ok};
use core::fmt::Write;
use kmalloc::child::Child;
use kmalloc::process::sel4_task::slot;
use kmalloc::{Cause, Ended, Error, Window, served};
use kmalloc_protocol::LABEL;
use kmalloc_protocol::message::WORDS_MAX;
use sel4::Word;

/// The words that a forged message has: where, at what, and so on.
const INSTRUCTION: Word = 0x1234_5678;
const ADDRESS: Word = 0x9abc_def0;
/// A slot that is empty, and one beyond the CSpace.
const EMPTY: Word = 40;
const NO_SLOT: Word = 0x10_0000;
/// The status of a child whose message was served.
const SERVED: u64 = 77;

/// Text of a number, for arguments.
struct Digits {
    bytes: [u8; 20],
    length: usize,
}

impl Digits {
    fn of(number: u64) -> Digits {
        let mut digits = Digits {
            bytes: [0; 20],
            length: 0,
        };
        // Twenty digits hold any number.
        let _ = write!(digits, "{number}");
        digits
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            *self.bytes.get_mut(self.length).ok_or(core::fmt::Error)? = byte;
            self.length += 1;
        }
        Ok(())
    }
}

/// How a child ends that does this with these numbers. Everything that it had is back, to the byte.
fn end_of(what: &str, numbers: [u64; 2]) -> Result<Ended, Error> {
    let before = served::stats()?;
    let [first, second] = numbers.map(Digits::of);
    let child = Child::start("victim", &[what, first.text(), second.text()], None)?;
    let ended = child.wait()?;
    let after = served::stats()?;
    if (after.limit, after.committed, after.slots) != (before.limit, before.committed, before.slots)
    {
        kmalloc::println!("# before {before:?}\n# after {after:?}");
        return Err(Error::NotPermitted);
    }
    Ok(ended)
}

/// What a child is that sends a message of this label and length to its own fault endpoint, on kernels without scheduling
/// contexts.
fn forged_cause(label: Word, length: usize) -> Cause {
    use sel4::sys::seL4_Fault_tag as tag;
    match (label, length) {
        (tag::seL4_Fault_CapFault, 4..=7) => Cause::CapFault,
        (tag::seL4_Fault_UnknownSyscall, 19) => Cause::UnknownSyscall,
        (tag::seL4_Fault_UserException, 5) => Cause::UserException,
        (tag::seL4_Fault_VMFault, 4) => Cause::VmFault,
        _ => Cause::UnknownFault,
    }
}

/// A message to its own fault endpoint ends a client, whatever it says: as the fault that it looks like, or as an unknown one.
pub fn forged_faults() -> Outcome {
    for label in 0..10 {
        for length in [0, 1, 3, 4, 5, 7, 8, 19, 20, WORDS_MAX] {
            let ended = ok!(end_of("forge", [label, length as u64]));
            check_eq!(
                (label, length, ended.cause),
                (label, length, forged_cause(label, length))
            );
            if matches!(ended.cause, Cause::VmFault | Cause::CapFault) {
                check_eq!((ended.instruction, ended.value), (INSTRUCTION, ADDRESS));
            }
        }
    }
    for label in [LABEL, 0xf_ffff] {
        check_eq!(ok!(end_of("forge", [label, 4])).cause, Cause::UnknownFault);
    }
    Ok(())
}

/// To send a capability from beyond one's slots is a fault of the sender's, and the server hears nothing of the message. An
/// empty slot is there, and nothing comes of it.
pub fn capabilities_that_are_not_there() -> Outcome {
    for slot in [NO_SLOT, 1 << 6, Word::MAX] {
        let ended = ok!(end_of("name", [slot, 0]));
        check_eq!((ended.cause, ended.value), (Cause::CapFault, slot));
        check_eq!(ended.calls, 0);
    }
    for slot in [EMPTY, slot::TCB, slot::NULL] {
        let ended = ok!(end_of("name", [slot, 0]));
        check_eq!((ended.cause, ended.value), (Cause::Exit, SERVED));
    }
    Ok(())
}

/// `Exit` with every byte pattern in its status, and killing oneself, each by call and by send.
pub fn ends_that_are_asked_for() -> Outcome {
    for status in [0, 1, 0x8000_0000, 0xffff_ffff] {
        for what in ["exit", "exit-by-send"] {
            let ended = ok!(end_of(what, [status, 0]));
            check_eq!((ended.cause, ended.value), (Cause::Exit, status));
        }
    }
    for what in ["kill", "kill-by-send"] {
        check_eq!(ok!(end_of(what, [0, 0])).cause, Cause::Killed);
    }
    Ok(())
}

/// Reads and writes where a child has nothing: at both ends of each window, at others' addresses there, below its program, in
/// the kernel's half, and where no address is. Each ends by a fault at that address.
pub fn pages_of_nobody() -> Outcome {
    const PAGE: u64 = 4096;
    let ends = Window::ALL.map(|window| {
        [
            window.base() as u64,
            (window.base() as u64) + (1 << 36) - PAGE,
        ]
    });
    let kernel = [0x8000_0000_0000_u64.wrapping_neg(), 0xffff_ffff_8000_0000];
    let fixed = [0, PAGE, 0x3000_0000, 0x7fff_ffff_e000];
    let random = |seed| {
        let mut random = Random::new(seed, 2);
        let window = Window::ALL[random.next() as usize % Window::ALL.len()];
        window.base() as u64 + random.next() % (1 << 36)
    };
    let places = ends.into_iter().flatten().chain(kernel).chain(fixed);
    for (number, address) in places.chain((0..60).map(random)).enumerate() {
        let is_write = number as u64 % 2;
        let ended = ok!(end_of("touch", [address, is_write]));
        // Release 5.0.0 reports the low half of an address.
        check_eq!(
            (address, ended.cause, ended.value as u32),
            (address, Cause::VmFault, address as u32)
        );
    }
    // What is no address is no fault of memory's: exception 13.
    for address in [
        0x8000_0000_0000,
        0x4000_0000_0000_0000,
        0xffff_7fff_ffff_fff0,
    ] {
        let ended = ok!(end_of("touch", [address, 0]));
        check_eq!(
            (address, ended.cause, ended.value),
            (address, Cause::UserException, 13)
        );
    }
    Ok(())
}

/// Threads that begin anywhere end their client, by a fault at that place.
pub fn threads_that_begin_anywhere() -> Outcome {
    for seed in 0..40 {
        // Nothing is mapped between the data and the first window.
        let entry = 0x5000_0000 + Random::new(seed, 1).next() % 0x4000_0000;
        let ended = ok!(end_of("thread", [entry, seed]));
        check_eq!(
            (ended.cause, ended.value, ended.instruction),
            (Cause::VmFault, entry, entry)
        );
    }
    Ok(())
}

/// What a child does that is to end.
pub fn child(what: &str, [first, second]: [u64; 2]) -> Result<(), &'static str> {
    use kmalloc_protocol::Request;
    let message = |request| crate::generator::message_of(&request);
    let kill = || kmalloc::find("victim").map(|handle| message(Request::Kill { handle }));
    match what {
        "forge" => {
            let mut words = [ADDRESS; WORDS_MAX];
            words[0] = INSTRUCTION;
            let length = (second as usize).min(WORDS_MAX);
            Message::new(first, &words[..length]).call_at(slot::FAULT);
        }
        "name" => {
            let caps = [slot::NOTIFICATION, first, slot::SERVER];
            let answer = message(Request::Stats).with_caps(2, caps).call();
            if answer.words().len() > 4 {
                kmalloc::process::exit(SERVED as u32);
            }
        }
        "exit" => drop(
            message(Request::Exit {
                status: first as u32,
            })
            .call(),
        ),
        "exit-by-send" => message(Request::Exit {
            status: first as u32,
        })
        .send(),
        "kill" => drop(kill().map_err(|_| "nobody has its name")?.call()),
        "kill-by-send" => kill().map_err(|_| "nobody has its name")?.send(),
        "touch" => {
            let place = core::ptr::without_provenance_mut::<u8>(first as usize);
            // SAFETY: nothing is there, so nothing is read or written: this program ends.
            unsafe {
                match second {
                    0 => drop(place.read_volatile()),
                    _ => place.write_volatile(1),
                }
            }
        }
        "thread" => {
            let stack = 0x30_0000 + second * 16;
            let start = Request::StartThread {
                entry: first,
                stack,
                argument: second,
            };
            message(start).call();
            // The other thread runs when this one's turn is over.
            for _ in 0..1_000 {
                sel4::r#yield();
            }
        }
        _ => return Err("no such end"),
    }
    Err("it should have ended")
}
