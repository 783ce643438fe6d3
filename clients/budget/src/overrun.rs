// SPDX-License-Identifier: BSD-2-Clause
//! Running until the time is up, holding memory that the server has to take back.

use crate::pace;
use kmalloc::{Flags, println, served, thread};

const STACK_BYTES: usize = 16 << 10;

/// Runs on and on in the way that the argument names; what it gives back is why that failed.
pub fn by(how: &str) -> u8 {
    println!("will use up its time: {how}");
    if served::kmalloc(100_000, Flags::ZERO).is_err() {
        return 2;
    }
    match how {
        "spin" => spin(0),
        "calls" => calls(),
        "thread" => in_a_thread(),
        _ => 3,
    }
}

fn spin(_: usize) -> ! {
    loop {
        pace::step();
    }
}

/// Its time is up in the kernel, before a call or on the way back from it.
fn calls() -> u8 {
    while served::stats().is_ok() {}
    4
}

/// The thread's time is up, while the first thread waits and has used next to none of its own.
fn in_a_thread() -> u8 {
    let Ok(stack) = served::kmalloc(STACK_BYTES, Flags::ZERO) else {
        return 5;
    };
    // SAFETY: the block has that many bytes, all zero, and is never given back.
    let stack = unsafe { core::slice::from_raw_parts_mut(stack.as_ptr(), STACK_BYTES) };
    // SAFETY: the thread calls nothing.
    let started = unsafe { thread::spawn(stack, |number| spin(number), 0, None) };
    if started.is_err() {
        return 6;
    }
    thread::park()
}
