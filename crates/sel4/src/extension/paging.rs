// SPDX-License-Identifier: BSD-2-Clause

//! Taking page tables out of address spaces, and cache modes.

use crate::cap_types::cap;
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::sys::{constants, label, size};
use crate::vm_attributes::VmAttributes;

/// Writes are gathered and not cached.
pub const WRITE_COMBINING: VmAttributes =
    VmAttributes::from_inner(size(constants::seL4_X86_WriteCombining) as crate::Word);

impl<C: InvocationContext> cap::PageTable<C> {
    /// Takes the page table out of its address space and empties it.
    pub fn page_table_unmap(self) -> Result<()> {
        self.invoke(label::X86PageTableUnmap, [], []).map(drop)
    }
}
