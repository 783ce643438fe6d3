// SPDX-License-Identifier: BSD-2-Clause
//! What a client and the memory server say to each other. Pure: no kernel, no `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

pub mod window;
