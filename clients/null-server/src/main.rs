// SPDX-License-Identifier: BSD-2-Clause
//! Answers every call with its own four words: what a round trip costs when nobody does anything.
#![no_std]
#![no_main]

use kmalloc::process::sel4_task::slot;

kmalloc::main!(main);

/// The label that ends this server.
const STOP: sel4::Word = 1;

fn main() {
    let endpoint = sel4::cap::Endpoint::from_bits(slot::SERVES);
    let authority = || sel4_extension::thread::reply_authority(sel4::CPtr::from_bits(slot::REPLY));
    let mut received = endpoint.recv_with_mrs(authority());
    while received.info.label() != STOP {
        received =
            sel4_extension::reply_recv_with_mrs(endpoint, received.info, received.msg, authority());
    }
}
