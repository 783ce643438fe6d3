// SPDX-License-Identifier: BSD-2-Clause
//! What is no client's doing: the cleaner, the server's work, time, and a kernel that refuses.

use super::{CODE, Run};
use crate::operation::What;
use crate::serving::serving;
use kmalloc_server::kernel::Worker;

impl Run {
    /// Carries the operation out if it is none of a client's; whether it was.
    pub(super) fn of_machine(&mut self) -> bool {
        let amount = u64::from(self.operation.amount);
        match self.operation.what {
            What::Fail => {
                let kernel = self.system.server.kernel_mut();
                kernel.fail_at(1 + amount % 24, CODE);
                self.failing = true;
            }
            What::Clean => {
                self.clean(amount % 20);
                self.stop_failing();
            }
            What::BeginCleaning => {
                let _begun = serving(|| self.system.server.next_cleaning());
            }
            What::GiveUpCleaning => {
                if self.system.server.physical().cleaning().is_some() {
                    self.system.give_up_cleaning();
                }
            }
            What::Work => {
                self.work(amount % 16);
                self.stop_failing();
            }
            What::Pass => {
                self.pass(amount);
                self.stop_failing();
            }
            _ => return false,
        }
        true
    }

    /// From now on the kernel refuses nothing on purpose.
    pub(super) fn stop_failing(&mut self) {
        let failed = self.system.server.kernel_mut().stop_failing();
        self.counts.failed += u64::from(failed.is_some());
        self.failing = false;
    }

    fn clean(&mut self, jobs: u64) {
        if self.system.server.physical().cleaning().is_some() {
            // One was begun and has to end first.
            return self.system.give_up_cleaning();
        }
        for _ in 0..jobs {
            match self.system.clean_next() {
                Some(Ok(_)) => self.counts.cleaned += 1,
                Some(Err(refused)) => assert!(refused.code == CODE && self.failing),
                None => break,
            }
        }
    }

    /// Slices of work; between them somebody's requests would come.
    fn work(&mut self, slices: u64) {
        self.system.server.kernel_mut().take_wake(Worker::Reclaimer);
        for _ in 0..slices {
            if !self.system.work() {
                break;
            }
        }
        if self.system.server.has_work() {
            // As the worker does: it goes on until there is none.
            kmalloc_server::kernel::Kernel::wake(
                self.system.server.kernel_mut(),
                Worker::Reclaimer,
            );
        }
    }

    /// Time passes; an alarm that is due rings.
    fn pass(&mut self, microseconds: u64) {
        let kernel = self.system.server.kernel_mut();
        kernel.pass(microseconds);
        let due = kernel.alarm();
        // A clock that fails rings no alarm; the next time will.
        let Ok(now) = kmalloc_server::kernel::Kernel::now_us(kernel) else {
            return;
        };
        if due.is_some_and(|due| due <= now) {
            serving(|| self.system.server.alarm(now));
        }
        if self.system.settles {
            self.system.settle();
        }
    }
}
