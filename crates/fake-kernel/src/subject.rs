// SPDX-License-Identifier: BSD-2-Clause
//! The model as one side of the comparison with seL4.

use crate::FakeKernel;
use crate::capability::{Capability, Kind};
use crate::failure::code;
use kernel_sequences::{Access, Subject, Touched};
use kmalloc_server::kernel::{Refused, Slot};
use kmalloc_server::physical::{Large, Page};

/// Bits of what a processor says of a page fault of a program.
mod reason {
    /// A page is there.
    pub const PRESENT: u8 = 1;
    /// It was to be written to.
    pub const WRITE: u8 = 2;
    /// A program did it.
    pub const USER: u8 = 4;
}

impl Subject for FakeKernel {
    type Kernel = FakeKernel;

    fn kernel(&mut self) -> &mut FakeKernel {
        self
    }

    fn first_large(&self) -> Large {
        Large(0)
    }

    fn frame_address(&mut self, frame: Slot) -> Result<u64, Refused> {
        match self.capability(frame) {
            Some(Capability {
                address,
                kind: Kind::Frame { .. },
                ..
            }) => Ok(address - self.base_addr),
            _ => self.refuse_invocation("frame_address", frame, "frame"),
        }
    }

    fn digest(&mut self, frame: Slot) -> Result<u64, Refused> {
        let address = self.frame_address(frame)? + self.base_addr;
        let mut bytes = [0; 4096];
        self.memory.read(address, &mut bytes);
        let words = bytes.as_chunks().0.iter().copied().map(u64::from_le_bytes);
        Ok(kernel_sequences::digest(words))
    }

    fn touch(&mut self, space: Page, address: usize, access: Access) -> Result<Touched, Refused> {
        if !self.spaces.contains_key(&space) {
            let code = code::INVALID_CAPABILITY;
            return self.refuse("touch", code, format!("{space:?} is no address space"));
        }
        let fault = |reason: u8| {
            Ok(Touched::Fault {
                address: address as u32,
                reason: reason | reason::USER,
            })
        };
        let found = self.translate(space, address);
        match (access, found) {
            (Access::Read, None) => fault(0),
            (Access::Write(_), None) => fault(reason::WRITE),
            (Access::Write(_), Some((_, how))) if !how.writable => {
                fault(reason::WRITE | reason::PRESENT)
            }
            (Access::Write(word), Some(_)) => {
                // It may be written to, as was just seen.
                let _ = self.write(space, address, &word.to_le_bytes());
                Ok(Touched::Word(word))
            }
            (Access::Read, Some((place, _))) => {
                let mut bytes = [0; 8];
                self.memory.read(place, &mut bytes);
                Ok(Touched::Word(u64::from_le_bytes(bytes)))
            }
        }
    }
}
