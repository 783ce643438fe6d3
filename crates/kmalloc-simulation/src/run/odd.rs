// SPDX-License-Identifier: BSD-2-Clause
//! Requests with numbers at the edges: each is refused, or does what it says, and nothing else happens.

use super::Run;
use crate::model::Model;
use crate::system::{Answer, PAGE};
use kmalloc_protocol::{Error, Reply, Request};

/// Numbers at the edges of what sizes, addresses and counts can be.
const EDGES: &[u64] = &[
    0,
    1,
    7,
    8,
    15,
    16,
    17,
    4095,
    4096,
    4097,
    16_383,
    16_384,
    16_385,
    1 << 21,
    (1 << 21) + 1,
    1 << 32,
    (1 << 36) - 1,
    1 << 36,
    2 << 36,
    3 << 36,
    7 << 36,
    1 << 39,
    1 << 47,
    0xffff_8000_0000_0000,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 4095,
    u64::MAX - 1,
    u64::MAX,
];

impl Run {
    fn edge(&mut self) -> u64 {
        let edge = EDGES[self.random.below(EDGES.len() as u64) as usize];
        match self.random.below(4) {
            0 => edge.wrapping_add(self.random.below(4096)),
            _ => edge,
        }
    }

    pub(super) fn odd(&mut self, model: &Model) {
        let request = match self.operation.choice % 3 {
            0 => self.odd_memory(),
            1 => self.odd_name(model),
            _ => self.odd_device(),
        };
        // What it happens to name may be the client's own.
        let (address, handle) = named(&request);
        // Who has ended, too, as long as its parent has not been told.
        let is_known = self.clients.iter().flatten().any(|it| it.handle == handle)
            || self.orphans.iter().any(|(_, child, _)| *child == handle);
        if address.is_some_and(|address| model.has(address)) || is_known || handle == model.handle {
            return;
        }
        let before = (self.system.books(), self.system.committed(model.client));
        match self.system.answer(model.client, request) {
            Answer::Response(Ok(reply)) => self.undo(model, request, reply),
            Answer::Response(Err(error)) => {
                assert!(!matches!(error, Error::BadMessage(_)), "{request:x?}");
                self.counts.misused += 1;
                // A page table or a ledger may have been made on the way, and stays.
                let now = (self.system.books(), self.system.committed(model.client));
                let grown = now.1 - before.1;
                if !self.lazy {
                    assert_eq!(before.0.free, now.0.free + grown, "{request:x?}: {error}");
                }
            }
            Answer::Printed(text) => assert!(text.len() < 1000),
            other => panic!("{request:x?}: {other:?}"),
        }
    }

    /// Sizes, alignments, counts, flags.
    fn odd_memory(&mut self) -> Request<'static> {
        let (size, count) = (self.edge(), self.edge());
        let bits = self.random.below(70) as u8;
        let flags = (self.random.next() & self.random.next()) as u32;
        match self.random.below(12) {
            0 => Request::Kmalloc { flags, size },
            1 => Request::Kcalloc { flags, count, size },
            2 => Request::Krealloc {
                flags,
                address: count,
                size,
            },
            3 => Request::KmallocDma {
                align_bits: bits,
                boundary_bits: self.random.below(70) as u8,
                cache: self.random.below(6) as u8,
                size,
                max_addr: self.edge(),
            },
            4 => Request::Grant {
                size_bits: bits,
                count: count as u32,
            },
            5 => Request::GrantLarge {
                align_bits: bits,
                size,
            },
            6 => Request::OpenSegment { size },
            7 => Request::Map {
                address: count,
                size,
            },
            8 => Request::Unmap {
                address: count,
                size,
            },
            9 => Request::Resize {
                address: count,
                size,
            },
            10 => Request::Release { address: count },
            _ => Request::StartThread {
                entry: count,
                stack: size,
                argument: 0,
            },
        }
    }

    /// Handles, tokens and names of nobody.
    fn odd_name(&mut self, model: &Model) -> Request<'static> {
        let (handle, other) = (self.edge(), self.edge());
        let writable = self.random.below(4) as u8;
        match self.random.below(12) {
            0 => Request::Kill { handle },
            1 => Request::Reap {
                handle: handle.max(1),
            },
            2 => Request::ShareDataspace {
                writable,
                token: handle | 1 << 50,
                handle: model.handle,
            },
            3 => Request::Attach {
                writable,
                token: handle | 1 << 50,
            },
            4 => Request::Detach { address: handle },
            5 => Request::CloseDataspace {
                token: handle | 1 << 50,
            },
            6 => Request::Find { name: "nobody" },
            7 => Request::Start {
                memory: other,
                text: "nobody\0with\0arguments",
            },
            8 => Request::Print {
                text: "\u{1b}[2J \u{1f600}\n",
            },
            9 => Request::MakeDataspace { size: handle },
            10 => Request::Watch {
                events: handle as u32,
            },
            _ => Request::Stats,
        }
    }

    /// Devices, of which there are none, and figures.
    fn odd_device(&mut self) -> Request<'static> {
        let number = self.edge();
        let function = number as u8;
        match self.random.below(9) {
            0 => Request::OpenDevice { index: function },
            1 => Request::PciConfigRead {
                function,
                offset: number as u32,
            },
            2 => Request::PciConfigWrite {
                function,
                offset: number as u32,
                value: u32::MAX,
            },
            3 => Request::MapBar {
                function,
                bar: number as u8,
            },
            4 => Request::EnableInterrupt { function },
            5 => Request::AckInterrupt { function },
            6 => Request::ReleaseQuarantine { function },
            _ => Request::Observe {
                subject: self.random.below(16) as u8,
                of: self.edge(),
                cursor: self.edge(),
            },
        }
    }

    /// What was given nevertheless goes back, so that the model need not know.
    fn undo(&mut self, model: &Model, request: Request<'_>, reply: Reply) {
        let client = model.client;
        let gives_back = match (request, reply) {
            (_, Reply::Block { address }) => {
                let usable = self.system.ksize(client, address).expect("a block");
                self.check_apart(model, address, usable);
                vec![Request::Kfree { address }]
            }
            (Request::Grant { size_bits, count }, Reply::Region { address, .. }) => {
                let buckets = (0..u64::from(count)).map(|bucket| address + (bucket << size_bits));
                buckets
                    .map(|address| Request::Release { address })
                    .collect()
            }
            (Request::GrantLarge { align_bits, .. }, Reply::Region { address, .. }) => {
                assert!(address.is_multiple_of(1 << align_bits));
                vec![Request::Release { address }]
            }
            (Request::OpenSegment { .. }, Reply::Region { address, .. }) => {
                vec![Request::Release { address }]
            }
            (_, Reply::Dma { address, .. }) => vec![Request::KfreeDma { address }],
            (_, Reply::Dataspace { token, size }) => {
                assert!(size >= PAGE);
                vec![Request::CloseDataspace { token }]
            }
            // Nothing was taken.
            (
                Request::Krealloc {
                    size: 0,
                    address: 0,
                    ..
                },
                Reply::Done,
            )
            | (Request::StartThread { .. } | Request::Watch { .. }, Reply::Done)
            | (Request::Stats | Request::Observe { .. }, _) => vec![],
            other => panic!("{other:x?}"),
        };
        for request in gives_back {
            let response = self.system.call(client, request);
            assert_eq!(response, Ok(Reply::Done), "{request:x?}");
        }
    }
}

/// The address that a request names, and the client's handle; 0 for none.
fn named(request: &Request<'_>) -> (Option<u64>, u64) {
    match *request {
        Request::Krealloc { address, .. }
        | Request::Map { address, .. }
        | Request::Unmap { address, .. }
        | Request::Resize { address, .. }
        | Request::Detach { address }
        | Request::Release { address } => (Some(address), 0),
        Request::Kill { handle } | Request::Reap { handle } => (None, handle),
        _ => (None, 0),
    }
}
