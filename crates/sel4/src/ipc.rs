// SPDX-License-Identifier: BSD-2-Clause

//! Messages and signals.

use crate::Word;
use crate::cap_types::{CapType, cap};
use crate::cptr::Cap;
use crate::invocation_context::InvocationContext;
use crate::ipc_buffer::{IpcBuffer, MESSAGE_WORDS};
use crate::message_info::MessageInfo;
use crate::registers::{self, Received, ReplyRegister};
use crate::reply_authority::{ConveysReplyAuthority, register};
use crate::sys::syscall;

/// The most words that a message holds.
pub const NUM_MESSAGE_REGISTERS: usize = MESSAGE_WORDS;

/// How many of them travel in registers.
pub const NUM_FAST_MESSAGE_REGISTERS: usize = 4;

/// What tells a receiver by which capability a message or signal came.
pub type Badge = Word;

/// What a signal says beside its badge: nothing, but MCS kernels have a description of it.
#[cfg(kernel_mcs)]
pub type WaitMessageInfo = MessageInfo;
/// What a signal says beside its badge: nothing, but MCS kernels have a description of it.
#[cfg(not(kernel_mcs))]
pub type WaitMessageInfo = ();

/// A received message of which the first four words are not in the IPC buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecvWithMRs {
    /// What it is.
    pub info: MessageInfo,
    /// From whom.
    pub badge: Badge,
    /// Its first words. Those beyond its length are whatever the sender left in its registers.
    pub msg: [Word; NUM_FAST_MESSAGE_REGISTERS],
}

impl From<Received> for RecvWithMRs {
    #[inline(always)]
    fn from(received: Received) -> Self {
        Self {
            info: received.info,
            badge: received.badge,
            msg: received.words,
        }
    }
}

/// A reply of which the first four words are not in the IPC buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallWithMRs {
    /// What it is.
    pub info: MessageInfo,
    /// Its first words. Those beyond its length are whatever the sender left in its registers.
    pub msg: [Word; NUM_FAST_MESSAGE_REGISTERS],
}

/// Up to four words to send in registers.
pub trait FastMessages {
    /// The words, those not given as 0.
    fn into_fast_registers(self) -> [Word; NUM_FAST_MESSAGE_REGISTERS];
}

impl<const N: usize> FastMessages for [Word; N] {
    #[inline(always)]
    fn into_fast_registers(self) -> [Word; NUM_FAST_MESSAGE_REGISTERS] {
        const { assert!(N <= NUM_FAST_MESSAGE_REGISTERS) };
        let word = |index: usize| if index < N { self[index] } else { 0 };
        [word(0), word(1), word(2), word(3)]
    }
}

impl FastMessages for &[Word] {
    #[inline(always)]
    fn into_fast_registers(self) -> [Word; NUM_FAST_MESSAGE_REGISTERS] {
        assert!(self.len() <= NUM_FAST_MESSAGE_REGISTERS);
        let word = |index: usize| self.get(index).copied().unwrap_or(0);
        [word(0), word(1), word(2), word(3)]
    }
}

/// Leaves the words of `received` in the IPC buffer, where callers of the plain forms look.
fn keep(received: Received, ipc_buffer: &mut IpcBuffer) -> (MessageInfo, Badge) {
    ipc_buffer.set_register_words(received.words);
    (received.info, received.badge)
}

impl<T: CapType, C: InvocationContext> Cap<T, C> {
    /// Sends the message in the IPC buffer and waits until it is taken.
    pub fn send(self, info: MessageInfo) {
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            registers::send(syscall::Send, cptr, info, ipc_buffer.register_words());
        });
    }

    /// Sends the message in the IPC buffer if someone waits for it.
    pub fn nb_send(self, info: MessageInfo) {
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            registers::send(syscall::NBSend, cptr, info, ipc_buffer.register_words());
        });
    }

    /// Waits for a message and puts it into the IPC buffer.
    pub fn recv(self, reply_authority: impl ConveysReplyAuthority) -> (MessageInfo, Badge) {
        let reply = register(reply_authority);
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            keep(registers::receive(syscall::Recv, cptr, reply), ipc_buffer)
        })
    }

    /// Takes a message if there is one; without one the badge is 0.
    pub fn nb_recv(self, reply_authority: impl ConveysReplyAuthority) -> (MessageInfo, Badge) {
        let reply = register(reply_authority);
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            keep(registers::receive(syscall::NBRecv, cptr, reply), ipc_buffer)
        })
    }

    /// Sends the message in the IPC buffer and waits for the reply to it.
    pub fn call(self, info: MessageInfo) -> MessageInfo {
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            let words = ipc_buffer.register_words();
            let received =
                registers::send_receive(syscall::Call, cptr, info, words, ReplyRegister::NONE);
            keep(received, ipc_buffer).0
        })
    }

    /// Replies with the message in the IPC buffer and waits for the next one.
    pub fn reply_recv(
        self,
        info: MessageInfo,
        reply_authority: impl ConveysReplyAuthority,
    ) -> (MessageInfo, Badge) {
        let reply = register(reply_authority);
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            let words = ipc_buffer.register_words();
            let received = registers::send_receive(syscall::ReplyRecv, cptr, info, words, reply);
            keep(received, ipc_buffer)
        })
    }

    /// Sends a message of which the first words are given, and waits until it is taken.
    #[inline(always)]
    pub fn send_with_mrs<M: FastMessages>(self, info: MessageInfo, messages: M) {
        registers::send(
            syscall::Send,
            self.bits(),
            info,
            messages.into_fast_registers(),
        );
    }

    /// Replies with a message of which the first words are given, and waits for the next one, whose first four words
    /// stay in registers. rust-sel4 has no such call: programs make it by way of crate `sel4-extension`.
    #[inline(always)]
    pub fn reply_recv_with_mrs<M: FastMessages>(
        self,
        info: MessageInfo,
        messages: M,
        reply_authority: impl ConveysReplyAuthority,
    ) -> RecvWithMRs {
        let words = messages.into_fast_registers();
        let reply = register(reply_authority);
        registers::send_receive(syscall::ReplyRecv, self.bits(), info, words, reply).into()
    }

    /// Waits for a message. Its first four words stay in registers.
    #[inline(always)]
    pub fn recv_with_mrs(self, reply_authority: impl ConveysReplyAuthority) -> RecvWithMRs {
        registers::receive(syscall::Recv, self.bits(), register(reply_authority)).into()
    }

    /// Sends a message of which the first words are given, and waits for the reply. Its first four words stay in
    /// registers.
    #[inline(always)]
    pub fn call_with_mrs<M: FastMessages>(self, info: MessageInfo, messages: M) -> CallWithMRs {
        let words = messages.into_fast_registers();
        let received =
            registers::send_receive(syscall::Call, self.bits(), info, words, ReplyRegister::NONE);
        CallWithMRs {
            info: received.info,
            msg: received.words,
        }
    }
}

impl<C: InvocationContext> cap::Notification<C> {
    /// Signals with the capability's badge.
    pub fn signal(self) {
        let info = MessageInfo::new(0, 0, 0, 0);
        registers::send(syscall::Send, self.bits(), info, [0; 4]);
    }

    /// Waits for a signal. The badge is the union of those signalled with.
    pub fn wait(self) -> (WaitMessageInfo, Badge) {
        #[cfg(kernel_mcs)]
        {
            let received = registers::receive(syscall::Wait, self.bits(), ReplyRegister::NONE);
            (received.info, received.badge)
        }
        #[cfg(not(kernel_mcs))]
        {
            let received = registers::receive(syscall::Recv, self.bits(), ReplyRegister::NONE);
            ((), received.badge)
        }
    }

    /// Takes a signal if there is one; without one the badge is 0.
    pub fn poll(self) -> (MessageInfo, Badge) {
        #[cfg(kernel_mcs)]
        let number = syscall::NBWait;
        #[cfg(not(kernel_mcs))]
        let number = syscall::NBRecv;
        let received = registers::receive(number, self.bits(), ReplyRegister::NONE);
        (received.info, received.badge)
    }
}

/// Replies to the last caller with the message in `ipc_buffer`.
#[cfg(not(kernel_mcs))]
pub fn reply(ipc_buffer: &mut IpcBuffer, info: MessageInfo) {
    registers::send(syscall::Reply, 0, info, ipc_buffer.register_words());
}

/// Lets others of the same priority run.
pub fn r#yield() {
    registers::bare(syscall::Yield, 0);
}
