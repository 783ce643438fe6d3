// SPDX-License-Identifier: BSD-2-Clause

use crate::Word;
use crate::cap_types::cap;
use crate::cptr::AbsoluteCPtr;
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::sys::invocation_label as label;

impl<C: InvocationContext> cap::IrqControl<C> {
    /// Makes a handler for a pin of an IO APIC.
    pub fn irq_control_get_ioapic(
        self,
        ioapic: Word,
        pin: Word,
        level: Word,
        polarity: Word,
        vector: Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        self.get(
            label::X86IRQIssueIRQHandlerIOAPIC,
            dst,
            [ioapic, pin, level, polarity, vector],
        )
    }

    /// Makes a handler for the message-signalled interrupt of a PCI function.
    pub fn irq_control_get_msi(
        self,
        pci_bus: Word,
        pci_dev: Word,
        pci_func: Word,
        handle: Word,
        vector: Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        self.get(
            label::X86IRQIssueIRQHandlerMSI,
            dst,
            [pci_bus, pci_dev, pci_func, handle, vector],
        )
    }

    fn get(self, label: u32, dst: &AbsoluteCPtr, source: [Word; 5]) -> Result<()> {
        let [first, second, third, fourth, vector] = source;
        let (index, depth) = (dst.path().bits(), dst.path().depth() as Word);
        self.invoke(
            label,
            [dst.root().bits()],
            [index, depth, first, second, third, fourth, vector],
        )
        .map(drop)
    }
}

impl<C: InvocationContext> cap::IrqHandler<C> {
    /// Lets the interrupt come again.
    pub fn irq_handler_ack(self) -> Result<()> {
        self.invoke(label::IRQAckIRQ, [], []).map(drop)
    }

    /// Sets what the interrupt signals.
    pub fn irq_handler_set_notification(self, notification: cap::Notification) -> Result<()> {
        self.invoke(label::IRQSetIRQHandler, [notification.bits()], [])
            .map(drop)
    }

    /// Lets the interrupt signal nothing.
    pub fn irq_handler_clear(self) -> Result<()> {
        self.invoke(label::IRQClearIRQHandler, [], []).map(drop)
    }
}
