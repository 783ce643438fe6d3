// SPDX-License-Identifier: BSD-2-Clause

//! What the kernel in use defines: generated from its interface when this crate was built.

#[allow(
    unused_imports,
    reason = "the names that are used differ with the kernel"
)]
pub use crate::fault::inner::*;

include!(concat!(env!("OUT_DIR"), "/abi.rs"));

/// A constant of the kernel's headers as a size or count.
pub(crate) const fn size(constant: i64) -> usize {
    assert!(constant >= 0);
    constant as usize
}
