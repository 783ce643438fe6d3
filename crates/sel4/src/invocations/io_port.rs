// SPDX-License-Identifier: BSD-2-Clause

use crate::Word;
use crate::cap_types::cap;
use crate::cptr::AbsoluteCPtr;
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::sys::invocation_label as label;

impl<C: InvocationContext> cap::IOPortControl<C> {
    /// Makes a capability to the ports from `first_port` to `last_port`.
    ///
    /// On release 5 this capability is itself one to all ports, of which a smaller one is minted. For that it is looked
    /// up in the root task's first CNode.
    pub fn ioport_control_issue(
        self,
        first_port: Word,
        last_port: Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        #[cfg(kernel_all_io_ports)]
        {
            let all = crate::init_thread::slot::CNODE
                .cap()
                .absolute_cptr(self.cptr());
            dst.mint_io_ports(&all, first_port, last_port)
        }
        #[cfg(not(kernel_all_io_ports))]
        {
            let (index, depth) = (dst.path().bits(), dst.path().depth() as Word);
            self.invoke(
                label::X86IOPortControlIssue,
                [dst.root().bits()],
                [first_port, last_port, index, depth],
            )
            .map(drop)
        }
    }
}

#[cfg(kernel_all_io_ports)]
impl AbsoluteCPtr {
    /// Copies a capability to IO ports to this slot, for fewer ports.
    fn mint_io_ports(self, src: &AbsoluteCPtr, first_port: Word, last_port: Word) -> Result<()> {
        // What the kernel calls io_port_capdata: two fields of 16 bits.
        const PORT_BITS: u32 = u16::BITS;
        if first_port.max(last_port) > u16::MAX.into() {
            return Err(crate::Error::RangeError);
        }
        let rights = crate::CapRights::all().into_word();
        let ports = first_port << PORT_BITS | last_port;
        let (to, from) = (self.path(), src.path());
        self.root()
            .invoke(
                label::CNodeMint,
                [src.root().bits()],
                [
                    to.bits(),
                    to.depth() as Word,
                    from.bits(),
                    from.depth() as Word,
                    rights,
                    ports,
                ],
            )
            .map(drop)
    }
}
