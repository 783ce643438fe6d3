// SPDX-License-Identifier: BSD-2-Clause
//! The server's alarm clock: the PC's interval timer (PIT, 8254) rings, the processor's counter (TSC) tells the time.
//!
//! seL4 uses neither for itself once it has booted: its ticks come from the local APIC. The timer counts once and stops;
//! a time beyond its 16 bits takes several turns. Nothing is set up before the first request that needs the time, so a
//! system without alarms has no interrupts, and no notification on the way of its messages.

use crate::interrupts::{self, Handler, Pin, Target};
use kmalloc_server::client::SIGNAL;
use sel4::AbsoluteCPtr;
use sel4_extension::IOPort;

/// The first and last of the timer's IO ports.
pub const PORTS: (u16, u16) = (0x40, 0x43);
/// The badge bit of the timer's signals.
pub const SIGNAL_BADGE: u64 = SIGNAL | 1;

const COUNTER: u16 = PORTS.0;
const CONTROL: u16 = PORTS.1;
/// Channel 0, low byte then high byte, mode 0: count down once, then raise the interrupt.
const ONE_SHOT: u8 = 0x30;
/// Holds channel 0's count for reading.
const LATCH: u8 = 0;
/// Counts a second.
const TIMER_HERTZ: u64 = 1_193_182;
const COUNT_MAX: u64 = 0xffff;
/// Where the timer arrives: the PC's interrupt 0 is wired to pin 2 of the first IO APIC.
const PIN: sel4::Word = 2;
const MICROSECONDS: u64 = 1_000_000;
/// Counts that the processor's counter is compared over: 10 ms.
const CALIBRATION_COUNTS: u64 = TIMER_HERTZ / 100;
/// How often the comparison is begun anew when the machine was away while the two were read.
const CALIBRATIONS_MAX: usize = 8;

/// The alarm clock.
pub struct Timer {
    ports: IOPort,
    handler: Handler,
    /// Bound to the server's thread once time is asked for.
    notification: AbsoluteCPtr,
    /// The processor's counter at boot.
    boot_ticks: u64,
    /// Ticks of the processor's counter in a second; `None` before the clock is first used.
    hertz: Option<u64>,
    /// When to ring, in microseconds since boot.
    due_us: Option<u64>,
}

fn ticks() -> u64 {
    // SAFETY: every x86_64 processor has the instruction, and seL4 does not forbid it to user programs.
    unsafe { core::arch::x86_64::_rdtsc() }
}

impl Timer {
    /// The clock; time begins now.
    pub fn new(ports: IOPort, handler: Handler, notification: AbsoluteCPtr) -> Timer {
        Timer {
            ports,
            handler,
            notification,
            boot_ticks: ticks(),
            hertz: None,
            due_us: None,
        }
    }

    /// Microseconds since boot.
    pub fn now_us(&mut self) -> sel4::Result<u64> {
        let hertz = match self.hertz {
            Some(hertz) => hertz,
            None => self.start()?,
        };
        let passed = ticks() - self.boot_ticks;
        Ok(passed / hertz * MICROSECONDS + passed % hertz * MICROSECONDS / hertz)
    }

    /// Rings once when it is `due_us`, in microseconds since boot; a time set before is forgotten.
    pub fn alarm_at(&mut self, due_us: u64) -> sel4::Result<()> {
        let now_us = self.now_us()?;
        let counts = due_us
            .saturating_sub(now_us)
            .min(MICROSECONDS)
            .saturating_mul(TIMER_HERTZ)
            / MICROSECONDS;
        self.count_down((counts + 1).min(COUNT_MAX))?;
        self.due_us = Some(due_us);
        Ok(())
    }

    /// Rings no more. A count that runs ends in one interrupt without effect.
    pub fn clear(&mut self) {
        self.due_us = None;
    }

    /// The timer's interrupt: the time, if it is the time that was set.
    pub fn interrupt(&mut self) -> sel4::Result<Option<u64>> {
        // Before the next count, whose end could otherwise come while the pin is masked.
        self.handler.acknowledge()?;
        let Some(due_us) = self.due_us else {
            return Ok(None);
        };
        let now_us = self.now_us()?;
        if now_us < due_us {
            self.alarm_at(due_us)?;
            return Ok(None);
        }
        self.due_us = None;
        Ok(Some(now_us))
    }

    fn start(&mut self) -> sel4::Result<u64> {
        let hertz = self.calibrate()?;
        let target = Target {
            notification: self.notification,
            badge: SIGNAL_BADGE,
        };
        self.handler.take_pin(Pin::Edge(PIN), &target)?;
        if let Err(error) = interrupts::bind(&self.notification) {
            self.handler.give_up();
            return Err(error);
        }
        self.hertz = Some(hertz);
        Ok(hertz)
    }

    fn count_down(&self, counts: u64) -> sel4::Result<()> {
        let [low, high, ..] = counts.to_le_bytes();
        self.ports.out8(CONTROL, ONE_SHOT)?;
        self.ports.out8(COUNTER, low)?;
        self.ports.out8(COUNTER, high)
    }

    /// Counts left, and the processor's counter just before and just after they were read.
    fn sample(&self) -> sel4::Result<(u64, u64, u64)> {
        let before = ticks();
        self.ports.out8(CONTROL, LATCH)?;
        let low = self.ports.in8(COUNTER)?;
        let after = ticks();
        let high = self.ports.in8(COUNTER)?;
        Ok((u16::from_le_bytes([low, high]).into(), before, after))
    }

    /// Ticks of the processor's counter in a second.
    fn calibrate(&self) -> sel4::Result<u64> {
        let mut hertz = 1;
        for _ in 0..CALIBRATIONS_MAX {
            self.count_down(COUNT_MAX)?;
            let (start_counts, start, start_end) = self.sample()?;
            let (counts, end_start, end) = loop {
                let (left, before, after) = self.sample()?;
                let counts = start_counts.saturating_sub(left);
                if counts >= CALIBRATION_COUNTS {
                    break (counts, before, after);
                }
            };
            let passed = end_start - start;
            hertz = (passed * TIMER_HERTZ / counts).max(1);
            // In a machine that was not away, reading takes a few microseconds of the ten thousand.
            let reading = (start_end - start).max(end - end_start);
            if reading < passed / 64 {
                break;
            }
        }
        Ok(hertz)
    }
}
