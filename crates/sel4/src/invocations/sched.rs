// SPDX-License-Identifier: BSD-2-Clause

use super::Time;
use crate::Word;
use crate::cap_types::cap;
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::ipc::Badge;
use crate::sys::invocation_label as label;

impl<C: InvocationContext> cap::SchedControl<C> {
    /// Gives a scheduling context `budget` microseconds in every `period`, on the processor of this capability. `badge`
    /// is told when its time runs out.
    pub fn sched_control_configure_flags(
        self,
        sched_context: cap::SchedContext,
        budget: Time,
        period: Time,
        extra_refills: Word,
        badge: Badge,
        flags: Word,
    ) -> Result<()> {
        self.invoke(
            label::SchedControlConfigureFlags,
            [sched_context.bits()],
            [budget, period, extra_refills, badge, flags],
        )
        .map(drop)
    }
}

impl<C: InvocationContext> cap::SchedContext<C> {
    /// Takes the scheduling context away from whatever it is bound to.
    pub fn unbind(self) -> Result<()> {
        self.invoke(label::SchedContextUnbind, [], []).map(drop)
    }
}
