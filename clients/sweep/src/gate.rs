// SPDX-License-Identifier: BSD-2-Clause
//! What the killer and its victim say to each other, without the server.

use kmalloc::process::sel4_task::slot;
use sel4::{CPtr, MessageInfo, MessageInfoBuilder, Word, cap};
use sel4_extension::thread::reply_authority;

/// Words of each message.
const WORDS: usize = 4;

fn info() -> MessageInfo {
    MessageInfoBuilder::default().length(WORDS).build()
}

/// The victim is ready: what it tells, and the answer.
pub fn call(words: [Word; WORDS]) -> Word {
    let killer = cap::Endpoint::from_bits(slot::CALLS);
    killer.call_with_mrs(info(), words).msg[0]
}

/// The victim is ready, and goes on as soon as the killer knows.
pub fn send(words: [Word; WORDS]) {
    cap::Endpoint::from_bits(slot::CALLS).send_with_mrs(info(), words);
}

/// The killer waits for its victim; what that tells.
pub fn receive() -> [Word; WORDS] {
    let reply = reply_authority(CPtr::from_bits(slot::REPLY));
    cap::Endpoint::from_bits(slot::SERVES)
        .recv_with_mrs(reply)
        .msg
}

/// The killer answers and waits for a signal, both in one system call.
pub fn answer_and_wait(word: Word) {
    let reply = reply_authority(CPtr::from_bits(slot::REPLY));
    let notification = cap::Endpoint::from_bits(slot::NOTIFICATION);
    sel4_extension::reply_recv_with_mrs(notification, info(), [word, 0, 0, 0], reply);
}

/// The killer forgets the signals that came before.
pub fn forget_signals() {
    cap::Notification::from_bits(slot::NOTIFICATION).poll();
}
