// SPDX-License-Identifier: BSD-2-Clause
//! Making objects and copying capabilities, by the kernel's rules and in its order.

use crate::capability::{Capability, FrameUse, Kind, size_bits};
use crate::failure::code;
use crate::objects::consecutive;
use crate::{FakeKernel, ROW_SLOTS, UNTYPED_BITS_MAX, UNTYPED_BITS_MIN};
use kmalloc_server::kernel::{Object, Refused, Slot};

impl FakeKernel {
    /// [`Kernel::retype`](kmalloc_server::kernel::Kernel::retype).
    pub(crate) fn make_objects(
        &mut self,
        untyped: Slot,
        object: Object,
        first: Slot,
        count: usize,
    ) -> Result<(), Refused> {
        const CALL: &str = "retype";
        let Some(Capability {
            address,
            kind:
                Kind::Untyped {
                    size_bits: whole_bits,
                    watermark,
                    children,
                },
            ..
        }) = self.capability(untyped).cloned()
        else {
            return self.refuse_invocation(CALL, untyped, "untyped");
        };
        let slots = self.check_making(object, first, count)?;
        let bits = size_bits(object, self.rules.release);
        // Only an untyped without children begins anew.
        let used = if children.is_empty() { 0 } else { watermark };
        let room = (1u64 << whole_bits) - used;
        if room >> bits < count as u64 {
            let reason = format!("{count} of {object:?} at {used:#x} of {untyped:?}");
            return self.refuse(CALL, code::NOT_ENOUGH_MEMORY, reason);
        }
        let start = used.next_multiple_of(1 << bits);
        if children.is_empty() {
            self.reset(address, watermark);
        }
        self.set_watermark(untyped, start + ((count as u64) << bits));
        for (index, slot) in slots.into_iter().enumerate() {
            let place = address + start + ((index as u64) << bits);
            self.check_place(slot, place);
            self.capabilities
                .insert(slot, Capability::new(Some(untyped), place, object));
        }
        Ok(())
    }

    /// What the kernel looks at before the untyped itself: the object and the slots, which are given back.
    fn check_making(
        &mut self,
        object: Object,
        first: Slot,
        count: usize,
    ) -> Result<Vec<Slot>, Refused> {
        const CALL: &str = "retype";
        if let Object::Untyped(bits) = object {
            let reason = format!("{object:?}");
            if bits > UNTYPED_BITS_MAX {
                return self.refuse(CALL, code::RANGE_ERROR, reason);
            }
            if bits < UNTYPED_BITS_MIN {
                return self.refuse(CALL, code::INVALID_ARGUMENT, reason);
            }
        }
        if count == 0 || count > self.rules.retype_max || count > room(first) {
            let reason = format!("{count} objects from {first:?} on");
            return self.refuse(CALL, code::RANGE_ERROR, reason);
        }
        let slots = consecutive(first, count);
        if let Some(slot) = slots.iter().find(|slot| self.capability(**slot).is_some()) {
            return self.refuse(CALL, code::DELETE_FIRST, format!("{slot:?} is occupied"));
        }
        Ok(slots)
    }

    /// [`Kernel::copy`](kmalloc_server::kernel::Kernel::copy).
    pub(crate) fn copy_frame(&mut self, frame: Slot, to: Slot) -> Result<(), Refused> {
        const CALL: &str = "copy";
        if self.capability(to).is_some() {
            return self.refuse(CALL, code::DELETE_FIRST, format!("{to:?} is occupied"));
        }
        let Some(Capability {
            parent,
            original,
            is_first,
            address,
            kind,
        }) = self.capability(frame).cloned()
        else {
            return self.refuse(CALL, code::FAILED_LOOKUP, format!("{frame:?} is empty"));
        };
        let Kind::Frame { size_bits, .. } = kind else {
            panic!("{frame:?} is copied, which is for frames only, and is {kind:?}");
        };
        self.demand(is_first, || format!("{frame:?} is a copy itself"));
        let kind = Kind::Frame {
            size_bits,
            usage: FrameUse::Unmapped,
            copies: 0,
        };
        // A copy goes with the frame's first capability, and where that is gone, with what the frame was made of.
        let (parent, original) = match original {
            None if is_first => (None, Some(frame)),
            first => (parent, first),
        };
        let copy = Capability {
            parent,
            original,
            is_first: false,
            address,
            kind,
        };
        self.capabilities.insert(to, copy);
        Ok(())
    }
}

/// How many slots there are in a CNode from one on, as the root task lays them out.
fn room(first: Slot) -> usize {
    match first {
        // The last slots of the CNode, on a small machine.
        Slot::Copy(copy) => ROW_SLOTS - copy as usize % ROW_SLOTS,
        // Behind all others there are more.
        _ => usize::MAX,
    }
}
