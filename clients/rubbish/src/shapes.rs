// SPDX-License-Identifier: BSD-2-Clause
//! Messages of every shape: lengths, numbers, labels, capabilities, encodings.

use crate::exchange::{Desk, tell};
use crate::generator::{Random, SLOTS, message_of, message_of_bytes};
use crate::raw::Message;
use client_test::{Outcome, check, check_eq, ok};
use kmalloc::process::sel4_task::slot;
use kmalloc_protocol::message::{BYTES_MAX, WORDS_MAX, decode_request, encode_long};
use kmalloc_protocol::{BadMessage, Error, LABEL, PROTOCOL_VERSION, Request};
use sel4::Word;

/// What this client is called in the manifest.
pub const NAME: &str = "rubbish";
/// Slots of a client's CSpace.
const CSPACE_SLOTS: Word = 1 << 6;
/// What the kernel says of an invocation of an empty slot.
const EMPTY: Word = sel4::Error::InvalidCapability.into_sys() as Word;
/// No kernel has a method with a higher number on x86_64.
const METHODS: Word = 80;
/// The seed of words whose value does not matter.
const SEED: u64 = 0x73_6861_7065;

/// Sends a message, unless it is one that would end this program or print; says what it was if the answer is wrong.
fn send(desk: &mut Desk, message: &Message) -> Outcome {
    if desk.is_deadly(message) || Desk::prints(message) {
        return Ok(());
    }
    if let Err(why) = desk.send(message) {
        tell(desk, message, why);
        check!(why.is_empty());
    }
    // What a message brought by chance goes back before it is too much.
    if desk.holdings.things().len() > 32 {
        give_back(desk)?;
    }
    Ok(())
}

fn give_back(desk: &mut Desk) -> Outcome {
    check_eq!(desk.give_back(), Ok(()));
    Ok(())
}

/// Every number, in messages of every length, with three fillings: ones, zeros, anything.
pub fn every_length_and_every_opcode() -> Outcome {
    let mut desk = ok!(Desk::new(NAME));
    let mut random = Random::new(SEED, 0);
    for opcode in 0..=255 {
        for length in 1..=WORDS_MAX {
            let mut words = [Word::MAX; WORDS_MAX];
            words[0] = Word::MAX << 8 | opcode;
            send(&mut desk, &Message::new(LABEL, &words[..length]))?;
            words = [0; WORDS_MAX];
            words[0] = opcode;
            send(&mut desk, &Message::new(LABEL, &words[..length]))?;
            words.fill_with(|| random.next());
            words[0] = words[0] << 8 | opcode;
            send(&mut desk, &Message::new(LABEL, &words[..length]))?;
        }
    }
    give_back(&mut desk)?;
    kmalloc::println!("# {} messages", desk.sent);
    check!(desk.sent > 91_000 && desk.served > 10);
    Ok(())
}

/// No words at all, and every label there is on the oldest kernel, with words that would be a request.
pub fn every_other_label() -> Outcome {
    let mut desk = ok!(Desk::new(NAME));
    for label in (0..1 << 13).chain((13..20).map(|bit| 1 << bit)) {
        for length in [0, 1, 2, 4, 5, WORDS_MAX] {
            let message = Message::new(label, &[0; WORDS_MAX][..length]);
            if label != LABEL {
                send(&mut desk, &message)?;
            }
        }
    }
    let fault = Message::new(5, &[0x40_0000, 0x7000_0000, 0, 4]);
    let refused = Error::BadVersion {
        expected: PROTOCOL_VERSION,
        label: 5,
    };
    // What the kernel says of a fault is only taken on the endpoint for faults.
    check_eq!(decode(&fault), Err(refused));
    check!(desk.sent > 49_000 && desk.served == 0);
    let empty = Message::new(LABEL, &[]);
    check_eq!(decode(&empty), Err(Error::BadMessage(BadMessage::Empty)));
    send(&mut desk, &empty)
}

fn decode(message: &Message) -> Result<(), Error> {
    crate::oracle::decode(message, &mut [0; BYTES_MAX]).map(drop)
}

/// One to three capabilities of four kinds. A message with any to the server's endpoint is refused; at the first other
/// one the kernel takes none, and the server knows of none. Nothing arrives in a slot either way.
pub fn capabilities() -> Outcome {
    let mut desk = ok!(Desk::new(NAME));
    let mut refused = 0;
    for pick in 0..4 * 4 * 4 {
        let caps = [SLOTS[pick % 4], SLOTS[pick / 4 % 4], SLOTS[pick / 16]];
        for count in 1..=3 {
            for request in [Request::Stats, Request::Kfree { address: 0 }] {
                let message = message_of(&request).with_caps(count, caps);
                if let Err(error) = decode(&message) {
                    check_eq!(error, Error::BadMessage(BadMessage::Capabilities));
                    refused += 1;
                }
                send(&mut desk, &message)?;
            }
        }
    }
    check_eq!(refused, 2 * 3 * 32);
    check_eq!(desk.served, desk.sent - refused);
    Ok(())
}

/// Every slot of the CSpace is invoked with every label that could be a method of the kernel's. All but a few are empty, so
/// that there is nothing to make an untyped, a frame or a table of, nor a thread or CNode to change.
pub fn slots() -> Outcome {
    let mut desk = ok!(Desk::new(NAME));
    let before = ok!(desk.look());
    let mut empty = 0;
    for at in 0..CSPACE_SLOTS {
        // Messages, whatever their labels: two to the server, one to whoever called. Who invokes them is tested elsewhere.
        if [slot::SERVER, slot::FAULT, slot::REPLY].contains(&at) {
            continue;
        }
        let is_notification = [slot::NOTIFICATION, slot::PARKING].contains(&at);
        for label in 0..METHODS {
            let words = [1, 12, 0, 0, at, 20, 1, 0];
            let caps = [slot::SERVER, slot::NOTIFICATION, slot::SERVER];
            let answer = Message::new(label, &words).with_caps(3, caps).call_at(at);
            let error = answer.info >> 12;
            // A signal says nothing, whatever else is in the message.
            if is_notification && error == 0 {
                check_eq!((at, label, answer.words().len()), (at, label, 0));
                continue;
            }
            check_eq!((at, label, error), (at, label, EMPTY));
            empty += 1;
        }
    }
    check!(empty >= (CSPACE_SLOTS - 5) * METHODS);
    // What was signalled is nothing to wait for.
    sel4::cap::Notification::from_bits(slot::NOTIFICATION).poll();
    let after = ok!(desk.look());
    check_eq!(
        (after.limit, after.committed, after.slots),
        (before.limit, before.committed, before.slots)
    );
    Ok(())
}

/// What the kernel overwrites in a message's description, and what it does not look at, changes nothing; a length
/// beyond the longest is cut.
pub fn reserved_bits() -> Outcome {
    let mut desk = ok!(Desk::new(NAME));
    for bit in (9..12).chain(12 + sel4::MessageInfo::label_width()..64) {
        for request in [
            Request::Stats,
            Request::Kfree { address: 0 },
            Request::Kfree { address: 1 },
            Request::Find {
                name: "nobody, by a long name that takes more than four words",
            },
        ] {
            let mut message = message_of(&request);
            message.info |= 1 << bit;
            send(&mut desk, &message)?;
        }
    }
    for length in WORDS_MAX + 1..128 {
        let mut message = Message::new(LABEL, &[0; WORDS_MAX]);
        message.info = LABEL << 12 | length as Word;
        check_eq!(
            decode(&message),
            Err(Error::BadMessage(BadMessage::Trailing))
        );
        send(&mut desk, &message)?;
    }
    Ok(())
}

/// Messages that end before their last field, while another client fills its own with secrets: what is missing is not
/// taken from what somebody sent before.
pub fn truncated_messages() -> Outcome {
    const TEXT: &str = "a text that is longer than what travels in registers, and then some, so that most of it is \
                        read from the buffer where the words of all clients come in, one after the other";
    let mut desk = ok!(Desk::new(NAME));
    let requests = [
        Request::KreallocArray {
            flags: 0,
            address: 1 << 36,
            count: 1,
            size: 1,
        },
        Request::Kmalloc { flags: 0, size: 1 },
        Request::Kfree { address: 1 << 36 },
        Request::KmallocDma {
            align_bits: 0,
            boundary_bits: 0,
            cache: 0,
            size: 1,
            max_addr: u64::MAX,
        },
        Request::Print { text: TEXT },
        Request::Start {
            memory: 0,
            text: TEXT,
        },
        Request::Find { name: TEXT },
    ];
    for round in 0..200 {
        for request in &requests {
            let whole = message_of(request);
            for length in 0..whole.length() {
                let mut message = whole.clone();
                message.info = message.info & !127 | length as Word;
                let reason = match length {
                    0 => BadMessage::Empty,
                    _ => BadMessage::Truncated,
                };
                check_eq!(decode(&message), Err(Error::BadMessage(reason)));
                send(&mut desk, &message)?;
                if (round + length) % 3 == 0 {
                    sel4::r#yield();
                }
            }
        }
    }
    check_eq!(desk.served, 0);
    Ok(())
}

/// The length of a text in more bytes than it needs, padding that is not zero, words behind the last, text that is none.
pub fn other_encodings() -> Outcome {
    let mut desk = ok!(Desk::new(NAME));
    for opcode in [13, 20, 26u8] {
        let at = if opcode == 20 { 16 } else { 1 };
        for (length, extra) in [(0, 1), (0, 9), (5, 1), (5, 3), (127, 1), (128, 1), (200, 2)] {
            let mut bytes = [0; BYTES_MAX];
            bytes[0] = opcode;
            let mut end = at;
            // Seven bits a byte, and `extra` bytes that add nothing.
            let mut left: usize = length;
            while left >= 128 {
                bytes[end] = left as u8 | 128;
                left >>= 7;
                end += 1;
            }
            bytes[end] = left as u8;
            for _ in 0..extra {
                bytes[end] |= 128;
                end += 1;
                bytes[end] = 0;
            }
            end += 1;
            bytes[end..end + length].fill(b'a');
            let message = message_of_bytes(&bytes, (end + length).div_ceil(8));
            check_eq!(
                decode(&message),
                Err(Error::BadMessage(BadMessage::Encoding))
            );
            send(&mut desk, &message)?;
        }
        for wrong in [0xffu8, 0x80, 0xc0, 0xed] {
            let mut bytes = [0; BYTES_MAX];
            bytes[0] = opcode;
            bytes[at] = 2;
            bytes[at + 1..at + 3].fill(wrong);
            let message = message_of_bytes(&bytes, (at + 3).div_ceil(8));
            check_eq!(
                decode(&message),
                Err(Error::BadMessage(BadMessage::Encoding))
            );
            send(&mut desk, &message)?;
        }
    }
    padding(&mut desk)
}

fn padding(desk: &mut Desk) -> Outcome {
    let mut bytes = [0; BYTES_MAX];
    let length = encode_long(&Request::Kfree { address: 0 }, &mut bytes).unwrap_or(0);
    for byte in 1..8 {
        let mut bytes = bytes;
        bytes[byte] = 1;
        check!(decode_request(&bytes[..length * 8]).is_err());
        send(desk, &message_of_bytes(&bytes, length))?;
    }
    for longer in length + 1..=WORDS_MAX {
        send(desk, &message_of_bytes(&bytes, longer))?;
    }
    check_eq!(desk.served, 0);
    Ok(())
}
