// SPDX-License-Identifier: BSD-2-Clause

use super::{Fault, constants};
use crate::{IpcBuffer, MessageInfo, Word};

fn fault(label: Word, length: usize, words: &[Word]) -> Fault {
    let mut ipc_buffer = IpcBuffer::default();
    ipc_buffer.msg_regs_mut()[..words.len()].copy_from_slice(words);
    Fault::new(&ipc_buffer, &MessageInfo::new(label, 0, 0, length))
}

#[test]
fn vm_fault() {
    let label = constants::seL4_Fault_VMFault as Word;
    let Fault::VmFault(fault) = fault(label, 4, &[0x40_1000, 0xdead_0000, 1, 6]) else {
        panic!("not decoded as a VM fault");
    };
    assert_eq!(fault.inner().get_IP(), 0x40_1000);
    assert_eq!(fault.inner().get_Addr(), 0xdead_0000);
    assert_eq!(fault.inner().get_PrefetchFault(), 1);
    assert_eq!(fault.inner().get_FSR(), 6);
}

#[test]
fn user_exception() {
    let label = constants::seL4_Fault_UserException as Word;
    let Fault::UserException(fault) = fault(label, 5, &[0x40_2000, 0x7000, 0x202, 6, 0]) else {
        panic!("not decoded as an exception");
    };
    assert_eq!(fault.inner().get_FaultIP(), 0x40_2000);
    assert_eq!(fault.inner().get_Number(), 6);
}

#[test]
fn a_short_cap_fault_ends_in_zeros() {
    let label = constants::seL4_Fault_CapFault as Word;
    let Fault::CapFault(fault) = fault(label, 4, &[0x40_3000, 17, 1, 1, 99]) else {
        panic!("not decoded as a capability fault");
    };
    assert_eq!(fault.inner().get_Addr(), 17);
    assert_eq!(fault.inner().get_InRecvPhase(), 1);
    assert_eq!(fault.inner().get_LookupFailureType(), 1);
}

/// Every label with every length, as a hostile thread could send them: decoded or not, never a panic.
#[test]
fn what_no_kernel_sends_is_no_fault() {
    for label in 0..40 {
        for length in 0..128 {
            let decoded = fault(label, length, &[7; 120]);
            let known = match label as i64 {
                constants::seL4_Fault_CapFault => (4..=7).contains(&length),
                constants::seL4_Fault_UnknownSyscall => length == 19,
                constants::seL4_Fault_UserException => length == 5,
                constants::seL4_Fault_VMFault => length == 4,
                #[cfg(kernel_mcs)]
                constants::seL4_Fault_Timeout => length == 1 || length == 2,
                _ => false,
            };
            assert_eq!(
                !matches!(decoded, Fault::NullFault(_)),
                known,
                "label {label} length {length}"
            );
        }
    }
}
