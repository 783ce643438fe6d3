// SPDX-License-Identifier: BSD-2-Clause

//! Time for threads, the same way on every kernel: MCS kernels run no thread without a configured scheduling context,
//! others have none.

use crate::bootinfo::BootInfoPtr;
use crate::cptr::CPtr;
use crate::error::Result;

/// Microseconds that a thread may run, and after how many it may again. Equal: round robin, as without MCS.
#[cfg(kernel_mcs)]
const TIME_SLICE_MICROSECONDS: crate::Word = 5_000;

/// What gives threads time.
#[derive(Debug, Clone)]
pub struct Scheduling {
    #[cfg(kernel_mcs)]
    control: crate::cap::SchedControl,
}

impl Scheduling {
    /// The authority over the first processor's time, from boot.
    pub fn new(bootinfo: &BootInfoPtr) -> Self {
        #[cfg(kernel_mcs)]
        {
            Self {
                control: bootinfo.sched_control().index(0).cap(),
            }
        }
        #[cfg(not(kernel_mcs))]
        {
            let _ = bootinfo;
            Self {}
        }
    }
}

/// Lets the thread of a scheduling context run without limit, in turns with others of its priority. Does nothing on
/// kernels without scheduling contexts.
pub fn give_time(scheduling: &Scheduling, sched_context: CPtr) -> Result<()> {
    #[cfg(kernel_mcs)]
    {
        scheduling.control.sched_control_configure_flags(
            sched_context.cast(),
            TIME_SLICE_MICROSECONDS,
            TIME_SLICE_MICROSECONDS,
            0,
            0,
            0,
        )
    }
    #[cfg(not(kernel_mcs))]
    {
        let _ = (scheduling, sched_context);
        Ok(())
    }
}
