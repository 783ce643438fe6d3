// SPDX-License-Identifier: BSD-2-Clause

//! The words of a VM fault by the names that rust-sel4 has for them on other architectures.

use crate::Word;
use crate::fault::VmFault;

impl VmFault {
    /// The address of the instruction.
    pub fn ip(&self) -> Word {
        self.inner().get_IP()
    }

    /// The address that it touched.
    pub fn addr(&self) -> Word {
        self.inner().get_Addr()
    }

    /// Whether it was touched to be executed.
    pub fn is_prefetch(&self) -> bool {
        self.inner().get_PrefetchFault() != 0
    }

    /// The processor's error code.
    pub fn fsr(&self) -> Word {
        self.inner().get_FSR()
    }
}
