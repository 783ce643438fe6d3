// SPDX-License-Identifier: BSD-2-Clause
//! Alarms of clients, all of them behind the one that the kernel's clock gives.

use crate::Server;
use crate::client::NO_ALARM;
use crate::kernel::{ClientIndex, Kernel};
use kmalloc_protocol::{Error, Events, Reply, Response};

impl<K: Kernel> Server<K> {
    /// Sets a client's alarm, or with 0 none; the time is the reply.
    pub(crate) fn set_alarm(&mut self, client: ClientIndex, delay_us: u64) -> Response {
        let now_us = self.kernel.now_us()?;
        let due_us = if delay_us == 0 {
            NO_ALARM
        } else {
            now_us.saturating_add(delay_us)
        };
        let before = core::mem::replace(&mut self.client_mut(client)?.alarm_us, due_us);
        if let Err(error) = self.set_next_alarm() {
            self.client_mut(client)?.alarm_us = before;
            return Err(error);
        }
        Ok(Reply::Time { now_us })
    }

    /// The time that was asked for is there: notes whose alarm is due and whose waiting is over, for a round to tell them, and
    /// asks for the next time.
    pub fn alarm(&mut self, now_us: u64) {
        let mut any = false;
        for account in &mut self.clients {
            if account.alarm_us <= now_us {
                account.alarm_us = NO_ALARM;
                account.notices.is_due(Events::ALARM);
                any = true;
            }
            if account.notices.deadline_us() <= now_us {
                account.notices.is_due(Events::TIMEOUT);
                any = true;
            }
        }
        if any {
            self.begin_round();
        }
        // The clock worked when these alarms were set; where it does no more there is nobody to tell.
        let _ = self.set_next_alarm();
    }

    /// Has the clock ring when the first alarm or deadline of a client is due.
    pub(crate) fn set_next_alarm(&mut self) -> Result<(), Error> {
        let due = self
            .clients
            .iter()
            .map(|account| account.alarm_us.min(account.notices.deadline_us()));
        match due.min() {
            Some(NO_ALARM) | None => self.kernel.clear_alarm(),
            Some(due_us) => self.kernel.set_alarm(due_us)?,
        }
        Ok(())
    }
}
