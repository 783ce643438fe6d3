// SPDX-License-Identifier: BSD-2-Clause
//! Pure geometry and books of a bucket allocator. No I/O, no kernel, no `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

pub mod resident;
pub mod size_class;
