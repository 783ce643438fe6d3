// SPDX-License-Identifier: BSD-2-Clause
//! The IPC loop.

use crate::boot::Booted;
use crate::kernel::Sel4;
use crate::report::{self, Lines};
use crate::system::Names;
use kmalloc_protocol::message::{
    BYTES_MAX, SHORT_BYTES, SHORT_WORDS, Short, bytes_of, encode_long, encode_response, quick,
    words,
};
use kmalloc_protocol::{LABEL, Reply, Response};
use kmalloc_server::client::{Badge, Fault, FaultKind};
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
    names: Names<'a>,
    lines: Lines,
}

impl<'a> Desk<'a> {
    /// The server that boot built, with the clients of `names` alive.
    pub fn new(booted: Booted, names: Names<'a>) -> Desk<'a> {
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
            names,
            lines: Lines::default(),
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
                other => match self.answer(other, &received.clone()) {
                    Some(answer) => {
                        reply_recv_with_mrs(endpoint, answer.info, answer.words, authority())
                    }
                    None if !self.names.is_working() && self.close() => return self.server,
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

    /// Tells the services that nobody is left to serve; true when they have ended too.
    fn close(&mut self) -> bool {
        let mut closed = true;
        for client in self.names.services() {
            closed = false;
            self.server.kernel_mut().signal(client);
        }
        closed
    }

    /// What to answer to a message that was not served quickly; `None` where nobody waits.
    #[inline(never)]
    fn answer(&mut self, quick: Quick, received: &RecvWithMRs) -> Option<Answer> {
        if quick == Quick::Refused {
            return Some(encode(&Err(self.server.refusal())));
        }
        let caps = received.info.extra_caps() + received.info.caps_unwrapped() != 0;
        let length = received.info.length();
        // One comparison for the label, and that no capabilities came.
        if received.info == info(length)
            && !Badge::unpack(received.badge).fault
            && let Some(request) = words::decode_request(&received.msg, length)
        {
            let outcome = self.server.handle_request(received.badge, request);
            return finish(&mut self.names, &mut self.lines, outcome);
        }
        if length <= SHORT_WORDS && !Badge::unpack(received.badge).fault {
            let bytes = bytes_of(&received.msg);
            let message = bytes.get(..length * 8).unwrap_or(&bytes);
            let outcome = self
                .server
                .handle(received.badge, received.info.label(), caps, message);
            return finish(&mut self.names, &mut self.lines, outcome);
        }
        self.answer_long(received, caps)
    }

    /// Faults, and messages that do not fit the registers.
    #[cold]
    #[inline(never)]
    fn answer_long(&mut self, received: &RecvWithMRs, caps: bool) -> Option<Answer> {
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
            let is_fault = Badge::unpack(received.badge).fault;
            is_fault.then(|| sel4_extension::fault(buffer, &received.info))
        });
        let outcome = match fault {
            Some(fault) => self.server.fault(received.badge, describe(fault.as_ref())),
            None => {
                let message = bytes.get(..length).unwrap_or(&bytes);
                self.server
                    .handle(received.badge, received.info.label(), caps, message)
            }
        };
        finish(&mut self.names, &mut self.lines, outcome)
    }
}

/// Prints what is to be printed; what to answer.
#[cold]
#[inline(never)]
fn finish(names: &mut Names<'_>, lines: &mut Lines, outcome: Outcome<'_>) -> Option<Answer> {
    let response = match outcome {
        Outcome::Respond(response) => response,
        Outcome::Print { client, text } => {
            lines.print(client, names.name(client), text);
            Ok(Reply::Done)
        }
        Outcome::Ended { client, obituary } => {
            lines.close();
            let name = names.end(client);
            report::client(
                name.name,
                name.program,
                report::outcome_of(obituary.end),
                &obituary,
            );
            return None;
        }
        Outcome::Ignore => return None,
    };
    Some(encode(&response))
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
fn describe(fault: Option<&sel4::Fault>) -> Fault {
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
