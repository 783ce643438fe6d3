// SPDX-License-Identifier: BSD-2-Clause
//! The client whose secrets are looked for: it fills its messages with them, well-formed and not, for as long as others run.

use crate::exchange::SECRET;
use crate::generator::{Random, message_of};
use crate::raw::Message;
use kmalloc::{Error, Events, event};
use kmalloc_protocol::message::WORDS_MAX;
use kmalloc_protocol::{LABEL, Request};

/// Sends secrets until nobody but services is left. The server answers each, and to nobody else.
pub fn main() -> Result<(), &'static str> {
    let mut random = Random::new(SECRET, 0);
    let mut sent = 0u64;
    loop {
        let mut secret = || SECRET << 32 | random.next() >> 32;
        let mut words = [0; WORDS_MAX];
        words.fill_with(&mut secret);
        let long = Message::new(LABEL, &words);
        let fields = message_of(&Request::KreallocArray {
            flags: 0,
            address: secret(),
            count: 1,
            size: 1,
        });
        let address = secret();
        for message in [long, fields, message_of(&Request::Kfree { address })] {
            // A refusal; what it echoes is this client's own.
            if message.call().words()[0] as u8 != 1 {
                return Err("a secret was taken for something that makes sense");
            }
            sel4::r#yield();
        }
        sent += 3;
        let events = event::events().map_err(|_: Error| "no events")?;
        if events.contains(Events::CLOSING) {
            kmalloc::println!("{sent} messages with secrets");
            return Ok(());
        }
    }
}
