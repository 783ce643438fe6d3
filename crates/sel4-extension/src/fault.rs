// SPDX-License-Identifier: BSD-2-Clause

use sel4::sys::{
    seL4_Fault_tag as tag, seL4_UnknownSyscall_Msg, seL4_UserException_Msg, seL4_VMFault_Msg,
};
use sel4::{Fault, IpcBuffer, MessageInfo, Word, sel4_cfg_if};

/// Decodes the fault in `ipc_buffer`; `None` for what no kernel sends.
///
/// A thread that holds its own fault endpoint can send whatever it likes there, and rust-sel4's [`Fault::new`] panics at
/// labels and lengths that it doesn't expect.
pub fn fault(ipc_buffer: &IpcBuffer, info: &MessageInfo) -> Option<Fault> {
    let length = info.length() as u64;
    let is_fault = match info.label() {
        tag::seL4_Fault_CapFault => true,
        tag::seL4_Fault_UnknownSyscall => {
            length == seL4_UnknownSyscall_Msg::seL4_UnknownSyscall_Length
        }
        tag::seL4_Fault_UserException => {
            length == seL4_UserException_Msg::seL4_UserException_Length
        }
        tag::seL4_Fault_VMFault => length == seL4_VMFault_Msg::seL4_VMFault_Length,
        label => is_timeout(label, length),
    };
    is_fault.then(|| Fault::new(ipc_buffer, info))
}

/// A thread's time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// What its scheduling context was configured to say.
    pub data: Word,
    /// Microseconds that it ran.
    pub consumed: Word,
}

sel4_cfg_if! {
    if #[sel4_cfg(KERNEL_MCS)] {
        fn is_timeout(label: Word, length: u64) -> bool {
            label == tag::seL4_Fault_Timeout
                && length == sel4::sys::seL4_Timeout_Msg::seL4_Timeout_Length
        }

        /// What a timeout says; `None` for other faults. Kernels without scheduling contexts have none.
        pub fn timeout(fault: &Fault) -> Option<Timeout> {
            match fault {
                Fault::Timeout(timeout) => Some(Timeout {
                    data: timeout.inner().get_data(),
                    consumed: timeout.inner().get_consumed(),
                }),
                _ => None,
            }
        }
    } else {
        fn is_timeout(_label: Word, _length: u64) -> bool {
            false
        }

        /// What a timeout says; `None` for other faults. Kernels without scheduling contexts have none.
        pub fn timeout(_fault: &Fault) -> Option<Timeout> {
            None
        }
    }
}
