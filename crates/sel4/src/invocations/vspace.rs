// SPDX-License-Identifier: BSD-2-Clause

use crate::Word;
use crate::cap_rights::CapRights;
use crate::cap_types::cap;
use crate::cptr::{AbsoluteCPtr, Cap};
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::sys::invocation_label as label;
use crate::vm_attributes::VmAttributes;
use crate::vspace::{CapTypeForFrameObject, TranslationTableObjectType};

impl<T: CapTypeForFrameObject, C: InvocationContext> Cap<T, C> {
    /// Maps the frame.
    ///
    /// Kernels differ when something is mapped there already: release 5 refuses, later ones replace it without a word.
    /// Whoever maps must know what is where.
    pub fn frame_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        rights: CapRights,
        attrs: VmAttributes,
    ) -> Result<()> {
        self.invoke(
            label::X86PageMap,
            [vspace.bits()],
            [vaddr as Word, rights.into_word(), attrs.into_inner()],
        )
        .map(drop)
    }

    /// Unmaps the frame, if it is mapped.
    pub fn frame_unmap(self) -> Result<()> {
        self.invoke(label::X86PageUnmap, [], []).map(drop)
    }

    /// The physical address of the frame.
    pub fn frame_get_address(self) -> Result<usize> {
        let [address, ..] = self.invoke(label::X86PageGetAddress, [], [])?;
        Ok(address as usize)
    }
}

/// Maps a paging structure: they all take the same.
fn map<T: crate::CapType, C: InvocationContext>(
    table: Cap<T, C>,
    label: u32,
    vspace: cap::VSpace,
    vaddr: usize,
    attr: VmAttributes,
) -> Result<()> {
    let words = [vaddr as Word, attr.into_inner()];
    table.invoke(label, [vspace.bits()], words).map(drop)
}

impl<C: InvocationContext> cap::PDPT<C> {
    /// Maps the structure.
    pub fn pdpt_map(self, vspace: cap::VSpace, vaddr: usize, attr: VmAttributes) -> Result<()> {
        map(self, label::X86PDPTMap, vspace, vaddr, attr)
    }
}

impl<C: InvocationContext> cap::PageDirectory<C> {
    /// Maps the structure.
    pub fn page_directory_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        attr: VmAttributes,
    ) -> Result<()> {
        map(self, label::X86PageDirectoryMap, vspace, vaddr, attr)
    }
}

impl<C: InvocationContext> cap::PageTable<C> {
    /// Maps the structure.
    pub fn page_table_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        attr: VmAttributes,
    ) -> Result<()> {
        map(self, label::X86PageTableMap, vspace, vaddr, attr)
    }
}

impl<C: InvocationContext> cap::UnspecifiedIntermediateTranslationTable<C> {
    /// Maps the structure, which is of type `ty`.
    ///
    /// # Panics
    ///
    /// If `ty` is the root, which is not mapped anywhere.
    pub fn generic_intermediate_translation_table_map(
        self,
        ty: TranslationTableObjectType,
        vspace: cap::VSpace,
        vaddr: usize,
        attr: VmAttributes,
    ) -> Result<()> {
        let label = match ty {
            TranslationTableObjectType::PML4 => panic!("the root is not mapped anywhere"),
            TranslationTableObjectType::PDPT => label::X86PDPTMap,
            TranslationTableObjectType::PageDirectory => label::X86PageDirectoryMap,
            TranslationTableObjectType::PageTable => label::X86PageTableMap,
        };
        map(self, label, vspace, vaddr, attr)
    }
}

impl<C: InvocationContext> cap::AsidControl<C> {
    /// Makes an ASID pool of an untyped.
    pub fn asid_control_make_pool(self, untyped: cap::Untyped, dst: &AbsoluteCPtr) -> Result<()> {
        self.invoke(
            label::X86ASIDControlMakePool,
            [untyped.bits(), dst.root().bits()],
            [dst.path().bits(), dst.path().depth() as Word],
        )
        .map(drop)
    }
}

impl<C: InvocationContext> cap::AsidPool<C> {
    /// Gives an address space an identifier, without which nothing can be mapped in it.
    pub fn asid_pool_assign(self, vspace: cap::VSpace) -> Result<()> {
        self.invoke(label::X86ASIDPoolAssign, [vspace.bits()], [])
            .map(drop)
    }
}
