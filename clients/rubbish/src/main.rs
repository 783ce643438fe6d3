// SPDX-License-Identifier: BSD-2-Clause
//! Sends the server what is no request, and expects a typed error each time.
#![no_std]
#![no_main]

use client_test::{Outcome, Test, check, check_eq, ok};
use kmalloc::served;
use kmalloc_protocol::message::{BYTES_MAX, WORDS_MAX, decode_response};
use kmalloc_protocol::{BadMessage, Error, LABEL, PROTOCOL_VERSION, Response};
use sel4::{MessageInfoBuilder, Word, cap};

kmalloc::main!(main);

/// Requests that this client must not send by chance: `Exit` would end it.
const EXIT_OPCODE: u8 = 14;

const TESTS: &[Test] = &[
    (
        "every_length_and_every_opcode",
        every_length_and_every_opcode,
    ),
    ("empty_message", empty_message),
    ("other_labels", other_labels),
    ("random_words", random_words),
    ("capabilities_are_not_taken", capabilities),
    ("reply_padding_is_zero", reply_padding),
    ("send_instead_of_call", send_instead_of_call),
];

fn main() -> u8 {
    client_test::run(TESTS)
}

fn server() -> cap::Endpoint {
    cap::Endpoint::from_bits(server_slot())
}

fn server_slot() -> Word {
    kmalloc::process::sel4_task::slot::SERVER
}

/// Sends words under a label; what comes back.
fn send(label: Word, words: &[Word]) -> (Response, usize) {
    let info = MessageInfoBuilder::default()
        .label(label)
        .length(words.len())
        .build();
    sel4::with_ipc_buffer_mut(|buffer| {
        let registers = buffer.msg_regs_mut();
        registers.fill(0xdead_beef_dead_beef);
        registers[..words.len()].copy_from_slice(words);
    });
    let answer = server().call(info);
    let mut bytes = [0; BYTES_MAX];
    sel4::with_ipc_buffer(|buffer| bytes.copy_from_slice(&buffer.msg_bytes()[..BYTES_MAX]));
    let length = (answer.length() * 8).min(BYTES_MAX);
    let response = decode_response(&bytes[..length]);
    (
        response.unwrap_or(Err(Error::NotPermitted)),
        answer.length(),
    )
}

fn every_length_and_every_opcode() -> Outcome {
    let before = ok!(served::stats());
    let mut refused = 0;
    for opcode in (0..=255u8).filter(|opcode| *opcode != EXIT_OPCODE) {
        for length in 1..=WORDS_MAX {
            // All ones behind the opcode: sizes, addresses and flags that can't be.
            let mut words = [Word::MAX; WORDS_MAX];
            words[0] = Word::MAX << 8 | Word::from(opcode);
            let (response, answered) = send(LABEL, &words[..length]);
            check!(answered > 0 && answered <= 4);
            check!(matches!(response, Err(error) if error != Error::NotPermitted));
            refused += 1;
        }
    }
    let after = ok!(served::stats());
    check_eq!(after.failures - before.failures, refused);
    check_eq!(after.committed, before.committed);
    Ok(())
}

fn empty_message() -> Outcome {
    check_eq!(
        send(LABEL, &[]).0,
        Err(Error::BadMessage(BadMessage::Empty))
    );
    Ok(())
}

fn other_labels() -> Outcome {
    for label in [0, 1, 2, 3, 5, 6, LABEL - 1, LABEL + 1, 0xf_ffff] {
        let expected = Error::BadVersion {
            expected: PROTOCOL_VERSION,
            label,
        };
        check_eq!(send(label, &[0, 0, 0, 0]).0, Err(expected));
    }
    Ok(())
}

fn random_words() -> Outcome {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let mut words = [next(), next(), next(), next(), next(), next()];
        let opcode = (next() % 24) as u8;
        if opcode == EXIT_OPCODE {
            continue;
        }
        words[0] = words[0] << 8 | Word::from(opcode);
        let length = (next() % 7) as usize;
        // Padding is part of the message, so nearly all of these are refused; none may do harm.
        let (response, answered) = send(LABEL, &words[..length]);
        check!(answered > 0 && response != Err(Error::NotPermitted));
    }
    Ok(())
}

fn capabilities() -> Outcome {
    for count in 1..=3 {
        let info = MessageInfoBuilder::default()
            .label(LABEL)
            .extra_caps(count)
            .length(1)
            .build();
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.msg_regs_mut()[0] = 8;
            for place in &mut buffer.caps_or_badges_mut()[..count] {
                *place = server_slot();
            }
        });
        server().call(info);
        let first = sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[0]);
        check_eq!(first, Word::from_le_bytes([1, 0, 5, 0, 0, 0, 0, 0]));
    }
    Ok(())
}

fn reply_padding() -> Outcome {
    // kfree(1). The error's number takes two bytes, its address begins at the second word: six bytes of padding between.
    let (response, length) = send(LABEL, &[4, 1]);
    check_eq!(response, Err(Error::BadPointer { address: 1 }));
    check_eq!(length, 2);
    let first = sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[0]);
    check_eq!(first, Word::from_le_bytes([1, 11, 0, 0, 0, 0, 0, 0]));
    Ok(())
}

fn send_instead_of_call() -> Outcome {
    let before = ok!(served::stats());
    let info = MessageInfoBuilder::default().label(LABEL).length(1).build();
    for _ in 0..100 {
        sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[0] = 8);
        server().send(info.clone());
        server().nb_send(info.clone());
    }
    // Nobody waits for those answers; the next call gets its own.
    let after = ok!(served::stats());
    check!(after.calls >= before.calls + 101);
    check_eq!(after.failures, before.failures);
    Ok(())
}
