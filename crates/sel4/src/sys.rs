// SPDX-License-Identifier: BSD-2-Clause

//! What the kernel in use defines: generated from its interface when this crate was built.

#[allow(
    unused_imports,
    reason = "the names that are used differ with the kernel"
)]
pub use crate::fault::inner::*;

include!(concat!(env!("OUT_DIR"), "/abi.rs"));

/// Numbers of the kernel's headers, in the modules in which rust-sel4 has them.
macro_rules! enumerations {
    ($($(#[$attribute:meta])* $name:ident: $kind:ty { $($(#[$of_one:meta])* $constant:ident,)* })*) => {
        $(
            $(#[$attribute])*
            #[allow(missing_docs, non_snake_case, non_upper_case_globals, reason = "named as the kernel names it")]
            pub mod $name {
                $($(#[$of_one])* pub const $constant: $kind = super::constants::$constant as $kind;)*
            }
        )*
    };
}

enumerations! {
    seL4_Fault_tag: u64 {
        seL4_Fault_CapFault,
        seL4_Fault_UnknownSyscall,
        seL4_Fault_UserException,
        seL4_Fault_VMFault,
        #[cfg(kernel_mcs)]
        seL4_Fault_Timeout,
    }
    seL4_UnknownSyscall_Msg: u64 { seL4_UnknownSyscall_Length, }
    seL4_UserException_Msg: u64 { seL4_UserException_Length, }
    seL4_VMFault_Msg: u64 { seL4_VMFault_Length, }
    #[cfg(kernel_mcs)]
    seL4_Timeout_Msg: u64 { seL4_Timeout_Length, }
    #[cfg(kernel_mcs)]
    seL4_SchedContextFlag: u64 { seL4_SchedContext_Sporadic, }
    seL4_X86_VMAttributes: u64 { seL4_X86_WriteCombining, }
}

/// What the kernel tells the root task at boot, as far as it is read under the kernel's own names.
#[cfg(kernel_iommu)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    non_camel_case_types,
    non_snake_case,
    reason = "named as the kernel names it"
)]
pub struct seL4_BootInfo {
    /// Levels of paging structures of the machine's IOMMUs; 0 where there is none.
    pub numIOPTLevels: u64,
}

/// A constant of the kernel's headers as a size or count.
pub(crate) const fn size(constant: i64) -> usize {
    assert!(constant >= 0);
    constant as usize
}
