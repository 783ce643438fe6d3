// SPDX-License-Identifier: BSD-2-Clause
//! Waiting for some time, without a timer: a call to a client that has no budget, and runs that long before it answers.

use core::arch::x86_64::_rdtsc;
use kmalloc::process::sel4_task::slot;
use sel4::MessageInfoBuilder;

/// The label that ends who is called.
const STOP: sel4::Word = 1;

/// The time-stamp counter.
pub fn now() -> u64 {
    // SAFETY: every x86_64 processor has a time-stamp counter, and seL4 lets programs read it.
    unsafe { _rdtsc() }
}

/// Some thousand instructions. Without `pause`: where QEMU counts instructions, that one takes it as long as thousands.
pub fn step() {
    for number in 0..1000 {
        core::hint::black_box(number);
    }
}

/// Runs for so many ticks of the counter.
pub fn run(ticks: u64) {
    let start = now();
    while now() - start < ticks {
        step();
    }
}

/// Waits for so many ticks of the counter.
pub fn wait(ticks: u64) {
    let info = MessageInfoBuilder::default().length(1).build();
    sel4::cap::Endpoint::from_bits(slot::CALLS).call_with_mrs(info, [ticks]);
}

/// Ends who is called.
pub fn stop() {
    let info = MessageInfoBuilder::default().label(STOP).build();
    sel4::cap::Endpoint::from_bits(slot::CALLS).send(info);
}

/// Lets callers wait, until one ends it.
pub fn make() -> u8 {
    let endpoint = sel4::cap::Endpoint::from_bits(slot::SERVES);
    let authority = || sel4_extension::thread::reply_authority(sel4::CPtr::from_bits(slot::REPLY));
    let mut received = endpoint.recv_with_mrs(authority());
    while received.info.label() != STOP {
        run(received.msg[0]);
        received =
            sel4_extension::reply_recv_with_mrs(endpoint, received.info, received.msg, authority());
    }
    0
}
