// SPDX-License-Identifier: BSD-2-Clause
//! Clients that have failed are started again, after a while.

use super::{Clients, is_failure};
use crate::kernel::Sel4;
use kmalloc_manifest::OnFailure;
use kmalloc_server::Server;
use kmalloc_server::kernel::{ClientIndex, Kernel};

/// Microseconds before a client that failed is started again; twice as many after each further failure.
const RESTART_DELAY_US: u64 = 10_000;
/// The longest of these delays.
const RESTART_DELAY_US_MAX: u64 = 1_000_000;

/// A client that is to be started again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restart {
    /// How often that has happened.
    count: u16,
    /// When it is due, in microseconds since boot.
    pub due_us: Option<u64>,
}

impl Clients<'_> {
    /// The alarm has gone off: starts again what is due.
    pub fn alarm(&mut self, server: &mut Server<Sel4>, now_us: u64) {
        let mut number = 0;
        while let Some(restart) = self.restarts.get_mut(number) {
            if restart.due_us.is_some_and(|due_us| due_us <= now_us) {
                restart.due_us = None;
                self.restarts_due -= 1;
                self.restart(server, number);
            }
            number += 1;
        }
        self.set_alarm(server);
    }

    /// Everything that a client had is back: starts it again, if that is what the manifest wants.
    pub fn note_gone(&mut self, server: &mut Server<Sel4>, client: ClientIndex) {
        let Some((number, end)) = self.names.gone(client) else {
            return;
        };
        let Some(entry) = self.directory.entries().get(number) else {
            return;
        };
        if entry.client.on_failure == OnFailure::Restart && is_failure(&end) && !self.stopped {
            self.schedule(server, number, entry.client.restarts_max);
        }
    }

    /// Has a client of an entry start again after a while, unless that has happened `max` times.
    fn schedule(&mut self, server: &mut Server<Sel4>, number: usize, max: u16) {
        let Some(restart) = self.restarts.get_mut(number) else {
            return;
        };
        if restart.count >= max {
            return;
        }
        // Without a clock there is no delay.
        let now_us = server.kernel_mut().now_us().unwrap_or(0);
        let delay = RESTART_DELAY_US << restart.count.min(16);
        restart.count += 1;
        restart.due_us = Some(now_us + delay.min(RESTART_DELAY_US_MAX));
        self.restarts_due += 1;
        self.set_alarm(server);
    }

    fn restart(&mut self, server: &mut Server<Sel4>, number: usize) {
        let Some(entry) = self.directory.entries().get(number) else {
            return;
        };
        match entry.begin("", 0, |spawn| server.begin(None, spawn)) {
            Ok(client) => self.born(server, client, number),
            Err(error) => {
                let name = entry.client.name;
                print_line!("# client {name} can't be started again: {error}");
                self.schedule(server, number, entry.client.restarts_max);
            }
        }
    }

    fn set_alarm(&self, server: &mut Server<Sel4>) {
        let due_us = self
            .restarts
            .iter()
            .filter_map(|restart| restart.due_us)
            .min();
        server.kernel_mut().set_restart_alarm(due_us);
    }
}
