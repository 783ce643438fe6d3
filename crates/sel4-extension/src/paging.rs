// SPDX-License-Identifier: BSD-2-Clause

use sel4::sys::{invocation_label, seL4_X86_VMAttributes};
use sel4::{Result, VmAttributes, cap};

use crate::invoke;

/// Writes are gathered and not cached.
pub const WRITE_COMBINING: VmAttributes =
    VmAttributes::from_inner(seL4_X86_VMAttributes::seL4_X86_WriteCombining);

/// Takes a page table out of its address space and empties it.
pub fn page_table_unmap(table: cap::PageTable) -> Result<()> {
    invoke(table, invocation_label::X86PageTableUnmap, []).map(drop)
}
