// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts as signals: to the server itself, among its messages, or to a client.

use sel4::{AbsoluteCPtr, CPtr, CapRights, cap};

/// The slots of one interrupt, and how to take it.
#[derive(Clone, Copy)]
pub struct Handler {
    /// Where the capability to the interrupt goes.
    pub interrupt: AbsoluteCPtr,
    /// Where the badged capability to the notification goes.
    pub signal: AbsoluteCPtr,
    /// The interrupt's number among those that user programs have.
    pub vector: sel4::Word,
}

/// A pin of the first IO APIC, and what it takes for an interrupt.
#[derive(Clone, Copy)]
pub enum Pin {
    /// A rising edge, as of the PC's own devices.
    Edge(sel4::Word),
    /// A low level, as of PCI's devices.
    Level(sel4::Word),
}

/// The notification to be signalled, and with which badge.
#[derive(Clone, Copy)]
pub struct Target {
    /// The capability to mint from.
    pub notification: AbsoluteCPtr,
    /// The badge.
    pub badge: sel4::Word,
}

fn cptr(path: &AbsoluteCPtr) -> CPtr {
    CPtr::from_bits(path.path().bits())
}

/// Lets the server's thread receive the signals of a notification among its messages.
pub fn bind(notification: &AbsoluteCPtr) -> sel4::Result<()> {
    let own = sel4::init_thread::slot::TCB.cap();
    own.tcb_bind_notification(cptr(notification).cast())
}

impl Handler {
    fn irq(&self) -> cap::IrqHandler {
        cptr(&self.interrupt).cast()
    }

    /// From now on this pin signals the target. A refusal leaves nothing.
    pub fn take_pin(&self, pin: Pin, target: &Target) -> sel4::Result<()> {
        let control = sel4::init_thread::slot::IRQ_CONTROL.cap();
        let (pin, level, low) = match pin {
            Pin::Edge(pin) => (pin, 0, 0),
            Pin::Level(pin) => (pin, 1, 1),
        };
        control.irq_control_get_ioapic(0, pin, level, low, self.vector, &self.interrupt)?;
        self.signal_or_undo(target)
    }

    /// From now on the message that a PCI function writes signals the target. A refusal leaves nothing.
    pub fn take_message(
        &self,
        (bus, device, function): (u8, u8, u8),
        target: &Target,
    ) -> sel4::Result<()> {
        let control = sel4::init_thread::slot::IRQ_CONTROL.cap();
        control.irq_control_get_msi(
            bus.into(),
            device.into(),
            function.into(),
            0,
            self.vector,
            &self.interrupt,
        )?;
        self.signal_or_undo(target)
    }

    fn signal_or_undo(&self, target: &Target) -> sel4::Result<()> {
        let taken = self.signal_with(target);
        if taken.is_err() {
            self.give_up();
        }
        taken
    }

    fn signal_with(&self, target: &Target) -> sel4::Result<()> {
        self.signal
            .mint(&target.notification, CapRights::all(), target.badge)?;
        let signal: cap::Notification = cptr(&self.signal).cast();
        self.irq().irq_handler_set_notification(signal)?;
        // What came before there was anybody to tell has masked it.
        self.acknowledge()
    }

    /// Lets the interrupt come again.
    pub fn acknowledge(&self) -> sel4::Result<()> {
        self.irq().irq_handler_ack()
    }

    /// The interrupt signals nobody any more, and may be taken anew.
    pub fn give_up(&self) {
        // Emptying a slot has no way to fail, and an empty one is as good.
        let _ = self.interrupt.delete();
        let _ = self.signal.delete();
    }
}
