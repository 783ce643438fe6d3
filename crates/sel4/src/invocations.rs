// SPDX-License-Identifier: BSD-2-Clause

//! What can be asked of kernel objects.

mod cnode;
mod io_port;
#[cfg(kernel_iommu)]
mod io_space;
mod irq;
#[cfg(kernel_mcs)]
mod sched;
mod tcb;
mod untyped;
mod vspace;

use crate::Word;
use crate::cap_types::CapType;
use crate::cptr::{CPtrBits, Cap};
use crate::error::{Error, Result};
use crate::invocation_context::InvocationContext;
use crate::ipc_buffer::IpcBuffer;
use crate::message_info::MessageInfo;
use crate::registers::{self, Received, ReplyRegister};
use crate::sys::{constants, size, syscall};

/// A time in microseconds.
pub type Time = u64;

/// The label of the answer to an invocation that was not refused.
const SUCCESS: Word = size(constants::seL4_NoError) as Word;

/// Words that travel in registers.
const IN_REGISTERS: usize = 4;

impl<T: CapType, C: InvocationContext> Cap<T, C> {
    /// Asks the object for what `label` says. Gives the first words of the answer.
    ///
    /// Of a refused invocation the words that describe it stay in the IPC buffer, if it was needed at all.
    #[inline(always)]
    pub(crate) fn invoke<const CAPS: usize, const WORDS: usize>(
        self,
        label: u32,
        caps: [CPtrBits; CAPS],
        words: [Word; WORDS],
    ) -> Result<[Word; IN_REGISTERS]> {
        let info = MessageInfo::new(label.into(), 0, CAPS, WORDS);
        let mut in_registers = [0; IN_REGISTERS];
        for (register, word) in in_registers.iter_mut().zip(words) {
            *register = word;
        }
        if CAPS == 0 && WORDS <= IN_REGISTERS {
            return outcome(call(self.bits(), info, in_registers), None);
        }
        self.with_ipc_buffer(|cptr, ipc_buffer| {
            ipc_buffer.caps_or_badges_mut()[..CAPS].copy_from_slice(&caps);
            if WORDS > IN_REGISTERS {
                ipc_buffer.msg_regs_mut()[IN_REGISTERS..WORDS]
                    .copy_from_slice(&words[IN_REGISTERS..]);
            }
            outcome(call(cptr, info, in_registers), Some(ipc_buffer))
        })
    }
}

fn call(cptr: CPtrBits, info: MessageInfo, words: [Word; IN_REGISTERS]) -> Received {
    registers::send_receive(syscall::Call, cptr, info, words, ReplyRegister::NONE)
}

/// What came of an invocation. Of a refused one the words that describe it are kept where callers look for them.
#[inline(always)]
fn outcome(answer: Received, ipc_buffer: Option<&mut IpcBuffer>) -> Result<[Word; IN_REGISTERS]> {
    let label = answer.info.label();
    if label == SUCCESS {
        return Ok(answer.words);
    }
    if let Some(ipc_buffer) = ipc_buffer {
        ipc_buffer.set_register_words(answer.words);
    }
    Err(Error::from_label(label))
}
