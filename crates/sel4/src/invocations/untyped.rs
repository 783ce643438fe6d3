// SPDX-License-Identifier: BSD-2-Clause

use crate::cap_types::cap;
use crate::cptr::AbsoluteCPtr;
use crate::error::Result;
use crate::invocation_context::InvocationContext;
use crate::object::ObjectBlueprint;
use crate::sys::invocation_label as label;

impl<C: InvocationContext> cap::Untyped<C> {
    /// Makes `num_objects` objects and puts their capabilities into the CNode `dst`, from slot `dst_offset` on.
    pub fn untyped_retype(
        self,
        blueprint: &ObjectBlueprint,
        dst: &AbsoluteCPtr,
        dst_offset: usize,
        num_objects: usize,
    ) -> Result<()> {
        let size_bits = blueprint.api_size_bits().unwrap_or(0);
        self.invoke(
            label::UntypedRetype,
            [dst.root().bits()],
            [
                blueprint.type_number(),
                size_bits as u64,
                dst.path().bits(),
                dst.path().depth() as u64,
                dst_offset as u64,
                num_objects as u64,
            ],
        )?;
        Ok(())
    }
}
