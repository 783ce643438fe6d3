// SPDX-License-Identifier: BSD-2-Clause
//! Messages of every form: each gets a typed answer or is a legitimate request, and none does harm.

use crate::system::{Answer, PAGE, RAM, System, UNLIMITED};
use kmalloc_protocol::message::{BYTES_MAX, WORDS_MAX};
use kmalloc_protocol::{BadMessage, Error, LABEL, PROTOCOL_VERSION, Reply, Request};
use kmalloc_server::client::{Badge, End};

/// What the rest of a message is filled with: zeros, ones, a counter, a valid-looking address.
fn filling(kind: usize, opcode: u8, bytes: &mut [u8; BYTES_MAX]) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = match kind {
            0 => 0,
            1 => 0xff,
            2 => index as u8,
            _ => [0, 0, 0, 0x10, 0, 0, 0, 0][index % 8],
        };
    }
    bytes[0] = opcode;
}

/// How many requests the protocol has.
const REQUESTS: u8 = 39;

#[test]
fn every_length_with_every_opcode_is_answered() {
    let mut system = System::new(RAM);
    system.scan_every = 97;
    let mut client = system.spawn(UNLIMITED);
    let bystander = system.spawn(UNLIMITED);
    let precious = system.kmalloc(bystander, 64).expect("memory");
    system.write(bystander, precious, b"precious");
    let mut bytes = [0; BYTES_MAX];
    for opcode in 0..=u8::MAX {
        for kind in 0..4 {
            filling(kind, opcode, &mut bytes);
            for words in 0..=WORDS_MAX {
                let badge = system.badge(client);
                match system.send(badge, LABEL, false, &bytes[..words * 8]) {
                    Answer::Response(Ok(_)) | Answer::Printed(_) => {
                        assert!(opcode < REQUESTS && words <= 4, "{opcode} in {words} words");
                    }
                    Answer::Response(Err(error)) => {
                        if words == 0 {
                            assert_eq!(error, Error::BadMessage(BadMessage::Empty));
                        } else if opcode >= REQUESTS {
                            let unknown = BadMessage::UnknownRequest;
                            assert_eq!(error, Error::BadMessage(unknown));
                        }
                    }
                    Answer::Ended(obituary) => {
                        assert_eq!(opcode, 14, "only Exit ends a client");
                        assert!(matches!(obituary.end, End::Exit { .. }));
                        client = system.spawn(UNLIMITED);
                    }
                    Answer::Ignored | Answer::Retried => {
                        panic!("opcode {opcode} in {words} words is ignored")
                    }
                }
            }
        }
    }
    assert_eq!(system.read(bystander, precious), *b"precious");
    assert_eq!(system.kfree(bystander, precious), Ok(Reply::Done));
}

#[test]
fn another_label_is_another_version() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let badge = system.badge(client);
    for label in [0, 1, LABEL - 1, LABEL + 1, LABEL | 1 << 20, u64::MAX] {
        let expected = PROTOCOL_VERSION;
        let error = Error::BadVersion { expected, label };
        // Whatever is in it.
        for message in [&[][..], &[8, 0, 0, 0, 0, 0, 0, 0], &[0xff; 960]] {
            assert_eq!(
                system.send(badge, label, false, message),
                Answer::Response(Err(error))
            );
        }
    }
}

#[test]
fn a_message_with_capabilities_is_refused_whatever_it_says() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let badge = system.badge(client);
    for message in [&[][..], &[8, 0, 0, 0, 0, 0, 0, 0]] {
        let error = Error::BadMessage(BadMessage::Capabilities);
        assert_eq!(
            system.send(badge, LABEL, true, message),
            Answer::Response(Err(error))
        );
    }
    let stats = system.stats(client);
    assert_eq!((stats.calls, stats.failures), (3, 2));
}

#[test]
fn badges_that_are_nobody_s_are_not_permitted() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let good = Badge::unpack(system.badge(client));
    let badges = [
        Badge {
            generation: good.generation.wrapping_add(1),
            ..good
        },
        Badge {
            client: kmalloc_server::kernel::ClientIndex(client.0 + 1),
            ..good
        },
        Badge {
            client: kmalloc_server::kernel::ClientIndex(511),
            ..good
        },
    ];
    let stats = [8, 0, 0, 0, 0, 0, 0, 0];
    for badge in badges {
        assert_eq!(
            system.send(badge.pack(), LABEL, false, &stats),
            Answer::Response(Err(Error::NotPermitted)),
            "{badge:?}"
        );
    }
    assert_eq!(system.stats(client).calls, 1, "nobody else's calls count");
}

#[test]
fn text_is_printed_as_it_came() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    for text in ["", "hello", "line\nline", "\u{1b}[2J \u{1f600}"] {
        assert_eq!(
            system.answer(client, Request::Print { text }),
            Answer::Printed(text.to_string())
        );
    }
}

#[test]
fn figures_add_up() {
    let mut system = System::new(RAM);
    let limit = 1 << 20;
    let client = system.spawn(limit);
    let at_start = system.stats(client);
    assert_eq!(at_start.limit, limit);
    assert_eq!(at_start.committed, system.committed(client));
    let block = system.kmalloc(client, 100).expect("memory");
    let region = system.grant_large(client, 3 * PAGE).expect("memory");
    let (dma, _) = system.dma(client, 2 * PAGE).expect("memory");
    assert!(system.kmalloc(client, 2 * limit).is_err());
    let stats = system.stats(client);
    assert_eq!((stats.blocks, stats.block_bytes), (1, 128));
    assert_eq!(stats.region_bytes, 3 * PAGE);
    assert_eq!(stats.dma_bytes, 2 * PAGE);
    assert_eq!((stats.calls, stats.failures), (6, 1));
    assert_eq!(stats.committed, system.committed(client));
    assert!(stats.committed_peak >= stats.committed);
    assert_eq!(system.kfree(client, block), Ok(Reply::Done));
    assert_eq!(system.release(client, region), Ok(Reply::Done));
    assert_eq!(system.kfree_dma(client, dma), Ok(Reply::Done));
    let stats = system.stats(client);
    assert_eq!(
        (stats.block_bytes, stats.region_bytes, stats.dma_bytes),
        (0, 0, 0)
    );
    assert_eq!(stats.block_bytes_peak, 128);
}
