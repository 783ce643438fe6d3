// SPDX-License-Identifier: BSD-2-Clause

//! Frames and paging structures.

use crate::cap_types::{CapType, cap_type};
use crate::object::{
    CapTypeForObjectOfFixedSize, ObjectBlueprint, ObjectBlueprintX64, ObjectBlueprintX86,
};
use crate::sys::{constants, size};

/// The sizes of frames.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FrameObjectType {
    /// 4 KiB.
    _4k,
    /// 2 MiB.
    LargePage,
    /// 1 GiB.
    #[cfg(kernel_huge_page)]
    HugePage,
}

impl FrameObjectType {
    /// The smallest.
    pub const GRANULE: Self = Self::_4k;

    /// What to make.
    pub const fn blueprint(self) -> ObjectBlueprint {
        ObjectBlueprint::Arch(match self {
            Self::_4k => ObjectBlueprintX86::_4k,
            Self::LargePage => ObjectBlueprintX86::LargePage,
            #[cfg(kernel_huge_page)]
            Self::HugePage => ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::HugePage),
        })
    }

    /// The size of 2^`bits` bytes, if there is one.
    pub const fn from_bits(bits: usize) -> Option<Self> {
        if bits == Self::_4k.bits() {
            return Some(Self::_4k);
        }
        if bits == Self::LargePage.bits() {
            return Some(Self::LargePage);
        }
        #[cfg(kernel_huge_page)]
        if bits == Self::HugePage.bits() {
            return Some(Self::HugePage);
        }
        None
    }

    /// Logarithm of its bytes.
    pub const fn bits(self) -> usize {
        self.blueprint().physical_size_bits()
    }

    /// Its bytes.
    pub const fn bytes(self) -> usize {
        1 << self.bits()
    }
}

/// A capability type that can be mapped.
pub trait CapTypeForFrameObject: CapType {}

/// A capability type of frames that are all of one size.
pub trait CapTypeForFrameObjectOfFixedSize:
    CapTypeForObjectOfFixedSize + CapTypeForFrameObject
{
    /// The size.
    const FRAME_OBJECT_TYPE: FrameObjectType;
}

impl CapTypeForFrameObject for cap_type::UnspecifiedPage {}
impl CapTypeForFrameObject for cap_type::_4k {}
impl CapTypeForFrameObject for cap_type::LargePage {}
#[cfg(kernel_huge_page)]
impl CapTypeForFrameObject for cap_type::HugePage {}

impl CapTypeForFrameObjectOfFixedSize for cap_type::_4k {
    const FRAME_OBJECT_TYPE: FrameObjectType = FrameObjectType::_4k;
}
impl CapTypeForFrameObjectOfFixedSize for cap_type::LargePage {
    const FRAME_OBJECT_TYPE: FrameObjectType = FrameObjectType::LargePage;
}
#[cfg(kernel_huge_page)]
impl CapTypeForFrameObjectOfFixedSize for cap_type::HugePage {
    const FRAME_OBJECT_TYPE: FrameObjectType = FrameObjectType::HugePage;
}

/// The levels of paging structures.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TranslationTableObjectType {
    /// The root.
    PML4,
    /// Second level.
    PDPT,
    /// Third level.
    PageDirectory,
    /// Lowest level.
    PageTable,
}

impl TranslationTableObjectType {
    /// What to make.
    pub const fn blueprint(&self) -> ObjectBlueprint {
        ObjectBlueprint::Arch(match self {
            Self::PML4 => ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PML4),
            Self::PDPT => ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PDPT),
            Self::PageDirectory => ObjectBlueprintX86::PageDirectory,
            Self::PageTable => ObjectBlueprintX86::PageTable,
        })
    }

    /// Logarithm of its entries, which are words.
    pub const fn index_bits(&self) -> usize {
        self.blueprint().physical_size_bits() - 3
    }

    /// The structure at `level`, counted from the root, which is 0.
    pub const fn from_level(level: usize) -> Option<Self> {
        Some(match level {
            0 => Self::PML4,
            1 => Self::PDPT,
            2 => Self::PageDirectory,
            3 => Self::PageTable,
            _ => return None,
        })
    }
}

/// How an address is split among the levels.
pub mod vspace_levels {
    use super::TranslationTableObjectType;
    use crate::sys::{constants, size};

    /// The number of levels.
    pub const NUM_LEVELS: usize = 4;

    /// Logarithm of the bytes under one structure at `level`.
    ///
    /// # Panics
    ///
    /// If there is no such level.
    pub fn span_bits(level: usize) -> usize {
        assert!(level < NUM_LEVELS);
        let index_bits = (level..NUM_LEVELS)
            .filter_map(TranslationTableObjectType::from_level)
            .map(|table| table.index_bits());
        index_bits.sum::<usize>() + size(constants::seL4_PageBits)
    }

    /// Logarithm of the bytes under one entry of a structure at `level`.
    ///
    /// # Panics
    ///
    /// If there is no such level.
    pub fn step_bits(level: usize) -> usize {
        match level + 1 {
            NUM_LEVELS => size(constants::seL4_PageBits),
            below => span_bits(below),
        }
    }
}

const _: () = assert!(size(constants::seL4_PageBits) == FrameObjectType::GRANULE.bits());
