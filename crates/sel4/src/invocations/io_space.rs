// SPDX-License-Identifier: BSD-2-Clause

use crate::Word;
use crate::cap_rights::CapRights;
use crate::cap_types::cap;
use crate::cptr::Cap;
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::sys::invocation_label as label;
use crate::vspace::CapTypeForFrameObject;

impl<T: CapTypeForFrameObject, C: InvocationContext> Cap<T, C> {
    /// Maps the frame, which must be of 4 KiB, for a PCI function. `frame_unmap` undoes it.
    pub fn io_frame_map(
        self,
        iospace: cap::IOSpace,
        rights: CapRights,
        ioaddr: Word,
    ) -> Result<()> {
        let words = [rights.into_word(), ioaddr];
        self.invoke(label::X86PageMapIO, [iospace.bits()], words)
            .map(drop)
    }
}

impl<C: InvocationContext> cap::IOPageTable<C> {
    /// Hooks the structure in at the highest level over `ioaddr` that has none.
    pub fn io_page_table_map(self, iospace: cap::IOSpace, ioaddr: Word) -> Result<()> {
        self.invoke(label::X86IOPageTableMap, [iospace.bits()], [ioaddr])
            .map(drop)
    }

    /// Takes the structure out of where it is.
    pub fn io_page_table_unmap(self) -> Result<()> {
        self.invoke(label::X86IOPageTableUnmap, [], []).map(drop)
    }
}
