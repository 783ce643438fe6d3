// SPDX-License-Identifier: BSD-2-Clause

//! Messages that the kernel sends for a thread that did what it can't.

use crate::Word;
use crate::ipc_buffer::IpcBuffer;
use crate::message_info::MessageInfo;
use crate::sys::{constants, size};

#[cfg(test)]
mod tests;

/// Declares a fault by its words, named as the kernel's headers name their positions.
macro_rules! fault {
    (
        $(#[$attribute:meta])*
        $name:ident, $inner:ident, $shortest:expr, $length:expr, { $($get:ident: $position:ident,)* }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(inner::$inner);

        impl $name {
            /// Its words by the kernel's names.
            pub const fn inner(&self) -> &inner::$inner {
                &self.0
            }

            fn read(message: &[Word]) -> Option<Self> {
                let mut words = [0; inner::$inner::LENGTH];
                words.get_mut(..message.len())?.copy_from_slice(message);
                (message.len() >= inner::$inner::SHORTEST).then_some(Self(inner::$inner(words)))
            }
        }

        $(#[$attribute])*
        impl inner::$inner {
            /// Words of the longest message. In a shorter one the last are 0.
            pub const LENGTH: usize = $length;
            /// Words of the shortest message.
            pub const SHORTEST: usize = $shortest;

            $(
                #[allow(missing_docs, non_snake_case, reason = "named as the kernel names it")]
                pub const fn $get(&self) -> Word {
                    self.0[size(constants::$position)]
                }
            )*
        }
    };
}

/// The words of faults, under the kernel's names.
#[allow(non_camel_case_types, reason = "named as the kernel names them")]
pub mod inner {
    use crate::Word;

    macro_rules! inner {
        ($($(#[$attribute:meta])* $name:ident,)*) => {
            $(
                /// The words of a fault.
                $(#[$attribute])*
                #[derive(Debug, Clone, PartialEq, Eq)]
                pub struct $name(pub(super) [Word; $name::LENGTH]);
            )*
        };
    }

    inner! {
        seL4_Fault_CapFault,
        seL4_Fault_UnknownSyscall,
        seL4_Fault_UserException,
        seL4_Fault_VMFault,
        #[cfg(kernel_mcs)]
        seL4_Fault_Timeout,
    }
}

fault! {
    /// A capability that a system call named is not there. What describes the failed look-up differs in length with its
    /// type.
    CapFault,
    seL4_Fault_CapFault,
    size(constants::seL4_CapFault_LookupFailureType) + 1,
    size(constants::seL4_CapFault_GuardMismatch_BitsFound) + 1,
    {
        get_IP: seL4_CapFault_IP,
        get_Addr: seL4_CapFault_Addr,
        get_InRecvPhase: seL4_CapFault_InRecvPhase,
        get_LookupFailureType: seL4_CapFault_LookupFailureType,
    }
}

fault! {
    /// A system call that the kernel doesn't have.
    UnknownSyscall,
    seL4_Fault_UnknownSyscall,
    size(constants::seL4_UnknownSyscall_Length),
    size(constants::seL4_UnknownSyscall_Length),
    {
        get_FaultIP: seL4_UnknownSyscall_FaultIP,
        get_RSP: seL4_UnknownSyscall_SP,
        get_Syscall: seL4_UnknownSyscall_Syscall,
    }
}

fault! {
    /// An exception of the processor.
    UserException,
    seL4_Fault_UserException,
    size(constants::seL4_UserException_Length),
    size(constants::seL4_UserException_Length),
    {
        get_FaultIP: seL4_UserException_FaultIP,
        get_Stack: seL4_UserException_SP,
        get_FLAGS: seL4_UserException_FLAGS,
        get_Number: seL4_UserException_Number,
        get_Code: seL4_UserException_Code,
    }
}

fault! {
    /// An access to memory that is not mapped, or not so.
    VmFault,
    seL4_Fault_VMFault,
    size(constants::seL4_VMFault_Length),
    size(constants::seL4_VMFault_Length),
    {
        get_IP: seL4_VMFault_IP,
        get_Addr: seL4_VMFault_Addr,
        get_PrefetchFault: seL4_VMFault_PrefetchFault,
        get_FSR: seL4_VMFault_FSR,
    }
}

#[cfg(kernel_mcs)]
fault! {
    /// The scheduling context ran out of time. Of a thread without one only the first word is told.
    Timeout,
    seL4_Fault_Timeout,
    size(constants::seL4_Timeout_Data) + 1,
    size(constants::seL4_Timeout_Length),
    {
        get_data: seL4_Timeout_Data,
        get_consumed: seL4_Timeout_Consumed,
    }
}

/// No fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NullFault(());

/// What a thread did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    NullFault(NullFault),
    /// It named a capability that is not there.
    CapFault(CapFault),
    /// It made a system call that the kernel doesn't have.
    UnknownSyscall(UnknownSyscall),
    /// It raised an exception of the processor.
    UserException(UserException),
    /// It touched memory that is not mapped, or not so.
    VmFault(VmFault),
    /// It ran out of time.
    #[cfg(kernel_mcs)]
    Timeout(Timeout),
}

impl Fault {
    /// Decodes the message in `ipc_buffer`.
    ///
    /// A thread that holds its own fault endpoint can send whatever it likes there: what no kernel would send is a
    /// [`NullFault`], never a panic. The words themselves are as untrusted as their sender.
    pub fn new(ipc_buffer: &IpcBuffer, info: &MessageInfo) -> Self {
        Self::decode(ipc_buffer.msg_regs(), info).unwrap_or(Self::NullFault(NullFault(())))
    }

    fn decode(words: &[Word], info: &MessageInfo) -> Option<Self> {
        let message = words.get(..info.length())?;
        Some(match i64::try_from(info.label()).ok()? {
            constants::seL4_Fault_CapFault => Self::CapFault(CapFault::read(message)?),
            constants::seL4_Fault_UnknownSyscall => {
                Self::UnknownSyscall(UnknownSyscall::read(message)?)
            }
            constants::seL4_Fault_UserException => {
                Self::UserException(UserException::read(message)?)
            }
            constants::seL4_Fault_VMFault => Self::VmFault(VmFault::read(message)?),
            #[cfg(kernel_mcs)]
            constants::seL4_Fault_Timeout => Self::Timeout(Timeout::read(message)?),
            _ => return None,
        })
    }
}
