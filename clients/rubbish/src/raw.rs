// SPDX-License-Identifier: BSD-2-Clause
//! Messages as the kernel takes them, with nothing between: any description, any words, any capabilities.

use core::arch::asm;
use kmalloc::process::sel4_task::slot;
use kmalloc_protocol::message::{BYTES_MAX, WORDS_MAX};
use sel4::{CPtrBits, MessageInfo, MessageInfoBuilder, Word, cap};

/// Capabilities that a message can bring.
pub const CAPS_MAX: usize = 3;
/// Words that travel in registers.
const REGISTERS: usize = sel4::NUM_FAST_MESSAGE_REGISTERS;
/// The system call `Call`: the same in every release, MCS or not.
const CALL: i64 = -1;
const EXTRA_CAPS_SHIFT: u32 = 7;
const LABEL_SHIFT: u32 = 12;
/// What stands behind the words of a message. Nobody else writes this.
const MARK: Word = 0x6d61_726b_0000_0000;

/// A message, malformed or not.
#[derive(Clone)]
pub struct Message {
    /// Its description: length in the lowest 7 bits, then the number of capabilities in 2, what the kernel overwrites in 3,
    /// and the label. Bits above the label mean nothing to the kernel.
    pub info: Word,
    /// Its words. Those from the length on are marks that must be there still when the answer has come.
    pub words: [Word; WORDS_MAX],
    /// Slots of the capabilities.
    pub caps: [CPtrBits; CAPS_MAX],
}

/// What came back.
pub struct Answer {
    /// Its description.
    pub info: Word,
    words: [Word; WORDS_MAX],
    caps: [Word; CAPS_MAX],
}

impl Message {
    /// A message of these words, of which at most 120 travel.
    pub fn new(label: Word, words: &[Word]) -> Message {
        let mut message = Message {
            info: label << LABEL_SHIFT | words.len() as Word,
            words: core::array::from_fn(|index| MARK | index as Word),
            caps: [slot::SERVER; CAPS_MAX],
        };
        message.words[..words.len()].copy_from_slice(words);
        message
    }

    /// The same with the first `count` of its capabilities.
    pub fn with_caps(mut self, count: usize, caps: [CPtrBits; CAPS_MAX]) -> Message {
        self.info |= (count as Word) << EXTRA_CAPS_SHIFT;
        self.caps = caps;
        self
    }

    /// The words that the kernel carries.
    pub fn length(&self) -> usize {
        (self.info as usize & 127).min(WORDS_MAX)
    }

    /// The label, as wide as this kernel has it.
    pub fn label(&self) -> Word {
        self.info >> LABEL_SHIFT & ((1 << MessageInfo::label_width()) - 1)
    }

    /// Whether the receiver hears of capabilities. The kernel hands on the badge of one to the endpoint that the message goes
    /// to. At the first other one it stops, since the server names no slot to take any.
    pub fn shows_caps(&self) -> bool {
        let count = self.info >> EXTRA_CAPS_SHIFT & 3;
        count > 0 && matches!(self.caps[0], slot::SERVER | slot::FAULT)
    }

    /// The words that travel, as bytes.
    pub fn bytes<'a>(&self, bytes: &'a mut [u8; BYTES_MAX]) -> &'a [u8] {
        for (place, word) in bytes.chunks_exact_mut(8).zip(&self.words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        &bytes[..self.length() * 8]
    }

    /// What the kernel finds in the IPC buffer.
    fn place(&self) {
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.msg_regs_mut()[..WORDS_MAX].copy_from_slice(&self.words);
            buffer.caps_or_badges_mut()[..CAPS_MAX].copy_from_slice(&self.caps);
        });
    }

    /// Calls the server.
    pub fn call(&self) -> Answer {
        self.call_at(slot::SERVER)
    }

    /// Calls whatever is in a slot.
    pub fn call_at(&self, slot: CPtrBits) -> Answer {
        self.place();
        let mut info = self.info;
        let [mut word0, mut word1, mut word2, mut word3, ..] = self.words;
        // SAFETY: a system call changes the registers that are named here, and the IPC buffer, which counts as memory. What is
        // at that slot is the kernel's to judge.
        unsafe {
            asm!(
                "mov r14, rsp",
                "syscall",
                "mov rsp, r14",
                in("rdx") CALL,
                inlateout("rdi") slot => _,
                inlateout("rsi") info,
                inlateout("r10") word0,
                inlateout("r8") word1,
                inlateout("r9") word2,
                inlateout("r15") word3,
                out("rcx") _,
                out("r11") _,
                out("r14") _,
            );
        }
        let mut answer = Answer {
            info,
            words: [0; WORDS_MAX],
            caps: [0; CAPS_MAX],
        };
        sel4::with_ipc_buffer(|buffer| {
            answer
                .words
                .copy_from_slice(&buffer.msg_regs()[..WORDS_MAX]);
            answer
                .caps
                .copy_from_slice(&buffer.caps_or_badges()[..CAPS_MAX]);
        });
        answer.words[..REGISTERS].copy_from_slice(&[word0, word1, word2, word3]);
        answer
    }

    fn plain_info(&self) -> MessageInfo {
        MessageInfoBuilder::default()
            .label(self.label())
            .length(self.length())
            .build()
    }

    /// Sends it and waits until it is taken. Nobody answers.
    pub fn send(&self) {
        self.place();
        cap::Endpoint::from_bits(slot::SERVER).send(self.plain_info());
    }

    /// Sends it if the server waits just now. Nobody answers.
    pub fn nb_send(&self) {
        self.place();
        cap::Endpoint::from_bits(slot::SERVER).nb_send(self.plain_info());
    }
}

impl Answer {
    /// The words of the answer.
    pub fn words(&self) -> &[Word] {
        &self.words[..(self.info as usize & 127).min(WORDS_MAX)]
    }

    /// Whether nothing behind the answer's words was touched: neither registers nor the IPC buffer, nor what stands for
    /// capabilities there.
    pub fn touched_no_more(&self, sent: &Message) -> bool {
        let length = self.words().len();
        self.words[length..] == sent.words[length..] && self.caps == sent.caps
    }
}
