// SPDX-License-Identifier: BSD-2-Clause

use crate::Word;
use crate::sys::facts;

/// What the holder of a capability may do with it.
///
/// Release 5 knows no right to be replied to: there the right to grant covers it, and `grant_reply` is without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapRights(Word);

const WRITE: Word = 1;
const READ: Word = 1 << 1;
const GRANT: Word = 1 << 2;
const GRANT_REPLY: Word = if facts::GRANT_REPLY_RIGHT { 1 << 3 } else { 0 };

impl CapRights {
    /// The rights that are `true`.
    pub const fn new(grant_reply: bool, grant: bool, read: bool, write: bool) -> Self {
        Self(
            (grant_reply as Word * GRANT_REPLY)
                | (grant as Word * GRANT)
                | (read as Word * READ)
                | (write as Word * WRITE),
        )
    }

    /// No right.
    pub fn none() -> Self {
        CapRightsBuilder::none().build()
    }

    /// Every right.
    pub fn all() -> Self {
        CapRightsBuilder::all().build()
    }

    /// To read and to write.
    pub fn read_write() -> Self {
        CapRightsBuilder::none().read(true).write(true).build()
    }

    /// To read.
    pub fn read_only() -> Self {
        CapRightsBuilder::none().read(true).build()
    }

    /// To write.
    pub fn write_only() -> Self {
        CapRightsBuilder::none().write(true).build()
    }

    pub(crate) const fn into_word(self) -> Word {
        self.0
    }
}

impl From<CapRightsBuilder> for CapRights {
    fn from(builder: CapRightsBuilder) -> Self {
        builder.build()
    }
}

/// Makes [`CapRights`] right by right.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub struct CapRightsBuilder {
    grant_reply: bool,
    grant: bool,
    read: bool,
    write: bool,
}

impl CapRightsBuilder {
    /// Starts from no right.
    pub fn none() -> Self {
        Self::default()
    }

    /// Starts from every right.
    pub fn all() -> Self {
        Self {
            grant_reply: true,
            grant: true,
            read: true,
            write: true,
        }
    }

    /// The rights.
    pub fn build(self) -> CapRights {
        CapRights::new(self.grant_reply, self.grant, self.read, self.write)
    }

    /// Whether a call through the capability may be replied to.
    #[must_use]
    pub fn grant_reply(self, grant_reply: bool) -> Self {
        Self {
            grant_reply,
            ..self
        }
    }

    /// Whether capabilities may be sent through the capability.
    #[must_use]
    pub fn grant(self, grant: bool) -> Self {
        Self { grant, ..self }
    }

    /// Whether it may be received from, or read.
    #[must_use]
    pub fn read(self, read: bool) -> Self {
        Self { read, ..self }
    }

    /// Whether it may be sent to, or written.
    #[must_use]
    pub fn write(self, write: bool) -> Self {
        Self { write, ..self }
    }
}
