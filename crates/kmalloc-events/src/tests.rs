// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use kmalloc_protocol::statistics::ClientName;
use std::vec::Vec;

/// The longest event of each kind.
fn events() -> Vec<Event<'static>> {
    const LONG: &str = "a-name-that-is-just-as-long-as-3";
    let most = u64::MAX;
    let held = Held {
        blocks: most,
        block_bytes: most,
        resident_bytes: most,
        large_bytes: most,
        dma_bytes: most,
        shared_bytes: most,
    };
    std::vec![
        Event::Begin {
            version: VERSION,
            hertz: most,
            memory: most,
            server: most
        },
        Event::Birth {
            client: most,
            parent: most,
            name: LONG,
            program: LONG
        },
        Event::Grant {
            client: most,
            address: most,
            pages: u32::MAX
        },
        Event::Fault {
            client: most,
            cause: Cause::VmFault,
            address: 0,
            instruction: most
        },
        Event::Death {
            client: most,
            cause: Cause::UnknownFault,
            value: most,
            calls: most,
            peak: most,
            held
        },
        Event::Memory(MemoryFigures::default()),
        Event::Failures(
            most,
            FailureFigures {
                first: 16,
                counts: [7; 16]
            }
        ),
        Event::Blocks(most, BlockFigures::default()),
        Event::Calls(255, CallFigures::default()),
        Event::Sampled,
        Event::End { balanced: true },
    ]
}

#[test]
fn records_come_back_from_their_frames() {
    for event in events() {
        let record = Record {
            ticks: u64::MAX,
            event,
        };
        let mut frame = [0; FRAME_BYTES_MAX];
        let length = encode(&record, &mut frame).expect("it fits").len();
        assert!(frame[..length - 1].iter().all(|byte| *byte != 0));
        assert_eq!(frame[length - 1], 0);
        // Decoding happens in place.
        let mut copy = frame;
        assert_eq!(decode(&mut copy[..length]), Some(record));
        assert_eq!(decode(&mut frame[..length - 1]), Some(record));
    }
}

#[test]
fn what_is_no_record_is_none() {
    for bytes in [&[0][..], &[1, 1], &[3, 255, 255], &[2, 1, 200]] {
        assert_eq!(decode(&mut bytes.to_vec()), None, "{bytes:?}");
    }
}

#[test]
fn latencies_are_counted_by_their_highest_bit() {
    let mut figures = CallFigures::default();
    for ticks in [0, 255, 256, 511, 512, 1 << 40] {
        figures.count(ticks);
    }
    assert_eq!(figures.steps[..3], [2, 2, 1]);
    assert_eq!(figures.steps[15], 1);
    assert_eq!(figures.calls(), 6);
    assert_eq!(ClientName::new("name").as_str(), "name");
}
