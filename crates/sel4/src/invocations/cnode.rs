// SPDX-License-Identifier: BSD-2-Clause

use crate::cap_rights::CapRights;
use crate::cptr::AbsoluteCPtr;
use crate::error::{Error, Result};
use crate::invocation_context::InvocationContext;
use crate::sys::{facts, invocation_label as label};
use crate::{CPtrBits, Word};

impl<C: InvocationContext> AbsoluteCPtr<C> {
    fn invoke<const CAPS: usize, const WORDS: usize>(
        self,
        label: u32,
        caps: [CPtrBits; CAPS],
        words: [Word; WORDS],
    ) -> Result<()> {
        self.into_root().invoke(label, caps, words)?;
        Ok(())
    }

    /// The path as the kernel takes it: address, then depth.
    fn path_words(&self) -> [Word; 2] {
        [self.path().bits(), self.path().depth() as Word]
    }

    /// Deletes everything that was derived from the capability in this slot.
    pub fn revoke(self) -> Result<()> {
        let path = self.path_words();
        self.invoke(label::CNodeRevoke, [], path)
    }

    /// Empties this slot.
    pub fn delete(self) -> Result<()> {
        let path = self.path_words();
        self.invoke(label::CNodeDelete, [], path)
    }

    /// Copies the capability in `src` to this slot, with rights no wider than `rights`.
    pub fn copy(self, src: &AbsoluteCPtr, rights: CapRights) -> Result<()> {
        let [index, depth] = self.path_words();
        let [source_index, source_depth] = src.path_words();
        self.invoke(
            label::CNodeCopy,
            [src.root().bits()],
            [index, depth, source_index, source_depth, rights.into_word()],
        )
    }

    /// Copies the capability in `src` to this slot and gives the copy a badge, or a guard if it is a CNode's.
    ///
    /// A badge that the kernel has not enough bits for is an [`Error::InvalidArgument`].
    pub fn mint(self, src: &AbsoluteCPtr, rights: CapRights, badge: Word) -> Result<()> {
        check_badge(badge)?;
        let [index, depth] = self.path_words();
        let [source_index, source_depth] = src.path_words();
        self.invoke(
            label::CNodeMint,
            [src.root().bits()],
            [
                index,
                depth,
                source_index,
                source_depth,
                rights.into_word(),
                badge,
            ],
        )
    }

    /// Moves the capability in `src` to this slot.
    pub fn move_(self, src: &AbsoluteCPtr) -> Result<()> {
        let [index, depth] = self.path_words();
        let [source_index, source_depth] = src.path_words();
        self.invoke(
            label::CNodeMove,
            [src.root().bits()],
            [index, depth, source_index, source_depth],
        )
    }

    /// Moves the capability in `src` to this slot and gives it a badge, or a guard if it is a CNode's.
    ///
    /// A badge that the kernel has not enough bits for is an [`Error::InvalidArgument`].
    pub fn mutate(self, src: &AbsoluteCPtr, badge: Word) -> Result<()> {
        check_badge(badge)?;
        let [index, depth] = self.path_words();
        let [source_index, source_depth] = src.path_words();
        self.invoke(
            label::CNodeMutate,
            [src.root().bits()],
            [index, depth, source_index, source_depth, badge],
        )
    }

    /// Puts the right to reply to the last caller into this slot.
    #[cfg(not(kernel_mcs))]
    pub fn save_caller(self) -> Result<()> {
        let path = self.path_words();
        self.invoke(label::CNodeSaveCaller, [], path)
    }
}

/// Release 5 would cut a wide badge off without a word. A guard, told by its tag, is let through.
fn check_badge(badge: Word) -> Result<()> {
    let is_guard = facts::BADGE_BITS < Word::BITS && badge | facts::GUARD_TAG == badge;
    let width = if is_guard { 32 } else { facts::BADGE_BITS };
    match badge.checked_shr(width) {
        None | Some(0) => Ok(()),
        Some(_) => Err(Error::InvalidArgument),
    }
}
