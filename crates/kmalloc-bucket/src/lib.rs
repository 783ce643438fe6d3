// SPDX-License-Identifier: BSD-2-Clause
//! Pure geometry and books of a bucket allocator. No I/O, no kernel, no heap, no `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

pub mod ledger;
pub mod resident;
pub mod size_class;
