// SPDX-License-Identifier: BSD-2-Clause
//! Flags of a request.

bitflags::bitflags! {
    /// Flags of a request. The values are those of `KMALLOC_*` in `kmalloc.h`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Flags: u32 {
        /// The block's bytes are zero; with `krealloc`, the bytes gained are.
        const ZERO = 1;
    }
}
