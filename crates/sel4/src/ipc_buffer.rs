// SPDX-License-Identifier: BSD-2-Clause

use crate::cap_types::cap;
use crate::cptr::AbsoluteCPtr;
use crate::sys::{constants, size};
use crate::{Word, message_info::MessageInfo};

/// Words of a message.
pub(crate) const MESSAGE_WORDS: usize = size(constants::seL4_MsgMaxLength);
/// Capabilities of a message.
pub(crate) const MESSAGE_CAPS: usize = (1 << size(constants::seL4_MsgExtraCapBits)) - 1;

/// The memory that a thread shares with the kernel for what doesn't fit in registers.
#[derive(Debug)]
#[repr(C, align(1024))]
pub struct IpcBuffer {
    tag: Word,
    message: [Word; MESSAGE_WORDS],
    user_data: Word,
    caps_or_badges: [Word; MESSAGE_CAPS],
    receive_cnode: Word,
    receive_index: Word,
    receive_depth: Word,
}

const _: () = assert!(size_of::<IpcBuffer>() == 1024);

impl IpcBuffer {
    /// The words of the message.
    pub fn msg_regs(&self) -> &[Word] {
        &self.message
    }

    /// The words of the message.
    pub fn msg_regs_mut(&mut self) -> &mut [Word] {
        &mut self.message
    }

    /// The message as bytes.
    pub fn msg_bytes(&self) -> &[u8] {
        let bytes = size_of_val(&self.message);
        // SAFETY: words are initialised bytes, and a byte needs no alignment.
        unsafe { core::slice::from_raw_parts(self.message.as_ptr().cast(), bytes) }
    }

    /// The message as bytes.
    pub fn msg_bytes_mut(&mut self) -> &mut [u8] {
        let bytes = size_of_val(&self.message);
        // SAFETY: as in `msg_bytes`; any bytes make words, and the borrow is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.message.as_mut_ptr().cast(), bytes) }
    }

    /// A word that neither kernel nor bindings touch.
    pub fn user_data(&self) -> Word {
        self.user_data
    }

    /// Sets the word that neither kernel nor bindings touch.
    pub fn set_user_data(&mut self, data: Word) {
        self.user_data = data;
    }

    /// Capabilities to send; badges received.
    pub fn caps_or_badges(&self) -> &[Word] {
        &self.caps_or_badges
    }

    /// Capabilities to send; badges received.
    pub fn caps_or_badges_mut(&mut self) -> &mut [Word] {
        &mut self.caps_or_badges
    }

    /// The slot into which a capability is received.
    pub fn recv_slot(&self) -> AbsoluteCPtr {
        cap::CNode::from_bits(self.receive_cnode)
            .absolute_cptr_from_bits_with_depth(self.receive_index, self.receive_depth as usize)
    }

    /// Sets the slot into which a capability is received.
    pub fn set_recv_slot(&mut self, slot: &AbsoluteCPtr) {
        self.receive_cnode = slot.root().bits();
        self.receive_index = slot.path().bits();
        self.receive_depth = slot.path().depth() as Word;
    }

    /// The words that the kernel takes from registers instead.
    pub(crate) fn register_words(&self) -> [Word; 4] {
        [
            self.message[0],
            self.message[1],
            self.message[2],
            self.message[3],
        ]
    }

    /// Keeps what the kernel left in registers, with the rest of the message.
    pub(crate) fn set_register_words(&mut self, words: [Word; 4]) {
        self.message[..4].copy_from_slice(&words);
    }
}

impl Default for IpcBuffer {
    fn default() -> Self {
        Self {
            tag: MessageInfo::new(0, 0, 0, 0).into_word(),
            message: [0; MESSAGE_WORDS],
            user_data: 0,
            caps_or_badges: [0; MESSAGE_CAPS],
            receive_cnode: 0,
            receive_index: 0,
            receive_depth: 0,
        }
    }
}
