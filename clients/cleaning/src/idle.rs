// SPDX-License-Identifier: BSD-2-Clause
//! Waiting until nobody has anything to do: a client of the lowest priority answers.

use kmalloc::process::sel4_task::slot;
use sel4::{MessageInfo, MessageInfoBuilder, Word, cap};

/// The label that ends the client of the lowest priority.
const STOP: Word = 1;
/// Turns that it leaves to others of its priority before it answers. One who needs the processor gets a time slice in each.
const TURNS: usize = 100;

fn info(label: Word) -> MessageInfo {
    MessageInfoBuilder::default().label(label).build()
}

/// Returns when nobody else has anything to do.
pub fn wait() {
    let endpoint = cap::Endpoint::from_bits(slot::CALLS);
    endpoint.call_with_mrs(info(0), [0; 0]);
}

/// Ends the client that [`wait`] waits for.
pub fn stop() {
    cap::Endpoint::from_bits(slot::CALLS).send_with_mrs(info(STOP), [0; 0]);
}

/// What that client does.
pub fn serve() -> ! {
    let endpoint = cap::Endpoint::from_bits(slot::SERVES);
    let authority = || sel4_extension::thread::reply_authority(sel4::CPtr::from_bits(slot::REPLY));
    let mut received = endpoint.recv_with_mrs(authority());
    while received.info.label() != STOP {
        for _ in 0..TURNS {
            sel4::r#yield();
        }
        received =
            sel4_extension::reply_recv_with_mrs(endpoint, received.info, received.msg, authority());
    }
    kmalloc::process::exit(0)
}
