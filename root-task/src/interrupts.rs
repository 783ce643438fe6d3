// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts that the server itself receives, as signals among its messages.

use sel4::{AbsoluteCPtr, CPtr, CapRights, cap};

/// The slots of one interrupt, and how to take it.
#[derive(Clone, Copy)]
pub struct Handler {
    /// Where the capability to the interrupt goes.
    pub interrupt: AbsoluteCPtr,
    /// Where the badged capability to the notification goes.
    pub signal: AbsoluteCPtr,
    /// The notification for the server's thread.
    pub notification: AbsoluteCPtr,
    /// The interrupt's number among those that user programs have.
    pub vector: sel4::Word,
}

fn cptr(path: &AbsoluteCPtr) -> CPtr {
    CPtr::from_bits(path.path().bits())
}

impl Handler {
    fn irq(&self) -> cap::IrqHandler {
        cptr(&self.interrupt).cast()
    }

    /// From now on an edge of this pin of the first IO APIC signals the server with `badge`. A refusal leaves nothing.
    pub fn take_pin(&self, pin: sel4::Word, badge: sel4::Word) -> sel4::Result<()> {
        let control = sel4::init_thread::slot::IRQ_CONTROL.cap();
        let (edge, high) = (0, 0);
        control.irq_control_get_ioapic(0, pin, edge, high, self.vector, &self.interrupt)?;
        let taken = self.signal_with(badge);
        if taken.is_err() {
            // Nothing was made that these could fail to delete.
            let _ = self.interrupt.delete();
            let _ = self.signal.delete();
        }
        taken
    }

    fn signal_with(&self, badge: sel4::Word) -> sel4::Result<()> {
        self.signal
            .mint(&self.notification, CapRights::all(), badge)?;
        let signal: cap::Notification = cptr(&self.signal).cast();
        self.irq().irq_handler_set_notification(signal)?;
        let own = sel4::init_thread::slot::TCB.cap();
        own.tcb_bind_notification(cptr(&self.notification).cast())?;
        // What came before there was anybody to tell has masked the pin.
        self.acknowledge()
    }

    /// Lets the interrupt come again.
    pub fn acknowledge(&self) -> sel4::Result<()> {
        self.irq().irq_handler_ack()
    }
}
