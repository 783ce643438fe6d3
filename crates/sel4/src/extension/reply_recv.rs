// SPDX-License-Identifier: BSD-2-Clause

//! ReplyRecv with the first words in registers: the one message form that rust-sel4 has only by way of the IPC buffer.

use crate::cap_types::CapType;
use crate::cptr::Cap;
use crate::ipc::{FastMessages, RecvWithMRs};
use crate::message_info::MessageInfo;
use crate::registers;
use crate::reply_authority::{ConveysReplyAuthority, register};
use crate::sys::syscall;

impl<T: CapType, C> Cap<T, C> {
    /// Replies with a message of which the first words are given, and waits for the next one, whose first four words
    /// stay in registers.
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
}
