// SPDX-License-Identifier: BSD-2-Clause

//! The types of capabilities.

use core::hash::Hash;

/// A type of capability, used as a marker.
pub trait CapType: Copy + Clone + Eq + PartialEq + Ord + PartialOrd + Hash {
    /// Its name.
    const NAME: &'static str;
}

/// Declares markers, and an alias of [`Cap`](crate::Cap) for each.
macro_rules! cap_types {
    ($($(#[$attribute:meta])* $name:ident: $documentation:literal,)*) => {
        /// Markers for [`Cap`](crate::Cap): one for each type of capability.
        pub mod cap_type {
            $(
                #[doc = $documentation]
                $(#[$attribute])*
                #[derive(Debug, Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
                pub struct $name;

                $(#[$attribute])*
                impl super::CapType for $name {
                    const NAME: &'static str = stringify!($name);
                }
            )*

            /// The root of an address space.
            pub type VSpace = PML4;
            /// A frame of the smallest size.
            pub type Granule = _4k;
        }

        /// [`Cap`](crate::Cap) of each type of capability.
        pub mod cap {
            use crate::cptr::Cap;
            use crate::invocation_context::NoExplicitInvocationContext;

            $(
                #[doc = $documentation]
                $(#[$attribute])*
                pub type $name<C = NoExplicitInvocationContext> = Cap<super::cap_type::$name, C>;
            )*

            /// The root of an address space.
            pub type VSpace<C = NoExplicitInvocationContext> = Cap<super::cap_type::VSpace, C>;
            /// A frame of the smallest size.
            pub type Granule<C = NoExplicitInvocationContext> = Cap<super::cap_type::Granule, C>;
        }
    };
}

cap_types! {
    Untyped: "Memory of which objects can be made.",
    Endpoint: "Where messages meet.",
    Notification: "Where signals meet.",
    Tcb: "A thread.",
    CNode: "A table of capability slots.",
    IrqControl: "Authority to make interrupt handlers.",
    IrqHandler: "One interrupt.",
    AsidControl: "Authority to make pools of address space identifiers.",
    AsidPool: "Identifiers of address spaces.",
    DomainSet: "Authority over scheduling domains.",
    IOPortControl: "Authority to issue ranges of IO ports. On 5.0.0 it is all ports itself.",
    Null: "No capability.",
    Unspecified: "Any capability.",
    UnspecifiedPage: "A frame of any size.",
    UnspecifiedIntermediateTranslationTable: "A paging structure of any level but the root.",
    PML4: "A paging structure of the top level.",
    PDPT: "A paging structure of the second level.",
    PageDirectory: "A paging structure of the third level.",
    PageTable: "A paging structure of the lowest level.",
    _4k: "A frame of 4 KiB.",
    LargePage: "A frame of 2 MiB.",
    #[cfg(kernel_huge_page)]
    HugePage: "A frame of 1 GiB.",
    #[cfg(kernel_iommu)]
    IOPageTable: "A paging structure of an IOMMU.",
    #[cfg(kernel_iommu)]
    IOSpace: "What a PCI function reaches by way of an IOMMU.",
    #[cfg(kernel_mcs)]
    Reply: "Where a caller waits to be replied to.",
    #[cfg(kernel_mcs)]
    SchedContext: "Time of a processor.",
    #[cfg(kernel_mcs)]
    SchedControl: "Authority to fill scheduling contexts.",
}
