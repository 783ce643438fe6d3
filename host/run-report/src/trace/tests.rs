// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use kmalloc_events::{FRAME_BYTES_MAX, encode};

fn bytes(events: &[(u64, Event)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (ticks, event) in events {
        let record = Record {
            ticks: *ticks,
            event: *event,
        };
        bytes.extend_from_slice(encode(&record, &mut [0; FRAME_BYTES_MAX]).unwrap());
    }
    bytes
}

const BEGIN: Event = Event::Begin {
    version: kmalloc_events::VERSION,
    hertz: 1000,
    memory: 64 << 20,
    server: 1 << 20,
};

fn birth(client: u64, name: &str) -> Event<'_> {
    Event::Birth {
        client,
        parent: 0,
        name,
        program: "program",
    }
}

#[test]
fn a_clients_life_is_put_together() {
    let account = kmalloc_protocol::statistics::ClientFigures {
        handle: 513,
        committed: 4096,
        committed_peak: 8192,
        ..Default::default()
    };
    let held = Held {
        blocks: 1,
        block_bytes: 64,
        ..Held::default()
    };
    let trace = Trace::read(&bytes(&[
        (500, BEGIN),
        (600, birth(513, "one")),
        (700, Event::Account(account)),
        (
            1500,
            Event::Death {
                client: 513,
                cause: Cause::Exit,
                value: 3,
                calls: 7,
                peak: 9000,
                held,
            },
        ),
        (2500, Event::End { balanced: true }),
    ]));
    let client = trace.client(513).unwrap();
    assert_eq!((client.birth, client.calls), (0.1, 7));
    assert_eq!(client.committed, [(0.2, 4096)]);
    assert_eq!(client.death, Some((1.0, Cause::Exit, 3, held)));
    assert_eq!((trace.length, trace.balanced), (2.0, Some(true)));
    assert_eq!((trace.records, trace.broken), (5, 0));
}

#[test]
fn rounds_without_large_pages_are_samples_only() {
    let memory = Event::Memory(MemoryFigures::default());
    let large = Event::Large(LargeFigures::default());
    let mut blocks = BlockFigures::default();
    blocks.blocks[2] = 5;
    let trace = Trace::read(&bytes(&[
        (0, BEGIN),
        (1, memory),
        (2, Event::Sampled),
        (3, memory),
        (4, Event::Blocks(513, blocks)),
        (5, Event::Blocks(514, blocks)),
        (6, large),
        (7, Event::Sampled),
    ]));
    assert_eq!((trace.samples.len(), trace.rounds.len()), (2, 1));
    assert_eq!(trace.rounds[0].blocks.blocks[2], 10);
}

#[test]
fn lost_bytes_cost_one_record_each() {
    let mut broken = bytes(&[(0, BEGIN), (1, birth(513, "a")), (2, birth(514, "b"))]);
    let second = broken.iter().position(|byte| *byte == 0).unwrap() + 1;
    broken.remove(second + 3);
    broken.truncate(broken.len() - 4);
    let trace = Trace::read(&broken);
    assert_eq!(trace.records + trace.broken, 3);
    assert!(trace.broken >= 1);
    assert_eq!(Trace::read(&[]).records, 0);
    assert_eq!(Trace::read(&[7; 4000]).broken, 1);
}
