// SPDX-License-Identifier: BSD-2-Clause
//! Alarms, waiting for memory, and what happened.

use super::Run;
use crate::model::Model;
use crate::operation::What;
use kmalloc_protocol::{AWAIT_ALL, Events, Reply, Request};

impl Run {
    pub(super) fn notices(&mut self, what: What, model: &Model) {
        let amount = u64::from(self.operation.amount);
        let request = match what {
            What::SetAlarm => Request::SetAlarm {
                delay_us: amount % 5_000,
            },
            What::AwaitMemory => Request::AwaitMemory {
                size: match amount % 8 {
                    0 => AWAIT_ALL,
                    _ => amount,
                },
                timeout_us: u64::from(self.operation.choice),
            },
            What::Watch => {
                let events = match self.operation.choice % 2 {
                    0 => Events::empty(),
                    _ => Events::PRESSURE,
                };
                Request::Watch {
                    events: events.bits(),
                }
            }
            _ => Request::Events,
        };
        match (what, self.system.call(model.client, request)) {
            (What::SetAlarm, Ok(Reply::Time { .. })) | (What::AwaitMemory, Ok(Reply::Done)) => {
                self.counts.awaited += 1;
            }
            (What::Watch, Ok(Reply::Done)) => {}
            (What::Events, Ok(Reply::Events { events })) => {
                assert!(Events::from_bits(events).is_some(), "{events:#x}");
            }
            (What::SetAlarm | What::AwaitMemory, Err(error)) => self.check_refusal(model, error),
            (_, other) => panic!("{request:?}: {other:?}"),
        }
    }
}
