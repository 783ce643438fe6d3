// SPDX-License-Identifier: BSD-2-Clause

//! What the root task's thread has from the start.

use core::marker::PhantomData;
use core::ops::Range;

use crate::cap_types::{CapType, cap_type};
use crate::cptr::{CPtr, CPtrBits, Cap};

/// A slot of the root task's CNode.
#[derive(Debug, Copy, Clone, Ord, PartialOrd, Eq, PartialEq, Hash)]
pub struct Slot<T: CapType = cap_type::Unspecified> {
    index: usize,
    cap_type: PhantomData<T>,
}

impl<T: CapType> Slot<T> {
    /// The slot with this number.
    pub const fn from_index(index: usize) -> Self {
        Self {
            index,
            cap_type: PhantomData,
        }
    }

    /// Its number.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The number of its address, which is the same as long as the root task keeps its first CSpace.
    pub const fn cptr_bits(&self) -> CPtrBits {
        self.index as CPtrBits
    }

    /// Its address.
    pub const fn cptr(&self) -> CPtr {
        CPtr::from_bits(self.cptr_bits())
    }

    /// The capability in it.
    pub const fn cap(&self) -> Cap<T> {
        self.cptr().cast()
    }

    /// The same slot, believed to hold another type.
    pub const fn cast<T1: CapType>(&self) -> Slot<T1> {
        Slot::from_index(self.index)
    }

    /// Forgets the type.
    pub const fn upcast(&self) -> Slot {
        self.cast()
    }
}

impl Slot {
    /// Asserts the type.
    pub const fn downcast<T: CapType>(&self) -> Slot<T> {
        self.cast()
    }
}

/// Neighbouring slots of the root task's CNode.
#[derive(Debug, Clone, Eq, PartialEq)]
pub struct SlotRegion<T: CapType> {
    range: Range<usize>,
    cap_type: PhantomData<T>,
}

#[allow(clippy::len_without_is_empty, reason = "rust-sel4 has none either")]
impl<T: CapType> SlotRegion<T> {
    pub(crate) const fn from_range(range: Range<usize>) -> Self {
        Self {
            range,
            cap_type: PhantomData,
        }
    }

    /// The number of the first.
    pub const fn start(&self) -> usize {
        self.range.start
    }

    /// The number after that of the last.
    pub const fn end(&self) -> usize {
        self.range.end
    }

    /// The numbers.
    pub const fn range(&self) -> Range<usize> {
        self.start()..self.end()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// The `i`th of them.
    ///
    /// # Panics
    ///
    /// If there are not that many.
    pub fn index(&self, i: usize) -> Slot<T> {
        assert!(i < self.len());
        Slot::from_index(self.range.start + i)
    }
}

/// The slots with what the kernel gives every root task.
pub mod slot {
    use super::Slot;
    use crate::cap_types::cap_type;
    use crate::sys::{constants, size};

    macro_rules! slots {
        ($($(#[$attribute:meta])* $name:ident: $cap_type:ident = $number:expr, $documentation:literal;)*) => {
            $(
                #[doc = $documentation]
                $(#[$attribute])*
                pub const $name: Slot<cap_type::$cap_type> = Slot::from_index(size($number));
            )*
        };
    }

    slots! {
        NULL: Null = constants::seL4_CapNull, "Empty.";
        TCB: Tcb = constants::seL4_CapInitThreadTCB, "Its thread.";
        CNODE: CNode = constants::seL4_CapInitThreadCNode, "Its CNode.";
        VSPACE: VSpace = constants::seL4_CapInitThreadVSpace, "Its address space.";
        IRQ_CONTROL: IrqControl = constants::seL4_CapIRQControl, "Authority over interrupts.";
        ASID_CONTROL: AsidControl = constants::seL4_CapASIDControl, "Authority over address space identifiers.";
        ASID_POOL: AsidPool = constants::seL4_CapInitThreadASIDPool, "Address space identifiers.";
        IO_PORT_CONTROL: IOPortControl = IO_PORT_SLOT, "Authority over IO ports.";
        #[cfg(kernel_iommu)]
        IO_SPACE: IOSpace = constants::seL4_CapIOSpace, "Authority over what PCI functions reach; empty where the machine has no IOMMU.";
        BOOT_INFO_FRAME: Granule = constants::seL4_CapBootInfoFrame, "The frame of its boot information.";
        IPC_BUFFER: Granule = constants::seL4_CapInitThreadIPCBuffer, "The frame of its IPC buffer.";
        DOMAIN_SET: DomainSet = constants::seL4_CapDomain, "Authority over domains.";
        #[cfg(kernel_mcs)]
        SC: SchedContext = constants::seL4_CapInitThreadSC, "Its scheduling context.";
    }

    #[cfg(kernel_all_io_ports)]
    const IO_PORT_SLOT: i64 = constants::seL4_CapIOPort;
    #[cfg(not(kernel_all_io_ports))]
    const IO_PORT_SLOT: i64 = constants::seL4_CapIOPortControl;
}

/// Stops the calling thread, which must be the root task's first.
pub fn suspend_self<T>() -> T {
    let suspended = slot::TCB.cap().tcb_suspend();
    unreachable!("a stopped thread went on: {suspended:?}")
}
