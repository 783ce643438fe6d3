// SPDX-License-Identifier: BSD-2-Clause
//! The IPC loop.

use crate::boot::Booted;
use crate::clients::Clients;
use crate::kernel::Sel4;
use crate::thread;
use crate::timer;
use crate::trace::{self, Sampler};
use crate::worker::cleaner::{self, Report};
use kmalloc_protocol::message::{
    BYTES_MAX, SHORT_BYTES, SHORT_WORDS, Short, bytes_of, encode_long, encode_response, quick,
    words,
};
use kmalloc_protocol::{LABEL, Response};
use kmalloc_server::client::{Badge, Fault, FaultKind, SIGNAL};
use kmalloc_server::kernel::{ClientIndex, Worker};
use kmalloc_server::{Outcome, Quick, Server};
use sel4::{MessageInfo, MessageInfoBuilder, RecvWithMRs, Word, cap};
use sel4_extension::reply_recv_with_mrs;
use sel4_extension::thread::reply_authority;

/// What goes out.
struct Answer {
    info: MessageInfo,
    words: [Word; SHORT_WORDS],
}

/// The description of a response of `length` words.
#[inline(always)]
fn info(length: usize) -> MessageInfo {
    MessageInfoBuilder::default()
        .label(LABEL)
        .length(length)
        .build()
}

/// The server at its endpoint.
pub struct Desk<'a> {
    server: Server<Sel4>,
    endpoint: cap::Endpoint,
    reply: sel4::CPtr,
    clients: Clients<'a>,
    /// Sends samples, if somebody traces.
    sampler: Option<Sampler>,
}

impl<'a> Desk<'a> {
    /// The server that boot built, with those of `clients` alive that start at boot.
    pub fn new(booted: Booted, clients: Clients<'a>, sampler: Option<Sampler>) -> Desk<'a> {
        let Booted {
            server,
            endpoint,
            reply,
            ..
        } = booted;
        Desk {
            server,
            endpoint,
            reply,
            clients,
            sampler,
        }
    }

    /// Serves until no client is left; the server is given back.
    ///
    /// The quick requests go round in the first arms: from registers to registers, without SSE, and without a call.
    #[inline(never)]
    pub fn serve(mut self) -> Server<Sel4> {
        let endpoint = self.endpoint;
        let reply = self.reply;
        let authority = || reply_authority(reply);
        let mut received = endpoint.recv_with_mrs(authority());
        loop {
            received = match self.quick(&received) {
                Quick::Block(address) => {
                    let Short { words, length } = quick::encode_block(address);
                    // Words beyond the length don't travel; what is in their registers may stay there.
                    let words = [words[0], words[1], received.msg[2], received.msg[3]];
                    reply_recv_with_mrs(endpoint, info(length), words, authority())
                }
                Quick::Done => {
                    let Short { words, length } = quick::encode_done();
                    let words = [words[0], received.msg[1], received.msg[2], received.msg[3]];
                    reply_recv_with_mrs(endpoint, info(length), words, authority())
                }
                // A copy: what others look at through a reference would have to lie in memory on the quick way too.
                other => match self.answer(other, &copy(&received)) {
                    Some(answer) => {
                        reply_recv_with_mrs(endpoint, answer.info, answer.words, authority())
                    }
                    None if self.clients.is_over(&mut self.server) => {
                        self.clients.report_counts();
                        if let Some(sampler) = self.sampler {
                            sampler.end(&mut self.server);
                        }
                        return self.server;
                    }
                    None => endpoint.recv_with_mrs(authority()),
                },
            };
        }
    }

    #[inline(always)]
    fn quick(&mut self, received: &RecvWithMRs) -> Quick {
        // One comparison for label, length, and that no capabilities came.
        if received.info != info(quick::REQUEST_WORDS) {
            return Quick::Slow;
        }
        self.server.handle_quick(received.badge, &received.msg)
    }

    /// What to answer to a message that was not served quickly; `None` where nobody waits.
    #[inline(never)]
    fn answer(&mut self, quick: Quick, received: &RecvWithMRs) -> Option<Answer> {
        if quick == Quick::Refused {
            return Some(encode(&Err(self.server.refusal())));
        }
        // Of a signal the badge is all there is: the kernel leaves what was in the other registers.
        if received.badge & SIGNAL != 0 {
            self.signalled(received.badge);
            return None;
        }
        if let Some(worker) = Badge::unpack(received.badge).worker() {
            return self.answer_worker(worker, received);
        }
        let caps = received.info.extra_caps() + received.info.caps_unwrapped() != 0;
        let length = received.info.length();
        // One comparison for the label, and that no capabilities came.
        if received.info == info(length)
            && !Badge::unpack(received.badge).fault
            && let Some(request) = words::decode_request(&received.msg, length)
        {
            let start = self.start();
            let outcome = self.server.handle_request(received.badge, request);
            let response = self.clients.finish(&mut self.server, outcome);
            return self.respond(received, start, response);
        }
        if length <= SHORT_WORDS && !Badge::unpack(received.badge).fault {
            let bytes = bytes_of(&received.msg);
            let message = bytes.get(..length * 8).unwrap_or(&bytes);
            let start = self.start();
            let outcome = self
                .server
                .handle(received.badge, received.info.label(), caps, message);
            let response = self.clients.finish(&mut self.server, outcome);
            return self.respond(received, start, response);
        }
        self.answer_long(received, caps)
    }

    /// Does a slice of a worker's work; what to tell it.
    #[expect(
        clippy::panic,
        reason = "the worker is a thread of the server, so this is its own mistake, and it can't serve on"
    )]
    #[cold]
    #[inline(never)]
    fn answer_worker(&mut self, worker: Worker, received: &RecvWithMRs) -> Option<Answer> {
        if Badge::unpack(received.badge).fault {
            let fault =
                sel4::with_ipc_buffer(|buffer| sel4_extension::fault(buffer, &received.info));
            panic!("the {worker:?} has faulted: {fault:?}");
        }
        match worker {
            Worker::Reclaimer => self.reclaim(),
            Worker::Cleaner => Some(self.clean(Report::from_word(received.msg[0]))),
        }
    }

    /// A slice of what no request waits for, and whether there is more.
    fn reclaim(&mut self) -> Option<Answer> {
        let more = self.clients.work(&mut self.server);
        if !more {
            // It is not told when nothing will ever be left to do.
            if self.clients.is_over(&mut self.server) {
                return None;
            }
            self.server.kernel_mut().workers.rests(Worker::Reclaimer);
        }
        Some(Answer {
            info: info(1),
            words: [more.into(), 0, 0, 0],
        })
    }

    /// The cleaner's next order. After a refusal it rests until something else becomes dirty.
    fn clean(&mut self, report: Report) -> Answer {
        if report != Report::Rested {
            self.server.cleaned(report == Report::Clean);
        }
        let cleaning = match report {
            Report::Refused => None,
            _ => self.server.next_cleaning(),
        };
        if cleaning.is_none() {
            self.server.kernel_mut().workers.rests(Worker::Cleaner);
        }
        let [what, slot, mask] = cleaner::order(self.server.kernel(), cleaning);
        Answer {
            info: info(cleaner::ORDER_WORDS),
            words: [what, slot, mask, 0],
        }
    }

    /// Signals, of which several may have become one.
    #[cold]
    #[inline(never)]
    fn signalled(&mut self, badge: sel4::Word) {
        if badge & timer::SIGNAL_BADGE == timer::SIGNAL_BADGE
            && let Ok(Some(now_us)) = self.server.kernel_mut().devices.timer.interrupt()
        {
            self.server.alarm(now_us);
            self.clients.alarm(&mut self.server, now_us);
        }
    }

    /// Faults, and messages that do not fit the registers.
    #[cold]
    #[inline(never)]
    fn answer_long(&mut self, received: &RecvWithMRs, caps: bool) -> Option<Answer> {
        let badge = Badge::unpack(received.badge);
        let mut bytes = [0; BYTES_MAX];
        let length = (received.info.length() * 8).min(BYTES_MAX);
        let fault = sel4::with_ipc_buffer_mut(|buffer| {
            for (place, word) in buffer.msg_regs_mut().iter_mut().zip(received.msg) {
                *place = word;
            }
            bytes.copy_from_slice(
                buffer
                    .msg_bytes()
                    .get(..BYTES_MAX)
                    .unwrap_or(&[0; BYTES_MAX]),
            );
            badge
                .fault
                .then(|| sel4_extension::fault(buffer, &received.info))
        });
        let start = self.start();
        let outcome = match fault {
            Some(fault) => {
                let kernel = self.server.kernel_mut();
                let fault = describe(kernel, badge.client, fault.as_ref());
                self.clients
                    .trace_fault(&mut self.server, badge.client, &fault);
                self.server.fault(received.badge, fault)
            }
            None => {
                let message = bytes.get(..length).unwrap_or(&bytes);
                self.server
                    .handle(received.badge, received.info.label(), caps, message)
            }
        };
        if outcome == Outcome::Retry {
            // The kernel takes an answer without a label for the word to go on.
            return Some(Answer {
                info: MessageInfoBuilder::default().build(),
                words: [0; SHORT_WORDS],
            });
        }
        let response = self.clients.finish(&mut self.server, outcome);
        self.respond(received, start, response)
    }

    /// When a request begins to be served, if that is measured.
    #[inline(always)]
    fn start(&self) -> Option<u64> {
        self.server.measures().then(trace::ticks)
    }

    /// Sends a response.
    #[inline(always)]
    fn respond(
        &mut self,
        received: &RecvWithMRs,
        start: Option<u64>,
        response: Option<Response>,
    ) -> Option<Answer> {
        if let Some(start) = start {
            self.note(received, start, &response);
        }
        response.as_ref().map(encode)
    }

    /// Counts a request that took since `start`. Who traces hears of it, and of more: a few samples go out with each
    /// message.
    #[cold]
    #[inline(never)]
    fn note(&mut self, received: &RecvWithMRs, start: u64, response: &Option<Response>) {
        let took = trace::ticks().saturating_sub(start);
        let operation = received.msg[0] as u8;
        if let Some(response) = response {
            self.server.note_call(operation, took);
            if let Some(sampler) = &mut self.sampler {
                let error = response.err().map_or(0, |error| error.number());
                let client = Badge::unpack(received.badge).client;
                sampler.call(&mut self.server, client, operation, took, error);
            }
        }
        if let Some(sampler) = &mut self.sampler {
            sampler.step(&mut self.server);
        }
    }
}

#[inline(always)]
fn copy(received: &RecvWithMRs) -> RecvWithMRs {
    RecvWithMRs {
        info: received.info.clone(),
        badge: received.badge,
        msg: received.msg,
    }
}

#[inline(never)]
fn encode(response: &Response) -> Answer {
    if let Some(short) = encode_response(response) {
        return Answer {
            info: info(short.length),
            words: short.words,
        };
    }
    let mut bytes = [0; BYTES_MAX];
    // Every response fits: the protocol's own tests say so.
    let length = encode_long(response, &mut bytes).unwrap_or(0);
    let mut short = [0; SHORT_BYTES];
    short.copy_from_slice(&bytes[..SHORT_BYTES]);
    sel4::with_ipc_buffer_mut(|buffer| {
        if let Some(place) = buffer.msg_bytes_mut().get_mut(..BYTES_MAX) {
            place.copy_from_slice(&bytes);
        }
    });
    Answer {
        info: info(length),
        words: kmalloc_protocol::message::words_of(&short),
    }
}

/// A fault in the server's words. What a client forged is not believed, only reported.
fn describe(kernel: &Sel4, client: ClientIndex, fault: Option<&sel4::Fault>) -> Fault {
    if let Some(timeout) = fault.and_then(sel4_extension::timeout) {
        return Fault {
            kind: FaultKind::Timeout,
            address: timeout.consumed,
            instruction: thread::instruction(kernel, client, timeout.data),
        };
    }
    let (kind, address, instruction) = match fault {
        Some(sel4::Fault::VmFault(fault)) => (
            FaultKind::Vm,
            fault.inner().get_Addr(),
            fault.inner().get_IP(),
        ),
        Some(sel4::Fault::CapFault(fault)) => (
            FaultKind::Capability,
            fault.inner().get_Addr(),
            fault.inner().get_IP(),
        ),
        Some(sel4::Fault::UnknownSyscall(fault)) => (
            FaultKind::UnknownSyscall,
            fault.inner().get_Syscall(),
            fault.inner().get_FaultIP(),
        ),
        Some(sel4::Fault::UserException(fault)) => (
            FaultKind::Exception,
            fault.inner().get_Number(),
            fault.inner().get_FaultIP(),
        ),
        // Nothing that a kernel sends.
        _ => (FaultKind::Unknown, 0, 0),
    };
    Fault {
        kind,
        address,
        instruction,
    }
}
