// SPDX-License-Identifier: BSD-2-Clause
//! What a hostile client does in a random run: every such request must be refused, exactly where the model knows why.

use super::Run;
use crate::model::{Kind, Model};
use crate::serving::serving;
use crate::system::Answer;
use kmalloc_protocol::message::{REQUEST_COUNT, bytes_of, decode_request, encode_short};
use kmalloc_protocol::{Error, LABEL, Request, Response};
use kmalloc_server::Quick;
use kmalloc_server::client::{Badge, Fault, FaultKind};
use kmalloc_server::kernel::ClientIndex;

impl Run {
    /// A pointer that the client has no right to, in any call.
    pub(super) fn misuse(&mut self, model: &Model) {
        let (address, expected) = match self.operation.amount % 5 {
            0 => match self.foreign() {
                Some(address) => (address, Some(Error::NotOwner { address })),
                None => return,
            },
            1 => match self.choose(&model.addresses()) {
                // 8 bytes into a block is the beginning of none.
                Some(address) => {
                    let address = address + 8;
                    (address, None)
                }
                None => return,
            },
            2 => match self.choose(&model.past()) {
                Some(address) if !model.has(address) => (address, None),
                _ => return,
            },
            3 => {
                let address = self.random.next() >> self.random.below(64) | 1;
                (address, None)
            }
            _ => match self.choose(&model.addresses()) {
                Some(address) => return self.mistake_kind(model, address),
                None => return,
            },
        };
        let size = self.random.size();
        let request = match self.random.below(6) {
            0 => Request::Kfree { address },
            1 => Request::Ksize { address },
            2 => Request::Krealloc {
                address,
                size,
                flags: 0,
            },
            3 => Request::KfreeDma { address },
            4 => Request::Release { address },
            _ => Request::Resize { address, size },
        };
        let response = self.refused(model.client, request);
        match expected {
            Some(error) => assert_eq!(response, Err(error), "{request:x?}"),
            None => assert!(
                matches!(
                    response,
                    Err(Error::BadPointer { .. }
                        | Error::DoubleFree { .. }
                        | Error::NotOwner { .. }
                        | Error::WrongKind { .. })
                ),
                "{request:x?}: {response:x?}"
            ),
        }
    }

    /// The right pointer in a call for another kind of memory.
    fn mistake_kind(&mut self, model: &Model, address: u64) {
        let request = match model.items[&address].kind {
            Kind::Served => Request::Release { address },
            Kind::Bucket => Request::Kfree { address },
            Kind::Large => Request::KfreeDma { address },
            Kind::Dma => Request::Krealloc {
                address,
                size: 5,
                flags: 0,
            },
        };
        let response = self.refused(model.client, request);
        assert_eq!(response, Err(Error::WrongKind { address }));
    }

    /// A pointer, or into the memory, of another client.
    fn foreign(&mut self) -> Option<u64> {
        let others = self.clients.iter().flatten();
        let addresses = others.flat_map(Model::addresses).collect::<Vec<_>>();
        let inside = self.random.below(2) * 4;
        self.random.pick(&addresses).map(|address| address + inside)
    }

    /// A request that must fail and change nothing.
    pub(super) fn refused(&mut self, client: ClientIndex, request: Request<'_>) -> Response {
        let books = self.system.books();
        let committed = self.system.committed(client);
        let response = self.system.call(client, request);
        assert!(response.is_err(), "{request:x?}: {response:x?}");
        self.counts.misused += 1;
        assert_eq!(self.system.books(), books, "{request:x?}");
        assert_eq!(self.system.committed(client), committed);
        response
    }

    /// Bytes that are no request.
    pub(super) fn babble(&mut self, model: &Model) {
        let words = self.random.below(121).min(self.random.below(121)) as usize;
        let mut bytes = vec![0; words * 8];
        for byte in &mut bytes {
            *byte = self.random.next() as u8 & self.random.next() as u8;
        }
        if let Some(first) = bytes.first_mut() {
            *first %= REQUEST_COUNT + 2;
        }
        if decode_request(&bytes).is_ok() {
            return;
        }
        self.counts.misused += 1;
        let badge = self.system.badge(model.client);
        let answer = self.system.send(badge, LABEL, false, &bytes);
        assert!(
            matches!(answer, Answer::Response(Err(Error::BadMessage(_)))),
            "{bytes:x?}: {answer:?}"
        );
    }

    /// The dead have no rights, whatever they ask for.
    pub(super) fn speak_for_the_dead(&mut self) {
        let Some(badge) = self.choose(&self.stale) else {
            return;
        };
        let request = match self.random.below(3) {
            0 => Request::Kmalloc { size: 64, flags: 0 },
            1 => Request::Exit { status: 0 },
            _ => Request::Stats,
        };
        let short = encode_short(&request).expect("it is short");
        let books = self.system.books();
        let fault = Fault {
            kind: FaultKind::Vm,
            address: 0,
            instruction: 0,
        };
        let quick = serving(|| self.system.server.handle_quick(badge, &short.words));
        assert_eq!(quick, Quick::Slow);
        let bytes = bytes_of(&short.words);
        let answer = self
            .system
            .send(badge, LABEL, false, &bytes[..short.length * 8]);
        assert_eq!(answer, Answer::Response(Err(Error::NotPermitted)));
        let forged = Badge {
            fault: true,
            ..Badge::unpack(badge)
        };
        assert_eq!(self.system.fault(forged.pack(), fault), Answer::Ignored);
        if !self.lazy {
            assert_eq!(self.system.books(), books);
        }
        self.counts.misused += 1;
    }
}
