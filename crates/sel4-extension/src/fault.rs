// SPDX-License-Identifier: BSD-2-Clause

use sel4::sys::{
    seL4_Fault_tag as tag, seL4_UnknownSyscall_Msg, seL4_UserException_Msg, seL4_VMFault_Msg,
};
use sel4::{Fault, IpcBuffer, MessageInfo};

/// Decodes the fault in `ipc_buffer`; `None` for what no kernel sends.
///
/// A thread that holds its own fault endpoint can send whatever it likes there, and rust-sel4's [`Fault::new`] panics at
/// labels and lengths that it doesn't expect. Timeouts are not decoded: nobody sets a timeout endpoint.
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
        _ => false,
    };
    is_fault.then(|| Fault::new(ipc_buffer, info))
}
