// SPDX-License-Identifier: BSD-2-Clause

use crate::Word;
use crate::sys::facts;

const EXTRA_CAPS_SHIFT: u32 = 7;
const CAPS_UNWRAPPED_SHIFT: u32 = 9;
const LABEL_SHIFT: u32 = 12;

/// What a message is: its label, and how many words and capabilities it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInfo(Word);

impl MessageInfo {
    /// Parts that are too wide are cut off: the label at [`label_width`](Self::label_width) bits, `length` at 7,
    /// `extra_caps` at 2, `caps_unwrapped` at 3.
    #[inline(always)]
    pub const fn new(label: Word, caps_unwrapped: usize, extra_caps: usize, length: usize) -> Self {
        Self(
            (label & ((1 << facts::MESSAGE_LABEL_BITS) - 1)) << LABEL_SHIFT
                | (caps_unwrapped as Word & 7) << CAPS_UNWRAPPED_SHIFT
                | (extra_caps as Word & 3) << EXTRA_CAPS_SHIFT
                | length as Word & 127,
        )
    }

    /// The label: what is asked, or how it went.
    #[inline(always)]
    pub const fn label(&self) -> Word {
        (self.0 >> LABEL_SHIFT) & ((1 << facts::MESSAGE_LABEL_BITS) - 1)
    }

    /// Width of a label in bits.
    pub const fn label_width() -> usize {
        facts::MESSAGE_LABEL_BITS as usize
    }

    /// Which of the capabilities came as badges.
    #[inline(always)]
    pub const fn caps_unwrapped(&self) -> usize {
        (self.0 >> CAPS_UNWRAPPED_SHIFT) as usize & 7
    }

    /// How many capabilities the message has.
    #[inline(always)]
    pub const fn extra_caps(&self) -> usize {
        (self.0 >> EXTRA_CAPS_SHIFT) as usize & 3
    }

    /// How many words the message has. A received one can claim up to 127 where the buffer holds 120.
    #[inline(always)]
    pub const fn length(&self) -> usize {
        self.0 as usize & 127
    }

    #[inline(always)]
    pub(crate) const fn from_word(word: Word) -> Self {
        Self(word)
    }

    #[inline(always)]
    pub(crate) const fn into_word(self) -> Word {
        self.0
    }
}

impl From<MessageInfoBuilder> for MessageInfo {
    fn from(builder: MessageInfoBuilder) -> Self {
        builder.build()
    }
}

/// Makes a [`MessageInfo`] part by part; what isn't given is 0.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub struct MessageInfoBuilder {
    label: Word,
    caps_unwrapped: usize,
    extra_caps: usize,
    length: usize,
}

impl MessageInfoBuilder {
    /// The whole.
    #[inline(always)]
    pub fn build(self) -> MessageInfo {
        MessageInfo::new(
            self.label,
            self.caps_unwrapped,
            self.extra_caps,
            self.length,
        )
    }

    /// Sets the label.
    #[must_use]
    #[inline(always)]
    pub fn label(self, label: Word) -> Self {
        Self { label, ..self }
    }

    /// Sets which of the capabilities are badges.
    #[must_use]
    #[inline(always)]
    pub fn caps_unwrapped(self, caps_unwrapped: usize) -> Self {
        Self {
            caps_unwrapped,
            ..self
        }
    }

    /// Sets the number of capabilities.
    #[must_use]
    #[inline(always)]
    pub fn extra_caps(self, extra_caps: usize) -> Self {
        Self { extra_caps, ..self }
    }

    /// Sets the number of words.
    #[must_use]
    #[inline(always)]
    pub fn length(self, length: usize) -> Self {
        Self { length, ..self }
    }
}
