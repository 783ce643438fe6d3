// SPDX-License-Identifier: BSD-2-Clause

//! What can be made of untyped memory, and how large it is.

use crate::cap_types::{CapType, cap_type};
use crate::sys::{constants, size};

/// A kernel object to be made.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectBlueprint {
    /// A smaller untyped of 2^`size_bits` bytes.
    Untyped {
        /// Logarithm of its bytes.
        size_bits: usize,
    },
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A CNode of 2^`size_bits` slots.
    CNode {
        /// Logarithm of its slots.
        size_bits: usize,
    },
    /// A thread.
    Tcb,
    /// A scheduling context of 2^`size_bits` bytes.
    #[cfg(kernel_mcs)]
    SchedContext {
        /// Logarithm of its bytes.
        size_bits: usize,
    },
    /// A reply object.
    #[cfg(kernel_mcs)]
    Reply,
    /// An object that only this architecture has.
    Arch(ObjectBlueprintArch),
}

/// Objects of the architecture.
pub type ObjectBlueprintArch = ObjectBlueprintX86;

/// Objects of x86.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectBlueprintX86 {
    /// A frame of 4 KiB.
    _4k,
    /// A frame of 2 MiB.
    LargePage,
    /// A paging structure of the lowest level.
    PageTable,
    /// A paging structure of the third level.
    PageDirectory,
    /// A paging structure of an IOMMU, of any level.
    #[cfg(kernel_iommu)]
    IOPageTable,
    /// An object that only x86_64 has.
    SeL4Arch(ObjectBlueprintSeL4Arch),
}

/// Objects of the seL4 architecture.
pub type ObjectBlueprintSeL4Arch = ObjectBlueprintX64;

/// Objects of x86_64.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectBlueprintX64 {
    /// A frame of 1 GiB.
    #[cfg(kernel_huge_page)]
    HugePage,
    /// A paging structure of the second level.
    PDPT,
    /// A paging structure of the top level.
    PML4,
}

impl ObjectBlueprint {
    /// Logarithm of the bytes of untyped memory that the object takes.
    pub const fn physical_size_bits(self) -> usize {
        match self {
            Self::Untyped { size_bits } => size_bits,
            Self::Endpoint => size(constants::seL4_EndpointBits),
            Self::Notification => size(constants::seL4_NotificationBits),
            Self::CNode { size_bits } => size(constants::seL4_SlotBits) + size_bits,
            Self::Tcb => size(constants::seL4_TCBBits),
            #[cfg(kernel_mcs)]
            Self::SchedContext { size_bits } => {
                let least = size(constants::seL4_MinSchedContextBits);
                if size_bits > least { size_bits } else { least }
            }
            #[cfg(kernel_mcs)]
            Self::Reply => size(constants::seL4_ReplyBits),
            Self::Arch(arch) => arch.physical_size_bits(),
        }
    }

    /// The size that the kernel is told: only objects of variable size have one.
    pub const fn api_size_bits(self) -> Option<usize> {
        match self {
            Self::Untyped { size_bits } | Self::CNode { size_bits } => Some(size_bits),
            #[cfg(kernel_mcs)]
            Self::SchedContext { size_bits } => Some(size_bits),
            _ => None,
        }
    }

    /// The untyped that an ASID pool is made of.
    pub const fn asid_pool() -> Self {
        Self::Untyped {
            size_bits: size(constants::seL4_ASIDPoolBits),
        }
    }

    /// The kernel's number for the type.
    pub(crate) const fn type_number(self) -> u64 {
        let number = match self {
            Self::Untyped { .. } => constants::seL4_UntypedObject,
            Self::Endpoint => constants::seL4_EndpointObject,
            Self::Notification => constants::seL4_NotificationObject,
            Self::CNode { .. } => constants::seL4_CapTableObject,
            Self::Tcb => constants::seL4_TCBObject,
            #[cfg(kernel_mcs)]
            Self::SchedContext { .. } => constants::seL4_SchedContextObject,
            #[cfg(kernel_mcs)]
            Self::Reply => constants::seL4_ReplyObject,
            Self::Arch(arch) => arch.type_number(),
        };
        size(number) as u64
    }
}

impl ObjectBlueprintX86 {
    const fn physical_size_bits(self) -> usize {
        size(match self {
            Self::_4k => constants::seL4_PageBits,
            Self::LargePage => constants::seL4_LargePageBits,
            Self::PageTable => constants::seL4_PageTableBits,
            Self::PageDirectory => constants::seL4_PageDirBits,
            #[cfg(kernel_iommu)]
            Self::IOPageTable => constants::seL4_IOPageTableBits,
            #[cfg(kernel_huge_page)]
            Self::SeL4Arch(ObjectBlueprintX64::HugePage) => constants::seL4_HugePageBits,
            Self::SeL4Arch(ObjectBlueprintX64::PDPT) => constants::seL4_PDPTBits,
            Self::SeL4Arch(ObjectBlueprintX64::PML4) => constants::seL4_PML4Bits,
        })
    }

    const fn type_number(self) -> i64 {
        match self {
            Self::_4k => constants::seL4_X86_4K,
            Self::LargePage => constants::seL4_X86_LargePageObject,
            Self::PageTable => constants::seL4_X86_PageTableObject,
            Self::PageDirectory => constants::seL4_X86_PageDirectoryObject,
            #[cfg(kernel_iommu)]
            Self::IOPageTable => constants::seL4_X86_IOPageTableObject,
            #[cfg(kernel_huge_page)]
            Self::SeL4Arch(ObjectBlueprintX64::HugePage) => constants::seL4_X64_HugePageObject,
            Self::SeL4Arch(ObjectBlueprintX64::PDPT) => constants::seL4_X86_PDPTObject,
            Self::SeL4Arch(ObjectBlueprintX64::PML4) => constants::seL4_X64_PML4Object,
        }
    }
}

impl From<ObjectBlueprintX86> for ObjectBlueprint {
    fn from(blueprint: ObjectBlueprintX86) -> Self {
        Self::Arch(blueprint)
    }
}

impl From<ObjectBlueprintX64> for ObjectBlueprintX86 {
    fn from(blueprint: ObjectBlueprintX64) -> Self {
        Self::SeL4Arch(blueprint)
    }
}

impl From<ObjectBlueprintX64> for ObjectBlueprint {
    fn from(blueprint: ObjectBlueprintX64) -> Self {
        Self::Arch(blueprint.into())
    }
}

/// A capability type that an object has.
pub trait CapTypeForObject: CapType {}

/// A capability type whose objects are all of one size.
pub trait CapTypeForObjectOfFixedSize: CapTypeForObject {
    /// What to make.
    fn object_blueprint() -> ObjectBlueprint;
}

/// A capability type whose objects are made in a size of choice.
pub trait CapTypeForObjectOfVariableSize: CapTypeForObject {
    /// What to make.
    fn object_blueprint(size_bits: usize) -> ObjectBlueprint;
}

macro_rules! fixed_size {
    ($($(#[$attribute:meta])* $name:ident: $blueprint:expr,)*) => {
        $(
            $(#[$attribute])*
            impl CapTypeForObject for cap_type::$name {}

            $(#[$attribute])*
            impl CapTypeForObjectOfFixedSize for cap_type::$name {
                fn object_blueprint() -> ObjectBlueprint {
                    $blueprint.into()
                }
            }
        )*
    };
}

macro_rules! variable_size {
    ($($(#[$attribute:meta])* $name:ident,)*) => {
        $(
            $(#[$attribute])*
            impl CapTypeForObject for cap_type::$name {}

            $(#[$attribute])*
            impl CapTypeForObjectOfVariableSize for cap_type::$name {
                fn object_blueprint(size_bits: usize) -> ObjectBlueprint {
                    ObjectBlueprint::$name { size_bits }
                }
            }
        )*
    };
}

fixed_size! {
    Endpoint: ObjectBlueprint::Endpoint,
    Notification: ObjectBlueprint::Notification,
    Tcb: ObjectBlueprint::Tcb,
    #[cfg(kernel_mcs)]
    Reply: ObjectBlueprint::Reply,
    _4k: ObjectBlueprintX86::_4k,
    LargePage: ObjectBlueprintX86::LargePage,
    PageTable: ObjectBlueprintX86::PageTable,
    PageDirectory: ObjectBlueprintX86::PageDirectory,
    #[cfg(kernel_iommu)]
    IOPageTable: ObjectBlueprintX86::IOPageTable,
    #[cfg(kernel_huge_page)]
    HugePage: ObjectBlueprintX64::HugePage,
    PDPT: ObjectBlueprintX64::PDPT,
    PML4: ObjectBlueprintX64::PML4,
}

variable_size! {
    Untyped,
    CNode,
    #[cfg(kernel_mcs)]
    SchedContext,
}
