// SPDX-License-Identifier: BSD-2-Clause
//! What the clients say to each other, without the server: one word out, one word back.

use core::cell::Cell;
use kmalloc::process::sel4_task::slot;
use sel4::{MessageInfo, MessageInfoBuilder, Word};
use sel4_extension::thread::reply_authority;

/// The maker: here is a token.
pub const TOKEN: Word = 1;
/// The thief: which token were you given?
pub const STEAL: Word = 2;
/// The thief: it was of no use.
pub const IN_VAIN: Word = 3;
/// The maker: has the thief been there?
pub const THIEF: Word = 4;

fn info(label: Word) -> MessageInfo {
    MessageInfoBuilder::default().label(label).length(1).build()
}

/// Calls the partner; its answer.
pub fn call(label: Word, word: u64) -> u64 {
    let partner = sel4::cap::Endpoint::from_bits(slot::CALLS);
    partner.call_with_mrs(info(label), [word, 0, 0, 0]).msg[0]
}

/// Tells the partner, and waits for no answer.
pub fn send(label: Word, word: u64) {
    sel4::cap::Endpoint::from_bits(slot::CALLS).send_with_mrs(info(label), [word, 0, 0, 0]);
}

/// Lets others run.
pub fn pause() {
    sel4::r#yield();
}

/// Where the partner hears from the maker, and on the way from the thief.
pub struct Door {
    /// The answer that somebody waits for.
    answer: Cell<Option<Word>>,
    /// What the thief is told.
    token: Cell<u64>,
    thief_was_there: Cell<bool>,
}

impl Door {
    /// Nobody waits.
    pub const fn new() -> Door {
        Door {
            answer: Cell::new(None),
            token: Cell::new(0),
            thief_was_there: Cell::new(false),
        }
    }

    /// What the next call gets that has not been answered.
    pub fn answer(&self, word: u64) {
        self.answer.set(Some(word));
    }

    /// The next token from the maker. Everyone else is answered on the way.
    pub fn token(&self) -> u64 {
        let endpoint = sel4::cap::Endpoint::from_bits(slot::SERVES);
        let authority = || reply_authority(sel4::CPtr::from_bits(slot::REPLY));
        loop {
            let received = match self.answer.take() {
                Some(word) => sel4_extension::reply_recv_with_mrs(
                    endpoint,
                    info(0),
                    [word, 0, 0, 0],
                    authority(),
                ),
                None => endpoint.recv_with_mrs(authority()),
            };
            match received.info.label() {
                TOKEN => {
                    self.token.set(received.msg[0]);
                    return received.msg[0];
                }
                STEAL => self.answer(self.token.get()),
                THIEF => self.answer(self.thief_was_there.get().into()),
                _ => {
                    self.thief_was_there.set(true);
                    self.answer(0);
                }
            }
        }
    }
}
