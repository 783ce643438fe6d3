// SPDX-License-Identifier: BSD-2-Clause

use sel4::{ConveysReplyAuthority, FastMessages, MessageInfo, RecvWithMRs, Word, cap};

/// Replies with a message of which the first words are given, and waits for the next one on `endpoint`. Words of either
/// message beyond the first four are in the IPC buffer.
#[cfg(feature = "reply-in-registers")]
#[inline(always)]
pub fn reply_recv_with_mrs<const WORDS: usize>(
    endpoint: cap::Endpoint,
    info: MessageInfo,
    words: [Word; WORDS],
    reply_authority: impl ConveysReplyAuthority,
) -> RecvWithMRs
where
    [Word; WORDS]: FastMessages,
{
    endpoint.reply_recv_with_mrs(info, words, reply_authority)
}

/// Replies with a message of which the first words are given, and waits for the next one on `endpoint`. Words of either
/// message beyond the first four are in the IPC buffer, and those of the reply are lost there.
#[cfg(not(feature = "reply-in-registers"))]
pub fn reply_recv_with_mrs<const WORDS: usize>(
    endpoint: cap::Endpoint,
    info: MessageInfo,
    words: [Word; WORDS],
    reply_authority: impl ConveysReplyAuthority,
) -> RecvWithMRs
where
    [Word; WORDS]: FastMessages,
{
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.msg_regs_mut()[..WORDS].copy_from_slice(&words);
    });
    let (info, badge) = endpoint.reply_recv(info, reply_authority);
    let msg = sel4::with_ipc_buffer(|buffer| core::array::from_fn(|at| buffer.msg_regs()[at]));
    RecvWithMRs { info, badge, msg }
}
